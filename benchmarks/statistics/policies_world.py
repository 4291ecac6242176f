"""Synthetic learning curves whose difficulties are known: what a policy can fall for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.statistics.policies_replay import Recorded
from nachos_jax.core.curves import stop
from nachos_jax.core.types import EpochLimit
from nachos_jax.records.schema import Curve
from nachos_jax.search.policies.policy import unknown

CHANCE, GOOD = 0.5, 0.85
"""Score before anything is learned, and that of a middling trial."""


@dataclass(frozen=True)
class Kind:
    """A kind of curves. Standard deviations are in units of the score, an accuracy.

    Attributes:
        spread: of trials' true scores.
        fold: of the difficulty of folds, the same for all trials.
        cross: of what a fold means to one trial alone.
        noise: of the score from epoch to epoch.
        speed: epochs in which a middling trial learns about two thirds of what it will.
        late: epochs, as a share of the patience, in which the latest starter learns nothing.
        stairs: share of what is learned that comes only after a second wait, as long as the first one may be.
        slow: how much better trials learn more slowly or start later: 0 not at all, 1 strictly.
        diverging: share of trials that meet NaN somewhere.
        cases: of a validation fold; None for so many that the score is smooth.
        told: whether the noise from cases is known to the policy.
        folds: inner folds; None for 2 to 9.
    """

    spread: float = 0.03
    fold: float = 0.03
    cross: float = 0.015
    noise: float = 0.004
    speed: float = 4.0
    late: float = 0.0
    stairs: float = 0.0
    slow: float = 0.0
    diverging: float = 0.0
    cases: int | None = None
    told: bool = False
    folds: int | None = None


PLAIN = Kind()
KINDS = {
    "plain": PLAIN,
    "crossing": replace(PLAIN, speed=8.0, slow=0.9),
    "late starters": replace(PLAIN, late=0.7, slow=0.9),
    "near ties": replace(PLAIN, spread=0.004),
    "all equal": replace(PLAIN, spread=0.0),
    "unlike folds": replace(PLAIN, fold=0.08, cross=0.04),
    "noisy epochs": replace(PLAIN, noise=0.02),
    "diverging": replace(PLAIN, diverging=0.3),
    "small folds": replace(PLAIN, cases=30),
    "small folds, told": replace(PLAIN, cases=30, told=True),
    "large folds": replace(PLAIN, cases=2000, cross=0.005),
    "late starters, three folds": replace(PLAIN, late=0.5, slow=0.9, folds=3),
    "staircases": replace(PLAIN, late=0.5, stairs=0.4, slow=0.9),
    "staircases, three folds": replace(PLAIN, late=0.5, stairs=0.4, slow=0.9, folds=3),
}


def study(kind: Kind, rng: np.random.Generator) -> Recorded:
    """One study: 2 to 64 trials, 2 to 9 inner folds, a patience of 5 to 20, a metric of any unit."""
    trials, folds = int(np.round(2 ** rng.uniform(1, 6))), int(rng.integers(2, 10))
    folds = kind.folds or folds
    limit = EpochLimit(int(rng.choice([50, 100])), int(rng.choice([5, 10, 15, 20])))
    losses, scores, training, error = _draw(kind, (trials, folds), limit, rng)
    unit, zero = float(10 ** rng.uniform(-2, 2)), float(rng.normal())
    curves = {
        (trial, fold): _ended(losses[trial, fold], zero + unit * scores[trial, fold], limit)
        for trial in range(trials)
        for fold in range(folds)
    }
    noise = (lambda *_: unit * error) if kind.told else unknown
    own = {(trial, fold): training[trial, fold].tolist() for trial, fold in curves}
    return Recorded(curves, tuple(range(folds)), limit, trials, noise, own)


def _draw(
    kind: Kind, shape: tuple[int, int], limit: EpochLimit, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Losses, scores and training losses [trials, folds, epochs], and the cases' error of a difference."""
    trials, folds = shape
    merit = rng.normal(size=trials)
    final = GOOD + kind.spread * merit[:, None] + kind.fold * rng.normal(size=folds)
    final = np.clip(final + kind.cross * rng.normal(size=shape), CHANCE, 0.995)
    final, error = _counted(final, kind.cases, rng)

    delay = np.sqrt(1 - kind.slow**2) * rng.normal(size=trials) + kind.slow * merit
    speed = kind.speed * np.exp(0.5 * delay[:, None] + 0.2 * rng.normal(size=shape))
    rank = delay.argsort().argsort() / max(trials - 1, 1)
    onset = kind.late * (limit.patience or 0) * rank[:, None] * np.exp(0.2 * rng.normal(size=shape))

    at = np.arange(limit.epochs) - onset[..., None] * (kind.stairs == 0)
    age = np.maximum(at, 0) / speed[..., None]
    second = np.maximum(at - onset[..., None] - 3 * speed[..., None], 0) / speed[..., None]
    learned = 1 - (1 - kind.stairs) * np.exp(-age) - kind.stairs * np.exp(-second)
    overfit = np.maximum((second if kind.stairs else age) - 3, 0)
    scores = CHANCE + (final - CHANCE)[..., None] * learned - 0.002 * overfit
    losses = 0.7 - (final - CHANCE)[..., None] * learned + 0.01 * overfit
    scores = np.clip(scores + kind.noise * rng.normal(size=scores.shape), 0, 1)
    losses = losses + kind.noise * rng.normal(size=losses.shape)
    if kind.cases:
        scores = np.round(scores * kind.cases) / kind.cases
    _diverge(losses, kind.diverging, rng)
    return losses, scores, _trained(learned, rng.spawn(1)[0]), error


def _counted(final: np.ndarray, cases: int | None, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Scores with the luck of cases, half of it shared by all trials, and its part in a difference."""
    if not cases:
        return final, 0.0
    luck = np.sqrt(final * (1 - final) / cases)
    shared, own = rng.normal(size=final.shape[1]), rng.normal(size=final.shape)
    drawn = np.clip(final + luck * np.sqrt(0.5) * (shared + own), 0.0, 1.0)
    return drawn, float(np.sqrt(GOOD * (1 - GOOD) / cases))


def _trained(learned: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Training losses: nothing is left of them, or what augmentation or a weak network leaves."""
    left = rng.choice([0.0, 0.0, 0.1, 0.3])
    return 0.7 * (left + (1 - left) * (1 - learned)) * np.exp(0.05 * rng.normal(size=learned.shape))


def _diverge(losses: np.ndarray, share: float, rng: np.random.Generator) -> None:
    """Some trials meet NaN, each in about half of its folds."""
    trials, folds, epochs = losses.shape
    struck = (rng.random((trials, 1)) < share) & (rng.random((trials, folds)) < 0.5)
    for trial, fold in np.argwhere(struck):
        losses[trial, fold, rng.integers(epochs // 2) :] = np.nan


def _ended(loss: np.ndarray, score: np.ndarray, limit: EpochLimit) -> Curve:
    values = [float(value) if np.isfinite(value) else None for value in loss]
    last = stop(values, limit) or len(values)
    end = "nan" if values[last - 1] is None else "limit" if last == limit.epochs else "patience"
    return Curve(tuple(values[:last]), tuple(score[:last].tolist()), end)
