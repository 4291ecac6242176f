"""How busy are lanes while a search policy decides, and what do the idle ones wait for?

    python -m benchmarks.scale.occupancy_race [--policy race] [--trials 32] [--folds 5] [--lanes 4]

A whole `nachos evaluate` with early stopping on images so small that training is nothing. Trials differ in
learning rate, momentum and weight decay, so they stop at different epochs and share one program. A policy
asks for fits when others have ended, so lanes may wait for decisions, and at the end there are fewer studies
than lanes. Every lane-epoch without a fit is counted under how many studies were still searching then.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.scale.occupancy import add_flags, cohort
from benchmarks.shared import measure


@dataclass
class Idle:
    """Lane-epochs by how many studies have ended their search.

    Attributes:
        ended: studies whose search has ended so far.
        busy: lane-epochs with a fit.
        idle: lane-epochs without one.
    """

    ended: int = 0
    busy: Counter[int] = field(default_factory=Counter)
    idle: Counter[int] = field(default_factory=Counter)

    def watch(self) -> None:
        """Counts all lanes and all studies of this process from here on."""
        from nachos_jax.engine.pool import LanePool
        from nachos_jax.records.store import RunDirectory

        step, commit = LanePool.step, RunDirectory.commit_outcome

        def counted(pool: Any) -> Any:
            epochs, lane_epochs = pool.spent.epochs, pool.spent.lane_epochs
            results = step(pool)
            busy = pool.spent.epochs - epochs
            self.busy[self.ended] += busy
            self.idle[self.ended] += pool.spent.lane_epochs - lane_epochs - busy
            return results

        def committed(store: Any, outcome: Any) -> None:
            commit(store, outcome)
            self.ended += 1

        LanePool.step, RunDirectory.commit_outcome = counted, committed  # pyrefly: ignore[bad-assignment]


def search(given: argparse.Namespace) -> dict[str, Any]:
    """Runs the nested cross-validation; how busy its lanes were."""
    import nachos_jax

    config = nachos_jax.default_config()
    config.data.source, config.search.searcher, config.search.policy = "arrays", "random", given.policy
    config.data.allow = ("duplicates",)  # a few tiny pictures are equal
    config.folds.count, config.search.trials = given.folds, given.trials
    config.model.cnn.stages, config.model.cnn.width = 1, 4
    config.training.epochs, config.training.patience = given.epochs, given.patience
    config.training.batch_size = 16
    config.engine.lanes, config.engine.checkpoint_epochs = given.lanes, 0
    counted = Idle()
    counted.watch()
    logging.getLogger("nachos_jax").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        nachos_jax.evaluate(config, folder, cohort())
    busy, idle = counted.busy, counted.idle
    lane_epochs = busy.total() + idle.total()
    return {
        "trials": given.trials,
        "folds": given.folds,
        "epochs": busy.total(),
        "lane_epochs": lane_epochs,
        "occupancy": busy.total() / lane_epochs,
        "idle": {str(given.folds - ended): idle[ended] for ended in sorted(idle)},
        "busy": {str(given.folds - ended): busy[ended] for ended in sorted(busy)},
    }


def rows(told: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """What people see."""
    lines = [
        ("epochs trained", f"{told['epochs']:,}"),
        ("lane-epochs", f"{told['lane_epochs']:,}"),
        ("occupancy", f"{100 * told['occupancy']:.1f} %"),
    ]
    for studies, idle in told["idle"].items():
        when = f"while {studies} of {told['folds']} studies search" if studies != "0" else "refits alone"
        lines.append((f"idle {when}", f"{idle:,} of {idle + told['busy'][studies]:,} lane-epochs"))
    return tuple(lines)


def main() -> None:
    """Trains, prints and stores the table."""
    flags = measure.parser(__doc__)
    flags.add_argument("--policy", default="race")
    add_flags(flags)
    given = flags.parse_args()
    measure.start_jax()
    told = search(given)
    title = f"Occupancy under {given.policy}: {given.trials} trials, {given.folds} outer folds"
    table = measure.Table(("what", "value"), rows(told))
    measure.store(given.out, f"scaling_occupancy_{given.policy}", title, table, told, timed=False)


if __name__ == "__main__":
    main()
