"""Recorded curves played through a policy: which trial it selects, and what it trains for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nachos_jax.core.types import EpochLimit
from nachos_jax.protocol.design.selection import score_trial, select
from nachos_jax.protocol.replay.parts import cut
from nachos_jax.records.schema import Curve
from nachos_jax.search.policies.play import Play
from nachos_jax.search.policies.policy import Known, Noise, Policy, unknown

Fold = int


@dataclass(frozen=True)
class Recorded:
    """The curves of one study under the full protocol.

    Attributes:
        curves: by (trial, inner fold), to its early stop.
        folds: inner folds in the order in which they are to be taken.
        limit: of a search fit.
        trials: number of trials.
        noise: see `Noise`.
        training: training losses, by (trial, inner fold), at least as long as the curves; {} if not known.
    """

    curves: Mapping[tuple[int, Fold], Curve]
    folds: tuple[Fold, ...]
    limit: EpochLimit
    trials: int
    noise: Noise = unknown
    training: Mapping[tuple[int, Fold], Sequence[float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a policy comes to on one study.

    Attributes:
        selected: the trial; None when all have failed.
        epochs: by (trial, inner fold), the furthest that was trained.
        fraction: of the epochs of the full protocol.
        regret: of the selected trial's full score to the best one's, in standard errors of the best trial's
            mean over inner folds; 0 without regret, infinite when nothing is selected though a trial could
            be.
        best: the trial that the full protocol selects.
        length: n* of the selected trial, of what it is where nothing cuts its fits short; NaN without one.
    """

    selected: int | None
    epochs: Mapping[tuple[int, Fold], int]
    fraction: float
    regret: float
    best: int | None
    length: float


def replay(recorded: Recorded, policy: Policy, rounds: int | None = None) -> Outcome:
    """Plays a study through a policy.

    Args:
        recorded: the study.
        policy: the policy.
        rounds: how many trials a searcher proposes together; None for all of them.
    """
    epochs: dict[tuple[int, Fold], int] = {}
    play = Play(policy, Known(recorded.folds, recorded.limit, recorded.noise), choose)
    waiting = cohorts(policy, recorded.trials, rounds)
    while not play.over:
        if play.through == len(waiting):
            play.end()
        elif play.through == play.cohorts:
            play.enter(waiting[play.through])
        for asked in play.wanted():
            curve = cut(recorded.curves[asked.trial, asked.fold], asked.limit)
            fit = asked.trial, asked.fold
            epochs[fit] = max(epochs.get(fit, 0), len(curve.loss))
            play.known.tell(asked, curve, recorded.training.get(fit, ()))
    full = sum(len(curve.loss) for curve in recorded.curves.values())
    selected, best = choose(play.known), everything(recorded)
    lost, share = regret(recorded, selected, best), sum(epochs.values()) / full
    return Outcome(selected, epochs, share, lost, best, length(recorded, play.known, selected))


def length(recorded: Recorded, known: Known, selected: int | None) -> float:
    """See `Outcome`."""
    if selected is None:
        return float("nan")
    seen = {fold: curve for fold in known.folds if (curve := known.curve(selected, fold))}
    whole = {fold: recorded.curves[selected, fold] for fold in known.folds}
    own, full = (score_trial(curves, 0).epochs for curves in (seen, whole))
    return (own or 0) / full if full else float("nan")


def cohorts(policy: Policy, trials: int, rounds: int | None) -> list[list[int]]:
    """The trials as they are proposed."""
    size = rounds or trials
    sizes = policy.sizes([min(size, trials - begin) for begin in range(0, trials, size)])
    ends = np.cumsum(sizes)
    return [list(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]


def choose(known: Known) -> int | None:
    """The trial that is selected among those that have a score on all inner folds."""
    done = [trial for trial in known.alive() if known.complete(trial)]
    found = [{fold: known.curve(trial, fold) for fold in known.folds} for trial in done]
    whole = [{fold: curve for fold, curve in by_fold.items() if curve} for by_fold in found]
    place = select([score_trial(curves, 0) for curves in whole])
    return None if place is None else done[place]


def everything(recorded: Recorded) -> int | None:
    """The trial that the full protocol selects."""
    by_trial = [
        {fold: recorded.curves[trial, fold] for fold in recorded.folds} for trial in range(recorded.trials)
    ]
    return select([score_trial(curves, 0) for curves in by_trial])


def regret(recorded: Recorded, selected: int | None, best: int | None) -> float:
    """See `Outcome`. Where the best trial scores the same on all folds, the error is that of all trials."""
    if selected == best or best is None:
        return 0.0
    scores = [
        score_trial({fold: recorded.curves[trial, fold] for fold in recorded.folds}, 0)
        for trial in range(recorded.trials)
    ]
    top = scores[best]
    if selected is None or (chosen := scores[selected].score) is None or top.score is None:
        return float("inf")
    lost = top.score - chosen
    spread = top.spread or np.mean([score.spread for score in scores if score.spread is not None])
    if lost <= 0:
        return 0.0
    return float(lost / spread * np.sqrt(len(recorded.folds))) if spread else float("inf")
