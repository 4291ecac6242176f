"""What would the race spend and lose if it decided otherwise? Ways that were tried, beside its own.

    python -m benchmarks.statistics.policies_tried [--studies 6] [--curves FILE.npz]

All ways are played on the same curves, so their differences are paired. Published curves: with ten folds, and
with four, five and seven drawn from the ten. Synthetic ones: all kinds of `policies_world`; those that start
late or fall twice are told apart from the others.

- half: of those that may still win only the half with the most to gain goes on, then all is judged anew.
- noise: a lead varies from fold to fold at least by what scores vary from epoch to epoch.
- score: later folds have the shortest patience with which the first would have had the same score.
- cut: later folds end where the loss was lowest on the first, unless it still falls there.
- cut + noise: both.
- fitted: `race-fitted`, which the default is.
- fitted, quarter: the same, whose winner waits for a quarter of the patience, as trials that are compared do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure
from benchmarks.statistics.policies import DRAWS, PUBLISHED, SKIPPED, draws
from benchmarks.statistics.policies_published import partitions, reused, studies
from benchmarks.statistics.policies_replay import Outcome, replay
from benchmarks.statistics.policies_world import KINDS, study
from nachos_jax.core.curves import best_epoch, waited
from nachos_jax.core.types import EpochLimit
from nachos_jax.protocol.replay.parts import cut
from nachos_jax.records.schema import Curve
from nachos_jax.search.policies.patience import LADDER, MARGIN, SHORTEST, learned
from nachos_jax.search.policies.policy import Asked, Known
from nachos_jax.search.policies.race import PILOTS, TOLERANCE, Race, worth
from nachos_jax.search.policies.race_fitted import RaceFitted
from nachos_jax.search.policies.race_short import FIRST
from nachos_jax.search.policies.standing import Standing

LATE = [name for name in KINDS if "late" in name or "stair" in name]


class Otherwise(Race):
    """The race with its parts where they can be replaced; as it is, it decides as the race does."""

    def _next(self, known: Known) -> list[Asked]:
        if longer := self.longer(known):
            return longer
        standing = self.standing(known)
        if standing is None:
            return []
        leader, rivals = standing.leader, standing.rivals
        gains = standing.gains() if rivals else None
        if rivals and gains is None:
            running = [leader, *standing.first(rivals)[: PILOTS - 1]]
        else:
            running = worth(rivals, gains, TOLERANCE * standing.error()) if gains is not None else []
            if not running:
                return self.ahead(known, leader, len(known.folds))
            running = self.chosen(running)
            furthest = max(standing.seen[trial] for trial in running)
            running += [leader] * (furthest == standing.seen[leader])
        return [asked for trial in running for asked in self.ahead(known, trial, 1)]

    def standing(self, known: Known) -> Standing | None:
        """Where the trials stand."""
        return Standing.of(known)

    def chosen(self, running: list[int]) -> list[int]:
        """Which of those that may win go on, given in the order of what they may gain."""
        return running

    def limit(self, known: Known, trial: int) -> EpochLimit:
        """How far a later fold is trained."""
        return learned(known, trial)

    def longer(self, known: Known) -> list[Asked]:  # noqa: ARG002
        """Fits that have to go on before anything is judged."""
        return []

    def ahead(self, known: Known, trial: int, number: int) -> list[Asked]:
        """The next folds of a trial."""
        limit, scores = self.limit(known, trial), known.scores(trial)
        return [Asked(trial, fold, limit) for fold in known.folds if fold not in scores][:number]


class Half(Otherwise):
    """See above."""

    def chosen(self, running: list[int]) -> list[int]:
        """The half with the most to gain."""
        return running[len(running) // 2 :]


class Floor(Standing):
    """A standing whose variance of leads has a floor."""

    @property
    def _pooled(self) -> float | None:
        found, fold = super()._pooled, self.known.folds[0]
        curves = {trial: self.known.curve(trial, fold) for trial in [self.leader, *self.rivals]}
        noise = {trial: wobble(curve) for trial, curve in curves.items() if curve is not None}
        if found is None or len(noise) < 2:
            return found
        return max(found, noise.pop(self.leader, 0.0) + float(np.mean([*noise.values()])))


class Noise(Otherwise):
    """See above."""

    def standing(self, known: Known) -> Standing | None:
        """With the floor."""
        found = Standing.of(known)
        return found and Floor(known, found.scores, found.trials, found.seen, found.leader, found.rivals)


class Score(Otherwise):
    """See above."""

    def limit(self, known: Known, trial: int) -> EpochLimit:
        """The first patience of the ladder of which a `MARGIN`th costs the first fold no more than a step."""
        whole, curve = known.limit, known.curve(trial, known.folds[0], known.limit)
        if curve is None or whole.patience is None:
            return whole
        for patience in (max(SHORTEST, math.ceil(share * whole.patience)) for share in LADDER):
            sooner = cut(curve, replace(whole, patience=max(1, int(patience / MARGIN))))
            if patience < whole.patience and best(curve) - best(sooner) <= math.sqrt(2 * wobble(curve)):
                return replace(whole, patience=patience)
        return whole


class Cut(Otherwise):
    """See above."""

    def limit(self, known: Known, trial: int) -> EpochLimit:
        """As far as the lowest loss of the first fold, and a little more."""
        limit, first = learned(known, trial), known.curve(trial, known.folds[0], known.limit)
        if first is None:
            return limit
        return replace(limit, epochs=min(limit.epochs, best_epoch(first.loss) + SHORTEST))

    def longer(self, known: Known) -> list[Asked]:
        """Those that were cut while their loss still fell."""
        found = []
        for trial in known.alive():
            for fold in known.scores(trial):
                far, whole = known.furthest(trial, fold), learned(known, trial)
                if (
                    far
                    and len(far[1].loss) == far[0].epochs < whole.epochs
                    and waited(far[1].loss) < SHORTEST
                ):
                    found.append(Asked(trial, fold, whole))
        return found


class CutNoise(Cut, Noise):
    """See above."""


class Quarter(RaceFitted):
    """See above."""

    winner = FIRST


WAYS: Mapping[str, Callable[[], Race]] = {
    "as it is": Race,
    "half": Half,
    "noise": Noise,
    "score": Score,
    "cut": Cut,
    "cut + noise": CutNoise,
    "fitted": RaceFitted,
    "fitted, quarter": Quarter,
}


def best(curve: Curve) -> float:
    """The score at the best epoch; none counts as the worst."""
    value = curve.score[best_epoch(curve.loss) - 1]
    return -math.inf if value is None else value


def wobble(curve: Curve) -> float:
    """The variance of the score from epoch to epoch after the best one (von Neumann et al. 1941)."""
    scores = np.array([value for value in curve.score[best_epoch(curve.loss) - 1 :] if value is not None])
    return float(np.mean(np.diff(scores) ** 2) / 2) if len(scores) > 2 else 0.0


def synthetic(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each way, over late kinds and over all others."""
    worlds = {
        name: [study(kind, np.random.default_rng([seed, place, number])) for number in range(count)]
        for place, (name, kind) in enumerate(KINDS.items())
    }
    for title, names in {
        "late starters and staircases": LATE,
        "other kinds": [name for name in KINDS if name not in LATE],
    }.items():
        of = [world for name in names for world in worlds[name]]
        played = {way: [replay(world, make()) for world in of] for way, make in WAYS.items()}
        for way, outcomes in played.items():
            yield row(title, way, outcomes, played["as it is"])


def published(path: Path, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each partition, number of folds and way."""
    for title, curves in partitions(path).items():
        for number in (curves.shape[1], 4, 5, 7) if title != SKIPPED else ():
            folds = draws(curves.shape[1], number, np.random.default_rng([seed, number]))
            runs = [studies(curves[:, some][:, :, some], PUBLISHED) for some in folds]
            whole = sum(len(c.loss) for run in runs for one in run.values() for c in one.curves.values())
            base: list[Outcome] = []
            for way, make in WAYS.items():
                played = [{outer: replay(one, make()) for outer, one in run.items()} for run in runs]
                outcomes = [outcome for run in played for outcome in run.values()]
                base = base or outcomes
                pairs = sum(reused(run) for run in played) / whole
                yield row(f"{title}, {number} folds", way, outcomes, base, reused=pairs)


def row(
    curves: str, way: str, outcomes: Sequence[Outcome], base: Sequence[Outcome], **more: float
) -> dict[str, Any]:
    """Means of a way, and how it differs from the race as it is, study by study, with standard errors."""
    regrets, before = (np.array([one.regret for one in found]) for found in (outcomes, base))
    both = np.isfinite(regrets) & np.isfinite(before)
    fewer = np.array([one.fraction - two.fraction for one, two in zip(outcomes, base, strict=True)])
    change = (regrets - before)[both]
    return {
        "curves": curves,
        "way": way,
        "studies": len(regrets),
        "epochs": float(np.mean([one.fraction for one in outcomes])),
        "epochs_change": [float(fewer.mean()), float(fewer.std() / len(fewer) ** 0.5)],
        "regret": float(regrets[both].mean()),
        "regret_change": [float(change.mean()), float(change.std() / len(change) ** 0.5)],
        "worst": float(regrets[both].max()),
        "length": float(np.nanmean([one.length for one in outcomes])),
        "other_length": float(np.mean([one.length != 1 for one in outcomes])),
        **more,
    }


def main() -> None:
    """Plays all ways."""
    flags = measure.parser(__doc__)
    flags.add_argument("--studies", type=int, default=6, help="of each kind of synthetic curves")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument(
        "--curves", type=Path, default=measure.FOLDER.parent / "../shared/data/nachos_oct_curves.npz"
    )
    given = flags.parse_args()
    found = [*(published(given.curves, given.seed) if given.curves.exists() else ())]
    found += synthetic(given.studies, given.seed)
    titles = ("curves", "way", "epochs of one study", "pairs reused", "mean regret", "less as it is", "worst")
    titles += ("n*", "another n*")
    lines = tuple(
        (
            each["curves"],
            each["way"],
            f"{each['epochs']:.3f}",
            f"{each['reused']:.3f}" if "reused" in each else "-",
            f"{each['regret']:.2f}",
            "{:+.3f} ± {:.3f}".format(*each["regret_change"]),
            f"{each['worst']:.2f}",
            f"{each['length']:.3f}",
            f"{each['other_length']:.2f}",
        )
        for each in found
    )
    notes = [
        "Pairs reused: of the published protocol. Regret in standard errors of the best trial; the change "
        f"with its own over studies. Four, five and seven folds: {DRAWS} sets drawn from the ten. n*: of the "
        "selected trial, of what it is where nothing cuts its fits short, and how often it is another."
    ]
    value = {"rows": found, "notes": notes}
    title = "Other ways for the race to decide"
    measure.store(given.out, "policies_tried", title, measure.Table(titles, lines), value, timed=False)


if __name__ == "__main__":
    main()
