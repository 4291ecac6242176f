"""How two configs differ in what results depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nachos_jax.config.data_fields import no_class_names
from nachos_jax.config.field import flat
from nachos_jax.config.fields import FIELDS, SECTIONS
from nachos_jax.core.hparams import Hyperparameter

_BEFORE = {key: field.before for key, field in FIELDS.items() if field.before is not None}
"""What fields stood for before they existed, so that runs of older versions can be taken up."""
_NO_RESULT = tuple(f"{section.name}." for section in SECTIONS if section.no_result)
_CHOSEN = "model.architecture"
_OWNED = ("model.", "task.", "search.space.")
"""Where the hyperparameters of architectures and tasks stand, each below the name of its owner."""


def differences(old: Mapping, new: Mapping, table: Sequence[Hyperparameter] = ()) -> list[str]:
    """Lines "key: old -> new" for fields that change results (not engine, report, cache, place of data).

    What only one config has is a difference too, unless its meaning before it existed is known, or it belongs
    to an architecture or a task that the other config's version did not have and so cannot have used. What
    belongs to an architecture that neither config tries is none.

    Args:
        old: the config of a run.
        new: the config with which it is to go on.
        table: hyperparameters of the run; those with an `absent` value had it before they existed.
    """
    before: dict[str, Any] = {}
    for row in table:
        if row.absent is not None:
            before |= {row.key: row.absent, row.space_key: ""}
    a, b = {**before, **_BEFORE, **flat(old)}, {**before, **_BEFORE, **flat(new)}
    one_sided = _owners(a) ^ _owners(b)
    return [
        f"{key}: {a.get(key)!r} -> {b.get(key)!r}"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key)
        and _counts(key)
        and _owner(key) not in one_sided
        and not (_idle(key, a) and _idle(key, b))
    ]


def _counts(key: str) -> bool:
    return not key.startswith(_NO_RESULT) and not (key in FIELDS and FIELDS[key].no_result)


def _idle(key: str, values: Mapping[str, Any]) -> bool:
    """Whether the key belongs to an architecture that a config does not try, or nothing reads it."""
    if key == "data.label_names_key":
        return no_class_names(values.get("data.source"), values.get("data.target_keys"))
    owner, searched = _owner(key), values.get("search.space.architecture")
    return key.startswith("model.") and owner is not None and not searched and owner != values.get(_CHOSEN)


def _owner(key: str) -> str | None:
    """The architecture or task of a key like "model.cnn.width" or "search.space.cnn.width"."""
    for place in _OWNED:
        name, dot, _ = key.removeprefix(place).partition(".")
        if key.startswith(place) and dot:
            return name
    return None


def _owners(values: Mapping[str, Any]) -> set[str | None]:
    return set(map(_owner, values))
