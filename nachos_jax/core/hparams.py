"""The table of training hyperparameters; architectures declare theirs in their own files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import HParams, HParamValue


@dataclass(frozen=True)
class Hyperparameter:
    """One row of the table.

    Attributes:
        name: flat name; architecture hyperparameters are called "<architecture>.<name>".
        kind: "float", "integer", "choice" or "boolean".
        low: smallest value allowed (numbers only).
        high: largest value allowed (numbers only).
        choices: the values allowed (choice only).
        static: True when the value changes shapes or code, and so chooses the bucket.
        when: (name of another hyperparameter, values of it for which this one is active).
        default: default of an architecture's hyperparameter; the training ones have theirs in
            configs/base.py.
        meaning: one line for people.
    """

    name: str
    kind: str
    low: float = float("-inf")
    high: float = float("inf")
    choices: tuple[HParamValue, ...] = ()
    static: bool = False
    when: tuple[str, tuple[HParamValue, ...]] | None = None
    default: HParamValue | None = None
    absent: HParamValue | None = None
    meaning: str = ""

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

    def _number(self, value: object, where: str) -> HParamValue:
        whole = self.kind == "integer"
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high:
            # An int compares exactly, whatever its size, but the largest have no float.
            if not whole and (isinstance(value, float) or abs(value) <= sys.float_info.max):
                return float(value)
            if whole and (isinstance(value, int) or value.is_integer()):
                return int(value)
        noun = "a whole number" if whole else "a number"
        raise UsageError(f"{where} = {value!r}: must be {noun} from {self.low:g} to {self.high:g}.")


def _number(name: str, low: float, high: float, meaning: str, **more) -> Hyperparameter:
    return Hyperparameter(name, "float", low, high, meaning=meaning, **more)


_SGD = ("optimizer", ("sgd",))
_ADAM = ("optimizer", ("adam", "adamw"))

TRAINING: tuple[Hyperparameter, ...] = (
    Hyperparameter("batch_size", "integer", 1, 65536, static=True, meaning="cases a training step"),
    Hyperparameter(
        "optimizer", "choice", choices=("sgd", "adam", "adamw"), static=True, meaning="update rule"
    ),
    _number("learning_rate", 1e-8, 100.0, "step size at the top of the schedule"),
    _number("momentum", 0.0, 0.9999, "decay of the velocity", when=_SGD),
    Hyperparameter("nesterov", "boolean", when=_SGD, meaning="look-ahead momentum"),
    _number("beta1", 0.0, 0.9999, "decay of Adam's first moment", when=_ADAM),
    _number("beta2", 0.0, 0.999999, "decay of Adam's second moment", when=_ADAM),
    _number("weight_decay", 0.0, 10.0, "L2 strength (decoupled for AdamW)"),
    Hyperparameter(
        "schedule",
        "choice",
        choices=("constant", "inverse_time", "cosine"),
        meaning="learning rate over time",
    ),
    _number("decay", 0.0, 1e3, "inverse-time decay a step", when=("schedule", ("inverse_time",))),
    _number("warmup_epochs", 0.0, 1e4, "linear warm-up"),
    _number("label_smoothing", 0.0, 0.5, "mass moved to the uniform distribution"),
    _number("class_weight_exponent", 0.0, 4.0, "0 = no class weights, 1 = balanced"),
    _number("dropout", 0.0, 0.95, "drop probability before the classifier"),
    _number("flip_horizontal", 0.0, 1.0, "probability of a left-right flip"),
    _number("flip_vertical", 0.0, 1.0, "probability of an up-down flip"),
    _number("rotation", 0.0, 180.0, "largest rotation, degrees"),
    _number("shift", 0.0, 0.5, "largest shift, fraction of the side"),
    _number("scale", 0.0, 0.9, "largest relative change of size"),
    _number("brightness", 0.0, 5.0, "largest shift of intensity, in training SDs"),
    _number("contrast", 0.0, 0.95, "largest relative change of contrast"),
    _number("gamma", 0.0, 2.0, "largest change of log-gamma"),
    _number("noise", 0.0, 5.0, "largest SD of added Gaussian noise, in training SDs"),
)

GEOMETRIC = ("rotation", "shift", "scale")
AUGMENTATION = (
    "flip_horizontal",
    "flip_vertical",
    *GEOMETRIC,
    "brightness",
    "contrast",
    "gamma",
    "noise",
)


def active(values: HParams, table: Iterable[Hyperparameter]) -> dict[str, HParamValue]:
    """Drops the hyperparameters that cannot matter, so that equal trials have equal hashes.

    Args:
        values: a value for every row of the table.
        table: rows whose `when` refers to rows before them.

    Returns:
        The active ones by name, in the order of the table.
    """
    kept: dict[str, HParamValue] = {}
    for row in table:
        if row.when is None or kept.get(row.when[0]) in row.when[1]:
            kept[row.name] = values[row.name]
    return kept


def by_name(table: Iterable[Hyperparameter]) -> Mapping[str, Hyperparameter]:
    """The table as a dictionary."""
    return {row.name: row for row in table}
