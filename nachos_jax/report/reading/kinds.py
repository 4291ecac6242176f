"""The kinds of models that a run tries: solved, fitted whole by scikit-learn, or trained in epochs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nachos_jax.core.types import Trial

LINEAR = ("linear",)
"""Architectures whose fits are solved."""
ESTIMATORS = ("gradient_boosting", "logistic", "random_forest")
"""Architectures that are fitted whole by scikit-learn, and are no networks."""


class Kinds(NamedTuple):
    """Names of architectures, each list in alphabetical order."""

    linear: list[str]
    estimators: list[str]
    networks: list[str]

    @property
    def all(self) -> list[str]:
        """Names of all kinds."""
        return sorted([*self.linear, *self.estimators, *self.networks])

    @property
    def several(self) -> bool:
        """Whether what is true of one kind has to be said of it by name."""
        return sum(map(bool, self)) > 1

    @property
    def steps(self) -> bool:
        """Whether any fit may have epochs; so it is of a run that does not say what its models are."""
        return bool(self.networks) or not self.all


def of(trials: Iterable[Trial], config: Mapping[str, Any]) -> Kinds:
    """Those of some trials; where there is none yet, that of the config's default configuration."""
    found = {str(trial.hparams.get("architecture") or "") for trial in trials}
    names = found or {str((config.get("model") or {}).get("architecture") or "")}
    apart = {*LINEAR, *ESTIMATORS}
    return Kinds(sorted(names & {*LINEAR}), sorted(names & {*ESTIMATORS}), sorted(names - apart - {""}))
