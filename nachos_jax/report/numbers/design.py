"""Do the trials of a search form a design: a full grid, or one change at a time from the default?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from nachos_jax.core.types import HParams, HParamValue
from nachos_jax.report.reading.searches import Search

GRID, ONE_AT_A_TIME = "full grid", "one at a time"


@dataclass(frozen=True)
class Design:
    """A design that all studies share.

    Attributes:
        kind: GRID or ONE_AT_A_TIME.
        levels: by trial number, the value of every varied hyperparameter; a default that lies off the grid is
            not among them.
    """

    kind: str
    levels: Mapping[int, HParams]


def varied(searches: Sequence[Search]) -> list[str]:
    """Names of the hyperparameters that differ between the trials of a study, sorted."""
    found = set()
    for search in searches:
        values: dict[str, set[str]] = {}
        for trial in search.trials:
            for name, value in trial.hparams.items():
                values.setdefault(name, set()).add(repr(value))
        found |= {name for name, texts in values.items() if len(texts) > 1}
    return sorted(found)


def design(searches: Sequence[Search], names: Sequence[str]) -> Design | None:
    """The design of the trials; None when they are free, or differ between studies."""
    trials = [{trial.number: trial.hparams for trial in search.trials} for search in searches]
    if not names or not trials or any(others != trials[0] for others in trials):
        return None
    first = trials[0]
    without_default = {number: hparams for number, hparams in first.items() if number}
    for chosen in (first, without_default):
        levels = _grid(chosen, names)
        if levels:
            return Design(GRID, levels)
    levels = _one_at_a_time(first, names)
    return Design(ONE_AT_A_TIME, levels) if levels else None


def _grid(trials: Mapping[int, HParams], names: Sequence[str]) -> dict[int, HParams]:
    """Every combination of the values of each name, once each."""
    if any(name not in hparams for hparams in trials.values() for name in names):
        return {}
    levels: dict[int, HParams] = {n: {name: one[name] for name in names} for n, one in trials.items()}
    sizes = [len({one[name] for one in levels.values()}) for name in names]
    different = {tuple(one.values()) for one in levels.values()}
    whole = min(sizes, default=1) > 1 and prod(sizes) == len(different) == len(levels)
    return levels if whole else {}


def _one_at_a_time(trials: Mapping[int, HParams], names: Sequence[str]) -> dict[int, HParams]:
    """The default, and trials that change one value of it, with what that switches on or off."""
    base = trials.get(0, {})
    levels: dict[int, HParams] = {}
    for number, hparams in trials.items():
        changed = [name for name in names if name in base and hparams.get(name, base[name]) != base[name]]
        if len(changed) != (number != 0):
            return {}
        values: dict[str, HParamValue] = {name: base[name] for name in names if name in base}
        levels[number] = {**values, **{name: hparams[name] for name in changed}}
    moved = [name for name in names if len({str(one.get(name)) for one in levels.values()}) > 1]
    return levels if len(moved) == len(names) else {}
