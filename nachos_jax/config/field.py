"""What a field of the config is: a name, a default, what it may hold and what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nachos_jax.core.errors import UsageError

KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", list: "a list"}
"""How people call the types of fields."""


@dataclass(frozen=True)
class Field:
    """One field.

    Attributes:
        key: where it stands in the config, e.g. "folds.count".
        default: its value in the default config; its type is the type that the field takes.
        meaning: one line for people.
        low: smallest number allowed.
        high: largest number allowed.
        choices: the values allowed; () allows all of the type.
        no_result: True when no result depends on it, so that it may differ when a run is taken up again.
        before: what runs did before the field existed; None for fields of the first version.
        items: what a list holds.
    """

    key: str
    default: Any
    meaning: str
    low: float = float("-inf")
    high: float = float("inf")
    choices: tuple[Any, ...] = ()
    no_result: bool = False
    before: Any = None
    items: type = str

    @property
    def bounded(self) -> bool:
        """True when the field is a number with bounds."""
        return self.high < float("inf")

    def check(self, value: Any) -> Any:
        """Returns the value as a run holds it: lists as tuples, numbers as floats where a number is meant.

        Args:
            value: of the field's type, see `check_type`.

        Raises:
            UsageError: it is out of range or none of the choices.
        """
        if self.choices and value not in self.choices:
            raise UsageError(
                f"config.{self.key} = {value!r}: must be one of {', '.join(map(repr, self.choices))}."
            )
        if self.bounded and not self.low <= value <= self.high:
            raise UsageError(f"config.{self.key} = {value!r}: must be {self._range()}.")
        if isinstance(self.default, tuple):
            return self._items(value)
        return float(value) if isinstance(self.default, float) else value

    def _range(self) -> str:
        if isinstance(self.default, float):
            return f"a number from {self.low:g} to {self.high:g}"
        return f"a whole number from {self.low} to {self.high}"

    def _items(self, values: Sequence[Any]) -> tuple[Any, ...]:
        if not all(isinstance(value, self.items) for value in values):
            like = tuple(map(str, values)) if self.items is str else ({"learning_rate": 0.01},)
            noun = "texts" if self.items is str else "dictionaries"
            raise UsageError(f"config.{self.key} = {values!r}: must be {noun}, like {like!r}.")
        return tuple(values)


@dataclass(frozen=True)
class Section:
    """A group of fields.

    Attributes:
        name: of the group in the config; "" for fields that stand in no group.
        meaning: one line for people.
        fields: those of the group that are no hyperparameters.
        no_result: True when no result depends on any of them.
    """

    name: str
    meaning: str
    fields: tuple[Field, ...] = ()
    no_result: bool = False

    def __post_init__(self):
        prefix = f"{self.name}." if self.name else ""
        placed = (
            replace(field, key=prefix + field.key, no_result=self.no_result or field.no_result)
            for field in self.fields
        )
        object.__setattr__(self, "fields", tuple(placed))


def text(name: str, default: str, meaning: str, **more: Any) -> Field:
    """A field that holds a text."""
    return Field(name, default, meaning, **more)


def texts(name: str, meaning: str, **more: Any) -> Field:
    """A field that holds a list of texts, empty by default."""
    return Field(name, (), meaning, **more)


def one_of(name: str, default: Any, choices: Sequence[Any], meaning: str, **more: Any) -> Field:
    """A field that holds one of some values."""
    return Field(name, default, meaning, choices=tuple(choices), **more)


def dictionaries(name: str, meaning: str, **more: Any) -> Field:
    """A field that holds a list of dictionaries, empty by default."""
    return Field(name, (), meaning, items=dict, **more)


def whole(name: str, default: int, low: int, high: int, meaning: str, **more: Any) -> Field:
    """A field that holds a whole number."""
    return Field(name, default, meaning, low, high, **more)


def real(name: str, default: float, low: float, high: float, meaning: str, **more: Any) -> Field:
    """A field that holds a number."""
    return Field(name, default, meaning, low, high, **more)


def switch(name: str, default: bool, meaning: str, **more: Any) -> Field:
    """A field that is True or False."""
    return Field(name, default, meaning, **more)


def check_type(key: str, value: Any, default: Any) -> None:
    """Refuses a value of another type than the default's.

    Raises:
        UsageError: likewise; a whole number serves where a number is meant.
    """
    wanted = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
        raise UsageError(f"config.{key} = {value!r}: must be {KINDS[type(default)]}, like {default!r}.")


def flat(config: Mapping, prefix: str = "") -> dict[str, Any]:
    """A nested config by dotted keys, in its order; tuples become lists, as JSON has them."""
    found: dict[str, Any] = {}
    for key in config:
        value = config[key]
        if isinstance(value, Mapping) or hasattr(value, "items"):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = list(value) if isinstance(value, (tuple, list)) else value
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flat`, which takes values as they are."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        *folders, leaf = key.split(".")
        inner = found
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[leaf] = value
    return found
