"""Search spaces, written in configs as short texts: log(1e-4, 1e-1), choice("sgd", "adam").

The functions `uniform`, `log`, `integer`, `log_integer` and `choice` return these texts, so a config
file, a command line flag and the stored run all hold the same readable value.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParamValue

FORMS = ("uniform", "log", "integer", "log_integer", "choice")


@dataclass(frozen=True)
class Dimension:
    """One searched hyperparameter."""

    name: str  # flat hyperparameter name
    kind: str  # "uniform", "log", "integer", "log_integer" or "choice"
    low: float = 0.0  # lower bound, inclusive (not for choice)
    high: float = 0.0  # upper bound, inclusive (not for choice)
    values: tuple[HParamValue, ...] = ()  # the choices (choice only)

    def at(self, u: float) -> HParamValue:
        """The value at quantile u in [0, 1) of this dimension."""
        if self.kind == "choice":
            return self.values[min(int(u * len(self.values)), len(self.values) - 1)]
        if self.kind == "uniform":
            return self._within(self.low + u * (self.high - self.low))
        if self.kind == "log":
            low, high = math.log(self.low), math.log(self.high)
            return self._within(math.exp(low + u * (high - low)))
        if self.kind == "integer":
            return int(self._within(math.floor(self.low + u * (self.high - self.low + 1))))
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return int(self._within(math.floor(math.exp(low + u * (high - low)) + 0.5)))

    def holds(self, value: object) -> bool:
        """True when the value is one that the dimension can take."""
        if self.kind == "choice":
            return value in self.values
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def cell(self, value: Any) -> tuple[float, float]:
        """The quantiles between which `at` gives a value that the dimension holds; equal where it is real."""
        if self.kind == "choice":
            place, count = self.values.index(value), len(self.values)
            return place / count, (place + 1) / count
        if self.kind in ("integer", "log_integer"):
            logarithmic, half = self.kind == "log_integer", 0.5
            scale = math.log if logarithmic else float
            low, high = scale(self.low - half), scale(self.high + half)
            return (scale(value - half) - low) / (high - low), (scale(value + half) - low) / (high - low)
        scale = math.log if self.kind == "log" else float
        quantile = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return quantile, quantile

    def _within(self, value: float) -> float:
        # exp(log(low)) can be less than low, and a bound may be the bound of the hyperparameter itself.
        return min(max(value, self.low), self.high)


def uniform(low: float, high: float) -> str:
    """Real numbers from low to high."""
    return f"uniform({low!r}, {high!r})"


def log(low: float, high: float) -> str:
    """Positive real numbers from low to high, uniform in their logarithm."""
    return f"log({low!r}, {high!r})"


def integer(low: int, high: int) -> str:
    """Whole numbers from low to high."""
    return f"integer({low!r}, {high!r})"


def log_integer(low: int, high: int) -> str:
    """Positive whole numbers from low to high, uniform in their logarithm."""
    return f"log_integer({low!r}, {high!r})"


def choice(*values: HParamValue) -> str:
    """One of the values given."""
    return f"choice({', '.join(repr(value) for value in values)})"


def parse(text: str, row: Hyperparameter, where: str) -> Dimension:
    """Reads a space text, e.g. "log(0.0001, 0.1)", for one row of the hyperparameter table.

    Raises:
        UsageError: the text is not one of the forms, or its values do not fit the row; it names `where`.
    """
    kind, values = _call(text, where)
    if kind == "choice":
        if not values:
            raise UsageError(f"{where} = {text!r}: choice() needs at least one value.")
        checked = tuple(row.settled(value, where) for value in values)
        if len(set(checked)) != len(checked):
            raise UsageError(f"{where} = {text!r}: a value stands twice; list each once.")
        return Dimension(row.name, "choice", values=checked)
    if row.kind in ("choice", "boolean"):
        raise UsageError(f"{where} = {text!r}: {row.name} has no order; use choice(...).")
    if len(values) != 2:
        raise UsageError(f"{where} = {text!r}: {kind}(low, high) takes two numbers.")
    if row.kind == "integer" and kind in ("uniform", "log"):
        raise UsageError(f"{where} = {text!r}: {row.name} is whole; use integer or log_integer.")
    if row.kind == "float" and kind in ("integer", "log_integer"):
        raise UsageError(f"{where} = {text!r}: {row.name} is real; use uniform or log.")
    low, high = (float(row.settled(value, where)) for value in values)
    _check_bounds(kind, low, high, f"{where} = {text!r}")
    return Dimension(row.name, kind, low, high)


def _check_bounds(kind: str, low: float, high: float, where: str) -> None:
    if math.isinf(low) or math.isinf(high):
        raise UsageError(f"{where}: both bounds must be finite.")
    if not low < high:
        raise UsageError(f"{where}: low must be less than high.")
    if kind.startswith("log") and low <= 0:
        raise UsageError(f"{where}: a logarithmic range starts above 0.")


def _call(text: str, where: str) -> tuple[str, list]:
    cure = "write uniform(a, b), log(a, b), integer(a, b), log_integer(a, b) or choice(a, b, ...)"
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
            raise ValueError(text)
        values = [ast.literal_eval(value) for value in call.args]
    except (ValueError, SyntaxError, TypeError) as error:
        raise UsageError(f"{where} = {text!r} is no search space; {cure}.") from error
    if call.func.id not in FORMS:
        raise UsageError(f"{where} = {text!r} is no search space; {cure}.")
    return call.func.id, values
