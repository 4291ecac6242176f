"""The contract of all searchers: given the trials of a study so far, propose the next ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter, active, by_name
from nachos_jax.core.space import Dimension
from nachos_jax.core.types import HParams, HParamValue, Trial


@dataclass(frozen=True)
class Heard:
    """What a study has heard of one of its trials.

    Attributes:
        trial: the trial.
        score: mean selection metric over all inner folds, higher is better: seen, or as the policy expects it
            of a trial that was stopped; None while it runs or when it has failed.
        error: standard error of that score that comes from folds not seen; 0.0 when all were seen.
        failed: whether a training met NaN or infinity, or a metric was undefined.
        rungs: epoch limit -> mean score under it over the folds seen, for searchers that learn from short
            fits; that of a whole fit is the last. Empty where all fits are whole.
        whole: whether the last of the rungs is the whole limit.
    """

    trial: Trial
    score: float | None = None
    error: float = 0.0
    failed: bool = False
    rungs: Mapping[int, float] = field(default_factory=dict)
    whole: bool = False


History = Sequence[Heard]
"""What is heard of all trials of one study, in order of number."""


@dataclass(frozen=True)
class Proposal:
    """A trial before it has a number."""

    hparams: HParams  # the active hyperparameters, in the order of the table
    origin: str  # who proposed it: "default", "prior", or the name of a searcher


class Searcher(Protocol):
    """Proposes trials for one study; what it proposes follows from its setting and the history alone."""

    def ask(self, count: int, history: History) -> list[Proposal]:
        """The next trials of the study; the same history gives the same proposals.

        Args:
            count: number of proposals wanted.
            history: all trials of this study so far, running ones included.

        Returns:
            `count` proposals that differ from each other and from the history; fewer, down to none,
            only when the search space holds no other configuration.
        """
        ...


@dataclass(frozen=True)
class SearchSetting:
    """All that a searcher is built from.

    Raises:
        UsageError: a searched hyperparameter is not in the table, or one of the table has no default.
    """

    defaults: HParams  # a value for every row of the table, inactive ones included
    space: tuple[Dimension, ...]  # the searched hyperparameters
    table: tuple[Hyperparameter, ...]  # all hyperparameters; a row's `when` refers to a row before it
    seed: int  # of the run
    study: int | None  # outer fold number, or None for deployment
    initial: int  # trials drawn without looking at data, the default included, before scores are learned from
    priors: tuple[HParams, ...] = ()  # configurations of the user, which follow the default

    def __post_init__(self):
        rows = by_name(self.table)
        for dimension in self.space:
            if dimension.name not in rows:
                raise UsageError(
                    f"{dimension.name} is searched but is no hyperparameter; take it out of the search space."
                )
        for name in rows:
            if name not in self.defaults:
                raise UsageError(f"hyperparameter {name} has no default: give it a value in the config.")

    @classmethod
    def of(cls, run: RunConfig, study: int | None) -> SearchSetting:
        """The setting of one study of a run."""
        search = run.search
        return cls(run.defaults, search.space, run.table, run.seed, study, search.initial, search.priors)

    @cached_property
    def given(self) -> tuple[Proposal, ...]:
        """The trials before any that is drawn: the default, and the priors that differ from it."""
        first = Proposal(self.canonical({}), "default")
        found = {identity(first.hparams): first}
        for prior in self.priors:
            hparams = self.canonical(prior)
            found.setdefault(identity(hparams), Proposal(hparams, "prior"))
        return tuple(found.values())

    @cached_property
    def searched(self) -> tuple[Dimension, ...]:
        """The dimensions that some configuration of the space makes active."""
        dimensions = {dimension.name: dimension for dimension in self.space}
        reachable: set[str] = set()
        for row in self.table:
            if row.when is None or (row.when[0] in reachable and self._can_hold(dimensions, *row.when)):
                reachable.add(row.name)
        return tuple(dimension for dimension in self.space if dimension.name in reachable)

    def _can_hold(self, dimensions: Mapping[str, Dimension], name: str, wanted: tuple) -> bool:
        dimension = dimensions.get(name)
        if dimension is None:
            return self.defaults[name] in wanted
        return any(dimension.holds(value) for value in wanted)

    def canonical(self, values: HParams) -> dict[str, HParamValue]:
        """Fills in defaults, gives every value its own type and drops what is inactive.

        Args:
            values: values of any of the hyperparameters.

        Raises:
            UsageError: a value does not fit its row of the table.
        """
        full = {
            row.name: row.check(values.get(row.name, self.defaults[row.name]), row.name) for row in self.table
        }
        return active(full, self.table)

    def at(self, point: Iterable[float]) -> dict[str, HParamValue]:
        """The configuration at one quantile in [0, 1) for each of the searched dimensions."""
        pairs = zip(self.searched, point, strict=True)
        return self.canonical({dimension.name: dimension.at(float(u)) for dimension, u in pairs})

    def grid(self) -> Iterator[dict[str, HParamValue]]:
        """Every configuration of the discrete dimensions once; continuous ones stay at their middle."""
        dimensions = {dimension.name: dimension for dimension in self.searched}

        def complete(kept: dict[str, HParamValue], rows: Sequence[Hyperparameter]):
            if not rows:
                yield active(kept, self.table)
                return
            row, rest = rows[0], rows[1:]
            if not row.applies(kept):
                yield from complete(kept, rest)
                return
            dimension = dimensions.get(row.name)
            for value in [self.defaults[row.name]] if dimension is None else levels(dimension):
                yield from complete({**kept, row.name: row.check(value, row.name)}, rest)

        seen: set[frozenset] = set()
        for found in complete({}, self.table):
            # Values that do nothing beside another one make equal configurations of different ones.
            if identity(found) not in seen:
                seen.add(identity(found))
                yield found


def levels(dimension: Dimension) -> Sequence[HParamValue]:
    """All values of a discrete dimension; the middle one of a continuous dimension."""
    if dimension.kind == "choice":
        return dimension.values
    if dimension.kind in ("integer", "log_integer"):
        return range(int(dimension.low), int(dimension.high) + 1)
    return (dimension.at(0.5),)


def identity(hparams: HParams) -> frozenset:
    """What two equal configurations have in common."""
    return frozenset(hparams.items())
