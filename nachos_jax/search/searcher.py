"""The contract of all searchers: given the trials of a study so far, propose the next ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter, active, by_name
from nachos_jax.core.space import Dimension
from nachos_jax.core.types import HParams, HParamValue, Trial, TrialScore

History = Sequence[tuple[Trial, TrialScore | None]]
"""All trials of one study in order of number, with None for the score of a running one."""


@dataclass(frozen=True)
class Proposal:
    """A trial before it has a number."""

    hparams: HParams  # the active hyperparameters, in the order of the table
    origin: str  # who proposed it: "default", "random", "sobol", "ax"


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
        return any(contains(dimension, value) for value in wanted)

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

        return complete({}, self.table)


def contains(dimension: Dimension, value: object) -> bool:
    """True when the value is one that the dimension can take."""
    if dimension.kind == "choice":
        return value in dimension.values
    return isinstance(value, (int, float)) and dimension.low <= value <= dimension.high


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
