"""From a ConfigDict to a frozen, checked RunConfig: every check of a config lives here.

Defaults live in configs/base.py alone; this file knows none.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nachos_jax.config import subgroups
from nachos_jax.core import hparams as hp
from nachos_jax.core import space
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, HParams

WAIVER = "one_case_per_subject"
PROTOCOLS = ("nested", "flat")
SCHEMES = ("stratified", "predefined", "site")
SOURCES = ("digits", "npz", "folder", "csv", "arrays")
"""`arrays`: the cases are given from Python, see nachos_jax.cohort_from_arrays."""
PACKINGS = ("vmap", "map", "blocks")
LOWERINGS = ("lax", "custom", "shift", "im2col")
_NO_RESULT = ("data.cache", "data.path", "data.residency", "deploy.members")
"""Fields beside `engine` and `report` that may differ when a run is taken up again."""
_BEFORE = {"protocol": "nested"}
"""What fields stood for before they existed, so that runs of older versions can be taken up."""
RESIDENCIES = ("auto", "resident", "stream")
KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", list: "a list"}
"""How people call the types of fields."""


@dataclass(frozen=True)
class DataConfig:
    """config.data; the meaning of each field stands in configs/base.py."""

    source: str
    path: str
    image_key: str
    label_key: str
    label_names_key: str
    subject_key: str
    site_key: str
    fold_key: str
    subject: str
    classes: tuple[str, ...]
    height: int
    width: int
    channels: int
    aspect: str
    cache: str
    residency: str
    window: int
    columns: tuple[str, ...]
    """Further columns to read, those that config.report.subgroups names."""
    predefined: bool
    """Whether config.folds.scheme divides the cases by the fold column."""


@dataclass(frozen=True)
class FoldsConfig:
    """config.folds."""

    scheme: str
    count: int
    repeats: int


@dataclass(frozen=True)
class SearchConfig:
    """config.search; `space` holds only what is searched."""

    searcher: str
    trials: int
    initial: int
    proposals: int
    metric: str
    rule: str
    space: tuple[space.Dimension, ...]


@dataclass(frozen=True)
class EngineConfig:
    """config.engine."""

    lanes: int
    packing: str
    convolution: str
    memory_fraction: float
    checkpoint_epochs: int


@dataclass(frozen=True)
class ReportConfig:
    """config.report; the meaning of each field stands in configs/base.py."""

    subgroups: tuple[subgroups.Subgroups, ...]
    positive: str
    threshold: str
    level: float
    replicates: int
    gallery: int
    price: float
    currency: str
    watts: float


@dataclass(frozen=True)
class RunConfig:
    """A run, checked.

    Attributes:
        seed: names every random number.
        protocol: "nested", or "flat": plain K-fold cross-validation, corrected for the choice (BBC-CV).
        data: where the cases come from.
        folds: how they are divided.
        defaults: a value for every row of `table`, active or not.
        table: all hyperparameters, training and architecture.
        limit: when a search fit ends.
        precision: "float32" or "bfloat16".
        search: who proposes trials.
        engine: how fits are trained.
        members: "one" or "folds", the networks of the deployed model.
        report: what the report shows.
        raw: the whole config as nested plain values, as stored in run.json.
    """

    seed: int
    protocol: str
    data: DataConfig
    folds: FoldsConfig
    defaults: HParams
    table: tuple[hp.Hyperparameter, ...]
    limit: EpochLimit
    precision: str
    search: SearchConfig
    engine: EngineConfig
    members: str
    report: ReportConfig
    raw: Mapping[str, Any]

    @property
    def augmentations(self) -> frozenset[str]:
        """Augmentations that any trial of this run can use; the others are not compiled in."""
        return frozenset(name for name in hp.AUGMENTATION if self.uses(name))

    def uses(self, name: str) -> bool:
        """True when some trial of this run can give the hyperparameter another value than 0."""
        return self.defaults[name] != 0 or any(dimension.name == name for dimension in self.search.space)

    def candidates(self, name: str) -> tuple:
        """All values that a hyperparameter can take, or its bounds if it is a range."""
        for dimension in self.search.space:
            if dimension.name == name:
                number = type(self.defaults[name])  # a dimension keeps the bounds of whole numbers as floats
                return (
                    self.defaults[name],
                    *(dimension.values or map(number, (dimension.low, dimension.high))),
                )
        return (self.defaults[name],)


def parse(config: Mapping, reference: Mapping, table: Sequence[hp.Hyperparameter]) -> RunConfig:
    """Checks a config and freezes it.

    Args:
        config: the user's, nested mappings.
        reference: the default config: names and types of all fields.
        table: all hyperparameters, training and architecture.

    Returns:
        The run.

    Raises:
        UsageError: an unknown or missing key, a value of the wrong type or out of range.
    """
    values = dict(_flatten(config))
    _check_keys(values, dict(_flatten(reference)))
    raw = _nest(values)
    rows = hp.by_name(table)
    defaults = {name: row.check(values[_key(name)], f"config.{_key(name)}") for name, row in rows.items()}
    limit = _limit(values)
    search = _search(values, rows)
    _whole(values, "seed", 0, 2**31 - 1)
    return RunConfig(
        seed=values["seed"],
        protocol=_one_of(values, "protocol", PROTOCOLS),
        data=_data(values, raw),
        folds=_folds(values),
        defaults=defaults,
        table=tuple(table),
        limit=limit,
        precision=_one_of(values, "training.precision", ("float32", "bfloat16")),
        search=search,
        engine=_engine(values),
        members=_one_of(values, "deploy.members", ("one", "folds")),
        report=report(raw["report"]),
        raw=raw,
    )


def report(raw: Mapping[str, Any]) -> ReportConfig:
    """Checks config.report alone, as it stands in a config or beside the records of a run.

    Raises:
        UsageError: a value out of range.
    """
    values = {f"report.{key}": value for key, value in raw.items()}
    return ReportConfig(
        subgroups=subgroups.parse(raw["subgroups"]),
        positive=raw["positive"],
        threshold=raw["threshold"],
        level=_real(values, "report.level", 0.5, 0.999),
        replicates=_whole(values, "report.replicates", 200, 100_000),
        gallery=_whole(values, "report.gallery", 0, 100),
        price=_real(values, "report.price", 0.0, 1e6),
        currency=raw["currency"],
        watts=_real(values, "report.watts", 0.0, 1e6),
    )


def differences(old: Mapping, new: Mapping) -> list[str]:
    """Lines "key: old -> new" for fields that change results (not engine, report, cache, place of data)."""
    a, b = {**_BEFORE, **dict(_flatten(old))}, {**_BEFORE, **dict(_flatten(new))}
    lines = []
    for key in sorted(a.keys() | b.keys()):
        if key.startswith(("engine.", "report.")) or key in _NO_RESULT:
            continue
        if a.get(key) != b.get(key):
            lines.append(f"{key}: {a.get(key)!r} -> {b.get(key)!r}")
    return lines


def _key(name: str) -> str:
    """Where a hyperparameter's value stands in the config."""
    if "." in name or name in ("architecture", "norm"):
        return f"model.{name}"
    return f"augmentation.{name}" if name in hp.AUGMENTATION else f"training.{name}"


def _flatten(config: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in config:
        value = config[key]
        if isinstance(value, Mapping) or hasattr(value, "items"):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, (tuple, list)) else value


def _nest(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *folders, leaf = key.split(".")
        inner = nested
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[leaf] = value
    return nested


def _check_keys(values: Mapping[str, Any], reference: Mapping[str, Any]) -> None:
    for key in values:
        if key not in reference:
            close = difflib.get_close_matches(key, reference, 1, 0.5)
            hint = f" Did you mean config.{close[0]}?" if close else " configs/base.py lists all fields."
            raise UsageError(f"config.{key} = {values[key]!r}: there is no such field.{hint}")
    for key, default in reference.items():
        if key not in values:
            raise UsageError(
                f"config.{key} is missing: start your config from nachos_jax.default_config() and change it."
            )
        wanted = (int, float) if isinstance(default, float) else type(default)
        fits = isinstance(values[key], wanted) and isinstance(values[key], bool) == isinstance(default, bool)
        if not fits:
            raise UsageError(
                f"config.{key} = {values[key]!r}: must be {KINDS[type(default)]}, like {default!r}."
            )


def _whole(values: Mapping[str, Any], key: str, low: int, high: int) -> int:
    if not low <= values[key] <= high:
        raise UsageError(f"config.{key} = {values[key]!r}: must be a whole number from {low} to {high}.")
    return values[key]


def _real(values: Mapping[str, Any], key: str, low: float, high: float) -> float:
    if not low <= values[key] <= high:
        raise UsageError(f"config.{key} = {values[key]!r}: must be a number from {low:g} to {high:g}.")
    return float(values[key])


def _one_of(values: Mapping[str, Any], key: str, choices: Sequence[str]) -> str:
    if values[key] not in choices:
        raise UsageError(f"config.{key} = {values[key]!r}: must be one of {', '.join(map(repr, choices))}.")
    return values[key]


def _data(values: Mapping[str, Any], raw: Mapping[str, Any]) -> DataConfig:
    source = _one_of(values, "data.source", SOURCES)
    _one_of(values, "data.subject", ("", WAIVER))
    _one_of(values, "data.aspect", ("stretch", "pad"))
    _one_of(values, "data.residency", RESIDENCIES)
    _whole(values, "data.window", 1, 10**9)
    if values["data.channels"] not in (0, 1, 3):
        raise UsageError(
            f"config.data.channels = {values['data.channels']!r}: must be 0 (as stored), 1 or 3."
        )
    _whole(values, "data.height", 0, 8192)
    _whole(values, "data.width", 0, 8192)
    if bool(values["data.height"]) != bool(values["data.width"]):
        raise UsageError(
            f"config.data.height = {values['data.height']} with config.data.width = {values['data.width']}: "
            "set both, or neither (0)."
        )
    if not all(isinstance(name, str) for name in values["data.classes"]):
        as_text = tuple(map(str, values["data.classes"]))
        raise UsageError(
            f"config.data.classes = {values['data.classes']!r}: must be texts, like {as_text!r}."
        )
    if source not in ("digits", "arrays") and not values["data.path"]:
        raise UsageError(f"config.data.path is empty: name the file or folder that source {source!r} reads.")
    columns = tuple(group.column for group in subgroups.parse(raw["report"]["subgroups"]))
    return DataConfig(
        **{**raw["data"], "classes": tuple(raw["data"]["classes"])},
        columns=columns,
        predefined=values["folds.scheme"] == "predefined",
    )


def _folds(values: Mapping[str, Any]) -> FoldsConfig:
    return FoldsConfig(
        scheme=_one_of(values, "folds.scheme", SCHEMES),
        count=_whole(values, "folds.count", 2, 1000),
        repeats=_whole(values, "folds.repeats", 1, 1000),
    )


def _limit(values: Mapping[str, Any]) -> EpochLimit:
    epochs = _whole(values, "training.epochs", 1, 100_000)
    patience = _whole(values, "training.patience", 1, 100_000)
    min_delta = _real(values, "training.min_delta", 0.0, 1e6)
    # Without early stopping a watcher still follows every epoch: patience beyond the limit never ends it.
    return EpochLimit(epochs, patience if values["training.early_stopping"] else epochs, min_delta)


def _search(values: Mapping[str, Any], rows: Mapping[str, hp.Hyperparameter]) -> SearchConfig:
    dimensions = []
    for name, row in rows.items():
        where = f"search.space.{name}"
        if values[where]:
            dimensions.append(space.parse(values[where], row, f"config.{where}"))
    return SearchConfig(
        searcher=values["search.searcher"],
        trials=_whole(values, "search.trials", 1, 100_000),
        initial=_whole(values, "search.initial", 1, 100_000),
        proposals=_whole(values, "search.proposals", 1, 10_000),
        metric=values["search.metric"],
        rule=_one_of(values, "search.rule", ("best", "one-se")),
        space=tuple(dimensions),
    )


def _engine(values: Mapping[str, Any]) -> EngineConfig:
    return EngineConfig(
        lanes=_whole(values, "engine.lanes", 0, 65536),
        packing=_one_of(values, "engine.packing", ("auto", *PACKINGS)),
        convolution=_one_of(values, "engine.convolution", ("auto", *LOWERINGS)),
        memory_fraction=_real(values, "engine.memory_fraction", 0.01, 1.0),
        checkpoint_epochs=_whole(values, "engine.checkpoint_epochs", 0, 100_000),
    )
