"""What does each search policy spend, and what does its choice lose? Recorded and synthetic learning curves.

    python -m benchmarks.statistics.policies [--studies 60] [--curves ../shared/data/nachos_oct_curves.npz]

Curves of the full protocol are known to the end, so a policy can be played on them: it is answered with the
part of a curve that it asks for. Two parts, each with all policies:

- synthetic: kinds of curves that policies can fall for, of 2 to 64 trials, 2 to 9 inner folds, a patience
of 5 to 20. - published: of an archive of curves, if it is there, with ten folds and with four and five
drawn from the ten.

Epochs are told as a fraction of what the full protocol trains, regret in standard errors of the best trial.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure
from benchmarks.statistics.policies_published import partitions, reused, studies
from benchmarks.statistics.policies_replay import Outcome, replay
from benchmarks.statistics.policies_world import KINDS, study
from nachos_jax.core.types import EpochLimit
from nachos_jax.search.policies.registry import POLICIES, build

NAMES = [name for name in POLICIES if name != "full"]
PUBLISHED = EpochLimit(50, 20)
"""Under which the curves of the archive were recorded."""
DRAWS = 6
"""Sets of four and of five folds that are drawn from the ten."""
SKIPPED = "OCT_split1_random"
"""All of its trials are right on all cases."""

NOTE = (
    "Epochs as a fraction; regret in standard errors of the best trial's mean over inner folds; n* of the "
    "selected trial, of what it is where nothing cuts its fits short."
)


def synthetic(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each kind of curves and policy."""
    for place, (title, kind) in enumerate(KINDS.items() if count else ()):
        worlds = [study(kind, np.random.default_rng([seed, place, number])) for number in range(count)]
        for name in NAMES:
            yield row(title, name, [replay(world, build(name)) for world in worlds])


def published(path: Path, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each partition, number of folds and policy."""
    for title, curves in partitions(path).items():
        if title == SKIPPED:
            continue
        for number in (curves.shape[1], 4, 5):
            chosen = draws(curves.shape[1], number, np.random.default_rng([seed, number]))
            runs = [studies(curves[:, folds][:, :, folds], PUBLISHED) for folds in chosen]
            for name in NAMES:
                played = [{outer: replay(one, build(name)) for outer, one in run.items()} for run in runs]
                both = sum(reused(outcomes) for outcomes in played)
                all_of_it = sum(
                    len(curve.loss) for run in runs for one in run.values() for curve in one.curves.values()
                )
                outcomes = [outcome for run in played for outcome in run.values()]
                yield row(f"{title}, {number} folds", name, outcomes, reused=both / all_of_it)


def draws(folds: int, number: int, rng: np.random.Generator) -> list[list[int]]:
    """Sets of folds; the only one when it is all of them."""
    if number == folds:
        return [list(range(folds))]
    return [sorted(rng.choice(folds, number, replace=False).tolist()) for _ in range(DRAWS)]


def row(curves: str, policy: str, outcomes: Sequence[Outcome], **more: float) -> dict[str, Any]:
    """Means over studies, and the worst. Studies in which nothing was selected are counted, not averaged."""
    regrets = np.array([outcome.regret for outcome in outcomes])
    told = regrets[np.isfinite(regrets)]
    return {
        "curves": curves,
        "policy": policy,
        "epochs": float(np.mean([outcome.fraction for outcome in outcomes])),
        "regret": float(told.mean()),
        "worst": float(told.max()),
        "same": float(np.mean(regrets == 0)),
        "length": float(np.nanmean([outcome.length for outcome in outcomes])),
        "nothing": int(len(regrets) - len(told)),
        **more,
    }


def store(folder: Path, name: str, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints and writes a part: a line for each kind of curves and policy."""
    shown = {"curves": "curves", "policy": "policy", "epochs": "epochs of one study"}
    shown |= {"reused": "of the published protocol, pairs reused"} if "reused" in rows[0] else {}
    shown |= {"regret": "mean regret", "worst": "worst", "same": "no regret", "length": "n*"}
    lines = [
        tuple(found if isinstance(found := each[key], str) else f"{found:.2f}" for key in shown)
        for each in rows
    ]
    table = measure.Table(tuple(shown.values()), tuple(lines))
    measure.store(folder, name, title, table, {"rows": rows, "notes": [NOTE]}, timed=False)


def main() -> None:
    """Plays all policies."""
    flags = measure.parser(__doc__)
    flags.add_argument("--studies", type=int, default=60, help="of each kind of synthetic curves; 0: none")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument(
        "--curves", type=Path, default=measure.FOLDER.parent / "../shared/data/nachos_oct_curves.npz"
    )
    given = flags.parse_args()
    rows = [*synthetic(given.studies, given.seed)]
    for name in NAMES if rows else ():
        rows.append(overall(name, [each for each in rows if each["policy"] == name]))
    if rows:
        store(given.out, "policies_synthetic", "Search policies on synthetic curves", rows)
    if given.curves.exists():
        rows = [*published(given.curves, given.seed)]
        store(given.out, "policies_published", "Search policies on published curves", rows)


def overall(policy: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A policy over all kinds of curves."""
    means = {
        key: float(np.mean([each[key] for each in rows])) for key in ("epochs", "regret", "same", "length")
    }
    worst, nothing = max(each["worst"] for each in rows), sum(each["nothing"] for each in rows)
    return {"curves": "all", "policy": policy, **means, "worst": worst, "nothing": nothing}


if __name__ == "__main__":
    main()
