"""BOHB's proposals: what trials that did well have in common and others have not, by kernel densities.

Falkner, Klein and Hutter (2018), sections 3 and 4: l is the density of the best trials on the highest rung
with enough of them, g that of the others; of points drawn from a widened l the one with the largest l / g is
proposed. A third of the trials is not learned: it is the next Sobol point, which all studies share.

A conditional hyperparameter is always there, at its default where it is inactive, as for Ax. A running trial
counts among the others (a constant liar), so that trials of one round keep apart; so does a failed one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nachos_jax.core.space import Dimension
from nachos_jax.core.types import HParams, HParamValue, digest
from nachos_jax.search.densities import Axis, Density
from nachos_jax.search.learned_search import flat_point, in_order
from nachos_jax.search.searcher import Heard, History, SearchSetting, identity

BEST = 0.15
"""Share of the trials that did well."""
DRAWN = 1 / 3
"""Share of the trials that is not learned."""
SAMPLES = 64
"""Points drawn from l for a proposal."""
WIDENED = 3.0
"""Bandwidths of l when points are drawn from it, in those that it has."""


def learned(setting: SearchSetting, history: History) -> HParams | None:
    """The next trial of a study; None where it is to be drawn, too little is known or nothing is new.

    With D dimensions, l and g are made of D + 1 trials at least, and a rung counts from D + 3 scores on.
    """
    space = _Space(setting)
    generator = np.random.default_rng(
        int(digest(["bohb", setting.seed, setting.study, len(history)], 16), 16)
    )
    if not space.dimensions or generator.random() < DRAWN:
        return None
    parts = _divided(space, history)
    if parts is None:
        return None
    good, rest = (Density(space.axes, np.asarray(points)) for points in parts)
    drawn = good.sample(SAMPLES, WIDENED, generator)
    seen = {identity(heard.trial.hparams) for heard in history}
    for place in np.argsort(-_ratio(good, rest, drawn), kind="stable"):
        hparams = setting.canonical(space.values(drawn[place]))
        if identity(hparams) not in seen:
            return hparams
    return None


def _ratio(good: Density, rest: Density, points: np.ndarray) -> np.ndarray:
    lowest = math.log(1e-32)  # where both densities vanish, neither is better
    return np.maximum(good.log(points), lowest) - np.maximum(rest.log(points), lowest)


def _divided(space: _Space, history: History) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """The points of the best trials and of the others; None where no rung has enough scores."""
    points = [(heard, space.point(heard.trial.hparams)) for heard in history]
    known = [(heard, point) for heard, point in points if point is not None]
    fewest = len(space.axes) + 1
    rung = _rung([heard for heard, _ in known], fewest + 2)
    if rung is None:
        return None
    scored = [(_scores(heard)[rung], point) for heard, point in known if rung in _scores(heard)]
    ranked = [point for _, point in sorted(scored, key=lambda pair: -pair[0])]
    best = max(fewest, int(BEST * len(ranked)))
    others = ranked[-max(fewest, len(ranked) - best) :]
    lost = [point for heard, point in known if heard.failed or not _scores(heard)]
    return ranked[:best], [*others, *lost]


def _rung(history: History, enough: int) -> float | None:
    """The highest rung with enough scores."""
    rungs = [rung for heard in history for rung in _scores(heard)]
    return max((rung for rung in set(rungs) if rungs.count(rung) >= enough), default=None)


def _scores(heard: Heard) -> Mapping[float, float]:
    """Scores by rung, the highest of which is that of whole fits, whether shorter ones came before or not.

    Whole fits may have seen different folds, as under `race-halving`: the score that is expected over all of
    them compares, and the mean over those seen does not.
    """
    if heard.failed:
        return {}
    if heard.score is not None and not heard.rungs:
        return {math.inf: heard.score}
    scores = {float(rung): score for rung, score in heard.rungs.items()}
    if heard.whole:
        seen = scores.pop(max(scores))
        scores[math.inf] = seen if heard.score is None else heard.score
    return scores


@dataclass(frozen=True)
class _Space:
    """The searched dimensions as the axes of densities; numbers to choose from are put in order."""

    setting: SearchSetting

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        return tuple(_sorted(d) for d in self.setting.searched if len(d.values) != 1)

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(map(_axis, self.dimensions))

    def point(self, hparams: HParams) -> np.ndarray | None:
        """Coordinates [D] of a trial; None outside the space."""
        values = flat_point(self.setting, hparams)
        if values is None:
            return None
        return np.asarray([_coordinate(d, values[d.name]) for d in self.dimensions])

    def values(self, point: np.ndarray) -> dict[str, HParamValue]:
        """The inverse: a value for every searched hyperparameter."""
        single = {d.name: d.values[0] for d in self.setting.searched if len(d.values) == 1}
        return single | {d.name: _value(d, x) for d, x in zip(self.dimensions, point, strict=True)}


def _sorted(dimension: Dimension) -> Dimension:
    if dimension.kind == "choice" and in_order(dimension.values):
        return replace(dimension, values=tuple(sorted(dimension.values)))
    return dimension


def _axis(dimension: Dimension) -> Axis:
    if dimension.kind in ("uniform", "log"):
        return Axis()
    if dimension.kind == "choice":
        count = len(dimension.values)
        return Axis(count, tuple(np.linspace(0, 1, count + 1)) if in_order(dimension.values) else ())
    values = range(int(dimension.low), int(dimension.high) + 1)
    return Axis(len(values), (0.0, *(dimension.cell(value)[1] for value in values)))


def _coordinate(dimension: Dimension, value: HParamValue) -> float:
    if dimension.kind in ("uniform", "log"):
        return dimension.cell(value)[0]
    return float(dimension.values.index(value) if dimension.kind == "choice" else int(value) - dimension.low)


def _value(dimension: Dimension, x: float) -> HParamValue:
    if dimension.kind in ("uniform", "log"):
        return dimension.at(float(x))
    return dimension.values[int(x)] if dimension.kind == "choice" else int(dimension.low + x)
