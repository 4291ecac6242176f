"""Training the last layers of a backbone: on cached activations, against the front in every step.

    python -m benchmarks.speed.tuned [--network efficientnet_lite0] [--tune stage7] [--pixels 96] [--lanes 2]

Both pools train the same number of search fits of random images from the same random weights, in turn, an
epoch each; the first epoch, compilation included, does not count. The one that is given pixels flips them,
which is why its front cannot be cached; what computing the activations once takes is told beside.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure

SIDES = {"activations": 0.0, "pixels": 0.5}
"""What lanes are given, and the probability of a flip."""
NEVER = 1_000_000
"""Epochs: no fit ends while it is timed."""


def weights(network: str, pixels: int, path: Path) -> None:
    """A file of random weights, which keep activations near 1."""
    from safetensors.numpy import save_file

    from nachos_jax.models.zoo import registry
    from nachos_jax.models.zoo.place import noted

    found, draw = registry.network(network), np.random.default_rng(0)
    read = noted(lambda w, x: found.features(w, x, found.layers[-1]), (1, pixels, pixels, 3))
    arrays = {
        name: draw.normal(0, np.sqrt(2 / max(np.prod(shape[1:]), 1)), shape).astype(np.float32)
        if len(shape) > 1
        else np.ones(shape, np.float32)
        for name, shape in read.zeros.items()
    }
    save_file(arrays, path)


def pool(given: argparse.Namespace, folder: Path, flip: float) -> tuple[Any, dict[str, Any]]:
    """A pool with all its lanes taken, and what is known of it."""
    import nachos_jax
    from nachos_jax.core.hparams import active
    from nachos_jax.core.types import EpochLimit, Fit
    from nachos_jax.engine.pool import LanePool
    from nachos_jax.protocol.run import embedding
    from nachos_jax.protocol.run.configure import checked
    from nachos_jax.splits.folds import Folds

    config = nachos_jax.default_config()
    config.data.source = "arrays"
    config.backbone.name, config.backbone.tune = given.network, given.tune
    config.backbone.weights, config.data.cache = str(folder / "w.safetensors"), str(folder)
    config.data.height = config.data.width = given.pixels
    config.model.architecture, config.augmentation.flip_horizontal = "tuned", flip
    config.training.batch_size, config.engine.lanes = given.batch, given.lanes
    run, draw = checked(config), np.random.default_rng(0)
    images = draw.integers(0, 256, (given.cases, given.pixels, given.pixels), dtype=np.uint8)
    cohort = nachos_jax.cohort_from_arrays(
        images, np.arange(given.cases) % 2, subjects=np.arange(given.cases)
    )
    began = time.perf_counter()
    cohort = embedding.embedded(run, cohort)
    once = time.perf_counter() - began
    made = LanePool(cohort, Folds((np.arange(given.cases) % 4)[None].astype(np.int32), 4), run)
    values, limit = active(run.defaults, run.table), EpochLimit(NEVER, NEVER)
    made.submit([Fit(values, (0, 1), 0, limit, cohort.hash)])
    made.submit(Fit(values, (0, 1), seed, limit, cohort.hash) for seed in range(1, made.lanes))
    return made, {"once": once, "lanes": made.lanes, "bytes": cohort.store.nbytes / given.cases}


def main() -> None:
    """Measures, compares and stores."""
    flags = measure.parser(__doc__)
    flags.add_argument("--network", default="efficientnet_lite0")
    flags.add_argument("--tune", default="stage7", help="the layer from which on weights are trained")
    flags.add_argument("--pixels", type=int, default=96, help="side of the images")
    flags.add_argument("--cases", type=int, default=128)
    flags.add_argument("--batch", type=int, default=16)
    flags.add_argument("--lanes", type=int, default=2, help="lanes a device")
    flags.add_argument("--rounds", type=int, default=5)
    given = flags.parse_args()
    measure.start_jax()
    with tempfile.TemporaryDirectory() as temporary:
        weights(given.network, given.pixels, Path(temporary) / "w.safetensors")
        pools = {side: pool(given, Path(temporary), flip) for side, flip in SIDES.items()}
        times = measure.in_turn({side: made.step for side, (made, _) in pools.items()}, given.rounds)
    seconds = {side: measure.median(found) / pools[side][1]["lanes"] for side, found in times.items()}
    rows = [
        (
            side,
            f"{seconds[side]:.3g} s",
            f"{seconds[side] / seconds['pixels']:.2f} x",
            f"{facts['bytes']:,.0f}",
        )
        for side, (_, facts) in pools.items()
    ]
    once = pools["activations"][1]["once"]
    notes = [f"Computing the activations of all cases once, compilation included, took {once:.3g} s."]
    titles = ("lanes are given", "a lane's epoch", "of pixels", "bytes a case")
    size = f"{given.cases} images of {given.pixels} x {given.pixels}"
    title = f"Training {given.network} on from {given.tune}: {size}"
    found = {"seconds": times, "facts": {side: facts for side, (_, facts) in pools.items()}, "notes": notes}
    measure.store(given.out, f"tuned_{given.network}", title, measure.Table(titles, tuple(rows)), found)


if __name__ == "__main__":
    main()
