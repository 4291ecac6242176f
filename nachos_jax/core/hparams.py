"""The hyperparameters that every run has; architectures and tasks declare theirs in their own files."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import HParams, HParamValue


@dataclass(frozen=True)
class Hyperparameter:
    """One row of the table.

    Attributes:
        name: flat name; those of an architecture or of a further task are called "<owner>.<name>".
        kind: "float", "integer", "choice" or "boolean".
        low: smallest value allowed (numbers only).
        high: largest value allowed (numbers only).
        choices: the values allowed (choice only).
        static: True when the value changes shapes or code, and so chooses the bucket.
        when: (name of another hyperparameter, values of it for which this one is active).
        default: its value in the default config.
        meaning: one line for people.
        absent: the value that is left out of a fit's hyperparameters and so of its id: what every fit did
            before the row existed. None leaves out none.
        tasks: the tasks that have it; () stands for all.
        section: section of the config that holds its value, where the name has no dot.
        idles: (value, names of rows that do nothing beside it), as the learning rate of what is not trained
            step by step.
        planned: the value by which a config leaves it to the plan of the cases, see
            `nachos_jax.engine.planned`; no trial holds it.
    """

    name: str
    kind: str
    low: float = float("-inf")
    high: float = float("inf")
    choices: tuple[HParamValue, ...] = ()
    static: bool = False
    when: tuple[str, tuple[HParamValue, ...]] | None = None
    default: HParamValue | None = None
    meaning: str = ""
    absent: HParamValue | None = None
    tasks: tuple[str, ...] = ()
    section: str = "training"
    idles: tuple[tuple[HParamValue, tuple[str, ...]], ...] = ()
    planned: HParamValue | None = None

    @property
    def key(self) -> str:
        """Where its value stands in the config, e.g. "training.learning_rate" or "model.cnn.width"."""
        if "." in self.name:
            return f"task.{self.name}" if self.tasks else f"model.{self.name}"
        return f"{self.section}.{self.name}"

    @property
    def space_key(self) -> str:
        """Where its search space stands in the config."""
        return f"search.space.{self.name}"

    def applies(self, values: HParams) -> bool:
        """True when it matters beside the values of the rows before it that matter."""
        return self.when is None or values.get(self.when[0]) in self.when[1]

    def idle(self, value: HParamValue | None) -> tuple[str, ...]:
        """Names of rows that do nothing beside this value."""
        return next((names for one, names in self.idles if one == value), ())

    def check(self, value: object, where: str) -> HParamValue:
        """Returns the value in its own type, or raises UsageError with the value and the cure."""
        if self.kind == "choice":
            if value in self.choices and not isinstance(value, bool):
                # 18.0 equals the choice 18, but only the choice itself gives equal trials equal hashes.
                return self.choices[self.choices.index(value)]
            raise UsageError(f"{where} = {value!r}: must be one of {', '.join(map(repr, self.choices))}.")
        if self.kind == "boolean":
            if isinstance(value, bool):
                return value
            raise UsageError(f"{where} = {value!r}: must be True or False.")
        return self._number(value, where)

    def settled(self, value: object, where: str) -> HParamValue:
        """The same of a value that trials hold: none that a plan is still to replace."""
        found = self.check(value, where)
        if self.planned is not None and found == self.planned:
            raise UsageError(
                f"{where}: {found!r} leaves {self.name} to the plan of the cases, and can stand in "
                f"config.{self.key} alone; name numbers from {self.low:g}."
            )
        return found

    def _number(self, value: object, where: str) -> HParamValue:
        whole = self.kind == "integer"
        if self.planned is not None and value == self.planned and not isinstance(value, bool):
            return self.planned
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high:
            # An int compares exactly, whatever its size, but the largest have no float.
            if not whole and (isinstance(value, float) or abs(value) <= sys.float_info.max):
                return float(value)
            if whole and (isinstance(value, int) or value.is_integer()):
                return int(value)
        noun = "a whole number" if whole else "a number"
        plan = "" if self.planned is None else f", or {self.planned} to have it planned from the cases"
        raise UsageError(f"{where} = {value!r}: must be {noun} from {self.low:g} to {self.high:g}{plan}.")


def _number(name: str, default: float, low: float, high: float, meaning: str, **more: Any) -> Hyperparameter:
    return Hyperparameter(name, "float", low, high, default=default, meaning=meaning, **more)


def _choice(name: str, choices: tuple[str, ...], meaning: str, **more: Any) -> Hyperparameter:
    return Hyperparameter(name, "choice", choices=choices, default=choices[0], meaning=meaning, **more)


_BATCH = "cases a step; the last short batch of an epoch is left out; segmentation: 0 = planned"
_SCHEDULE = (
    'learning rate over time; "inverse_time" as in NACHOS, "cosine" and "poly" to 0 at `epochs`, "plateau" '
    "falls when the training loss stands still"
)
_SCHEDULES = ("constant", "inverse_time", "cosine", "poly", "plateau")
_POLY, _PLATEAU = ("schedule", ("poly",)), ("schedule", ("plateau",))
_WAIT = "epochs without a lower smoothed training loss before the rate falls"
_CLIP = "largest global norm of the gradient, longer ones are shortened to it; 0 = none"
_DRAWN = "how often cases are drawn: 0 = each once an epoch, 1 = all classes alike, between = softened"
_SGD = ("optimizer", ("sgd",))
_ADAM = ("optimizer", ("adam", "adamw"))

OPTIMISATION: tuple[Hyperparameter, ...] = (
    Hyperparameter("batch_size", "integer", 1, 65536, static=True, default=64, meaning=_BATCH, planned=0),
    _choice("optimizer", ("sgd", "adam", "adamw"), "update rule", static=True),
    _number("learning_rate", 0.02, 1e-8, 100.0, "step size at the top of the schedule"),
    _number("momentum", 0.9, 0.0, 0.9999, "decay of the velocity", when=_SGD),
    Hyperparameter("nesterov", "boolean", when=_SGD, default=True, meaning="look-ahead momentum"),
    _number("beta1", 0.9, 0.0, 0.9999, "decay of Adam's first moment", when=_ADAM),
    _number("beta2", 0.999, 0.0, 0.999999, "decay of Adam's second moment", when=_ADAM),
    _number("weight_decay", 1e-4, 0.0, 10.0, "L2 strength, added to the gradient; decoupled for adamw"),
    _choice("schedule", _SCHEDULES, _SCHEDULE),
    _number("decay", 1e-3, 0.0, 1e3, "rate / (1 + decay * step)", when=("schedule", ("inverse_time",))),
    _number("poly_power", 0.9, 0.0, 10.0, "rate x (1 - epoch / epochs) ^ this", when=_POLY, absent=0.9),
    _number("plateau_factor", 0.2, 0.0, 1.0, "what a fall multiplies the rate by", when=_PLATEAU, absent=0.2),
    Hyperparameter(
        "plateau_patience", "integer", 0, 10**6, when=_PLATEAU, default=30, meaning=_WAIT, absent=30
    ),
    _number("warmup_epochs", 0.0, 0.0, 1e4, "linear rise from 0, in epochs"),
    _number("gradient_clip", 0.0, 0.0, 1e6, _CLIP, absent=0.0),
    _number("balanced_sampling", 0.0, 0.0, 1.0, _DRAWN, absent=0.0, tasks=("classification",)),
)
"""Rows before those of the tasks."""


def _strength(name: str, high: float, meaning: str) -> Hyperparameter:
    return _number(name, 0.0, 0.0, high, meaning, section="augmentation")


_FLIP = "probability of a left-right flip; anatomy has a left and a right: think before you flip"
_GEOMETRIC = (
    _strength("rotation", 180.0, "largest rotation, degrees"),
    _strength("shift", 0.5, "largest shift, fraction of the side"),
    _strength("scale", 0.9, "largest relative change of size"),
)
_AUGMENTATION = (
    _strength("flip_horizontal", 1.0, _FLIP),
    _strength("flip_vertical", 1.0, "probability of an up-down flip"),
    *_GEOMETRIC,
    _strength("brightness", 5.0, "largest shift of intensity, in SDs of the training pixels"),
    _strength("contrast", 0.95, "largest relative change of contrast"),
    _strength("gamma", 2.0, "largest change of log-gamma"),
    _strength("noise", 5.0, "largest SD of added Gaussian noise, in SDs of the training pixels"),
)

FLIP_DEPTH = _number(
    "flip_depth",
    0.0,
    0.0,
    1.0,
    "volumes: probability of a flip along the depth",
    section="augmentation",
    absent=0.0,
    tasks=("classification", "multilabel", "regression"),
)
"""Of the tasks whose cases may be whole volumes; segmentation has its own."""

REGULARISATION: tuple[Hyperparameter, ...] = (
    _number("dropout", 0.0, 0.0, 0.95, "drop probability before the classifier"),
    *_AUGMENTATION,
)
"""Rows after those of the tasks."""

_PREPARED = functools.partial(Hyperparameter, kind="choice", static=True, section="data")
PREPARATION = (
    _PREPARED(
        "aspect",
        choices=("stretch", "pad", "crop"),
        default="stretch",
        meaning='"pad": resized within the size wanted, the rest is black; "crop": so, what is no background',
    ),
    _PREPARED(
        "spacing",
        choices=("", "mean", "median"),
        default="",
        meaning='of masks and whole volumes: resampled to the mean or median of all headers; "" = as stored',
    ),
    _PREPARED(
        "clahe",
        choices=(0, 1, 2, 3, 4, 6, 8),
        default=0,
        meaning="gray images: contrast-limited adaptive histogram equalisation, the limit in mean counts of "
        "a bin; 0 = none",
    ),
)
"""How cases are prepared before any fit sees them: each value that is tried has a store of its own.
They are fields of config.data too, by the same names. `Hyperparameter.absent` is the value
of the config, see `of_config`, so that only fits of another store are told apart by it."""
PREPARED = tuple(row.name for row in PREPARATION)

BY_TRAINING = "training"
"""Normalisation of pixels by the training cases, as all fits did before it was a choice: it is left out of
their hyperparameters, whatever config.data.normalisation says."""

GEOMETRIC = tuple(row.name for row in _GEOMETRIC)
AUGMENTATION = tuple(row.name for row in _AUGMENTATION)


def whole_table(
    tasks: Iterable[Hyperparameter], models: Iterable[Hyperparameter]
) -> tuple[Hyperparameter, ...]:
    """All hyperparameters in the order that the dimensions of a Sobol sequence follow."""
    return (*OPTIMISATION, *tasks, *REGULARISATION, *models, *PREPARATION)


def of_config(table: Iterable[Hyperparameter], values: HParams) -> tuple[Hyperparameter, ...]:
    """The rows of a run: what its config says of the preparation is what is left out of its fits."""
    return tuple(replace(row, absent=values[row.name]) if row.name in PREPARED else row for row in table)


def preparation_of(hparams: HParams) -> tuple[tuple[str, HParamValue], ...]:
    """What of a fit's hyperparameters names its store; () of the store of the config."""
    return tuple((name, hparams[name]) for name in PREPARED if name in hparams)


def of_task(table: Iterable[Hyperparameter], task: str) -> tuple[Hyperparameter, ...]:
    """The rows that a task has, in the order of the table."""
    return tuple(row for row in table if not row.tasks or task in row.tasks)


def active(values: HParams, table: Iterable[Hyperparameter]) -> dict[str, HParamValue]:
    """Drops the hyperparameters that cannot matter, so that equal trials have equal hashes.

    The table's `when` refers to rows before; values at their `absent` value are dropped too.
    """
    rows, matter = by_name(table), {}
    idle = idle_beside(values, rows.values())
    for row in rows.values():
        if row.name not in idle and row.applies(matter):
            matter[row.name] = values[row.name]
    return {n: value for n, value in matter.items() if rows[n].absent is None or value != rows[n].absent}


def idle_beside(values: HParams, table: Iterable[Hyperparameter]) -> set[str]:
    """Names of the rows that do nothing beside these values; one not among them is at its `absent`."""
    rows = [row for row in table if row.idles]
    return {name for row in rows for name in row.idle(values.get(row.name, row.absent))}


def with_absent(hparams: HParams, table: Iterable[Hyperparameter]) -> dict[str, HParamValue]:
    """What `active` returned, with what it left out at its `absent` value, in the order of the table."""
    matter: dict[str, HParamValue] = {}
    for row in table:
        if row.name in hparams:
            matter[row.name] = hparams[row.name]
        elif row.absent is not None and row.applies(matter):
            matter[row.name] = row.absent
    return matter


def by_name(table: Iterable[Hyperparameter]) -> Mapping[str, Hyperparameter]:
    """The table as a dictionary."""
    return {row.name: row for row in table}
