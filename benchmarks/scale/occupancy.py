"""How busy lanes are in a search with early stopping: a part of scaling.py, which runs it.

    python -m benchmarks.scale.occupancy [--trials 32] [--folds 5] [--lanes 4]

Trials differ in architecture, depth and batch size, so they fall into five buckets, and in learning rate, so
they stop at different epochs. The images are so small that training is nothing and the order of the work is
all. All fits are known from the beginning, as with random search. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
from typing import Any

import numpy as np

from benchmarks.shared import measure

CASES, PIXELS = 240, 6
KINDS: tuple[dict[str, Any], ...] = (
    {"architecture": "cnn", "cnn.stages": 1, "batch_size": 16},
    {"architecture": "cnn", "cnn.stages": 1, "batch_size": 32},
    {"architecture": "cnn", "cnn.stages": 2, "batch_size": 16},
    {"architecture": "cnn", "cnn.stages": 2, "batch_size": 32},
    {"architecture": "resnet", "batch_size": 32},
)


def cohort() -> Any:
    """Cases whose stripes (rows, columns, none) tell the class, under much noise."""
    import nachos_jax

    draw, labels = np.random.default_rng(7), np.arange(CASES) % 3
    images = draw.normal(100, 40, (CASES, PIXELS, PIXELS))
    images[labels == 0, ::2] += 25
    images[labels == 1, :, ::2] += 25
    return nachos_jax.cohort_from_arrays(
        np.clip(images, 0, 255).astype(np.uint8), labels, one_case_per_subject=True
    )


def search_fits(run: Any, trials: int, folds: int) -> list[Any]:
    """A fit for each trial and pair of folds, trial after trial."""
    from nachos_jax.core.hparams import active
    from nachos_jax.core.types import Fit

    rates = np.random.default_rng(0).uniform(-3, -0.7, trials)
    fits = []
    for trial, pair in itertools.product(range(trials), itertools.combinations(range(folds), 2)):
        changed = {**KINDS[trial % len(KINDS)], "learning_rate": float(10 ** rates[trial])}
        hparams = active({**run.defaults, **changed}, run.table)
        fits.append(Fit(hparams, pair, run.seed, run.limit, "cases"))
    return fits


def add_flags(flags: argparse.ArgumentParser) -> None:
    """The size of the search."""
    flags.add_argument("--trials", type=int, default=32)
    flags.add_argument("--folds", type=int, default=5)
    flags.add_argument("--lanes", type=int, default=4, help="lanes a device")
    flags.add_argument("--epochs", type=int, default=40)
    flags.add_argument("--patience", type=int, default=5)


def main() -> None:
    """Trains all fits and prints what was spent."""
    flags = measure.parser(__doc__)
    add_flags(flags)
    given = flags.parse_args()
    measure.start_jax()
    import nachos_jax
    from nachos_jax.engine.pool import LanePool
    from nachos_jax.protocol.run.configure import checked
    from nachos_jax.splits.folds import Folds

    config = nachos_jax.default_config()
    config.data.source, config.search.searcher = "arrays", "random"
    config.model.cnn.width = config.model.resnet.width = 4
    config.training.epochs, config.training.patience = given.epochs, given.patience
    config.engine.lanes = given.lanes
    run, cases = checked(config), cohort()
    fold = (np.random.default_rng(1).permutation(CASES) % given.folds).astype(np.int32)
    pool = LanePool(cases, Folds(fold[None], given.folds), run)
    pool.submit(search_fits(run, given.trials, given.folds))
    epochs = []
    while pool.busy or pool.waiting:
        epochs += [result.record.epochs for result in pool.step()]
    spent = pool.spent
    told = {
        "trials": given.trials,
        "pairs": given.folds * (given.folds - 1) // 2,
        "fits": spent.fits,
        "buckets": min(len(KINDS), given.trials),
        "compilations": spent.compilations,
        "epochs": spent.epochs,
        "fewest": min(epochs),
        "most": max(epochs),
        "occupancy": spent.occupancy,
        "compile_seconds": spent.compile_seconds,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
