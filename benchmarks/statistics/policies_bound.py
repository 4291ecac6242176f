"""What would a search spend that knew the winner? A bound for every policy, on published curves.

    python -m benchmarks.statistics.policies_bound [--curves FILE.npz]

The winner of each study is trained on all inner folds to its early stop, as every policy has to. All other
trials are trained on the first inner fold alone: as the race does, as `race-short` does at the least, or not
at all, which only who knows the winner could do. Told is the share of the published protocol, which trains
every pair twice; here each fit is trained once, until both of its folds have what their studies ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.shared import measure
from benchmarks.statistics.policies import PUBLISHED, SKIPPED
from benchmarks.statistics.policies_published import Fit, partitions, studies
from benchmarks.statistics.policies_replay import Recorded, everything
from nachos_jax.core.types import EpochLimit
from nachos_jax.protocol.replay.parts import cut

FIRSTS = {
    "first folds with the whole patience": PUBLISHED,
    "first folds with a quarter of it": replace(PUBLISHED, patience=5),
    "winners alone": None,
}


def spent(runs: Mapping[int, Recorded], first: EpochLimit | None) -> float:
    """The share of epochs, when other trials have so much of the first fold."""
    epochs: dict[Fit, int] = {}

    def train(trial: int, outer: int, inner: int, limit: EpochLimit) -> None:
        both = runs[outer].curves[trial, inner], runs[inner].curves[trial, outer]
        fit = trial, min(outer, inner), max(outer, inner)
        epochs[fit] = max(epochs.get(fit, 0), *(len(cut(curve, limit).loss) for curve in both))

    for outer, run in runs.items():
        best = everything(run)
        for trial in range(run.trials):
            for fold in run.folds:
                if trial == best:
                    train(trial, outer, fold, run.limit)
                elif fold == run.folds[0] and first is not None:
                    train(trial, outer, fold, first)
    return sum(epochs.values()) / sum(len(c.loss) for run in runs.values() for c in run.curves.values())


def main() -> None:
    """Reckons the bounds."""
    flags = measure.parser(__doc__)
    flags.add_argument(
        "--curves", type=Path, default=measure.FOLDER.parent / "../shared/data/nachos_oct_curves.npz"
    )
    given = flags.parse_args()
    rows = [
        {"curves": title, "trained": name, "share": spent(studies(curves, PUBLISHED), first)}
        for title, curves in partitions(given.curves).items()
        if title != SKIPPED
        for name, first in FIRSTS.items()
    ]
    lines = tuple((row["curves"], row["trained"], f"{row['share']:.3f}") for row in rows)
    table = measure.Table(("curves", "what is trained", "of the published protocol"), lines)
    measure.store(
        given.out,
        "policies_bound",
        "What a search spends that knows its winner",
        table,
        {"rows": rows},
        timed=False,
    )


if __name__ == "__main__":
    main()
