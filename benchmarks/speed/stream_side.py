"""One side of stream.py: fits whose cases lie on the device, or are streamed; an epoch for each line read.

python -m benchmarks.speed.stream_side --residency stream --pixels pixels.npy --result result.npz
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure, served, workload

FOLDS = 5
STATUS = Path("/proc/self/status")


class OwnMemory:
    """Looks at the process's memory all the time, without the pages of files that it has mapped.

    Attributes:
        peak_mib: the most that was seen, in MiB; 0 where the system does not tell.
    """

    def __init__(self):
        self.peak_mib = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while STATUS.exists():
            lines = STATUS.read_text().splitlines()
            kib = next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)
            self.peak_mib = max(self.peak_mib, kib / 2**10)
            time.sleep(0.02)


def lane_pool(given: Any) -> tuple[Any, int]:
    """A pool with a fit for every lane, each leaving out one fold; and training cases of an epoch of all."""
    import jax

    from nachos_jax.core.hparams import active
    from nachos_jax.core.types import EpochLimit, Fit
    from nachos_jax.data.store import Dense
    from nachos_jax.data.table import CaseTable, Cohort
    from nachos_jax.data.targets import Targets
    from nachos_jax.engine.pool import LanePool
    from nachos_jax.protocol.run.configure import checked
    from nachos_jax.splits.folds import Folds
    from nachos_jax.splits.strata import Strata

    images = np.load(given.pixels, mmap_mode="r")
    work = workload.Workload("cnn", given.width, images.shape[1], given.batch, 0, "float32")
    config = workload.config_of(work, given.lanes)
    config.engine.convolution, config.engine.packing = workload.table_of_auto(
        jax.local_devices()[0].platform
    )[0].split("/")
    config.data.residency, config.data.window = given.residency, given.window
    config.training.epochs = given.epochs
    run = checked(config)
    names = np.asarray([f"row-{i:06d}" for i in range(len(images))])
    labels = (np.arange(len(images)) // FOLDS % 2).astype(np.int32)
    table, classes = CaseTable(names, names, waived=True), ("0", "1")
    has = np.eye(len(classes), dtype=bool)[labels]
    targets = Targets("classification", classes, labels, Strata(labels, classes, needed=True), has)
    folds = Folds((np.arange(len(images)) % FOLDS).astype(np.int32)[None], FOLDS)
    # A cohort over the memory map itself: reading it in would defeat the purpose.
    cohort = Cohort(table, targets, Dense(images), {}, "synthetic")
    pool = LanePool(cohort, folds, run)
    hparams, total = active(run.defaults, run.table), given.lanes * len(jax.local_devices())
    # Search fits (with a patience that is never used up) and fits that are scored once, in turn.
    limits = EpochLimit(given.epochs, given.epochs), EpochLimit(given.epochs)
    fits = [Fit(hparams, (i % FOLDS,), i, limits[i % 2], cohort.hash) for i in range(total)]
    pool.submit(fits)
    return pool, sum(int(folds.training(fit.left_out).sum()) for fit in fits)


def main() -> None:
    """Trains; after the last epoch it writes losses and logits."""
    flags = measure.parser(__doc__)
    flags.add_argument("--residency", choices=("resident", "stream"), default="resident")
    flags.add_argument("--pixels", type=Path, required=True, help="npy file, [N, H, W, 1] uint8")
    flags.add_argument("--result", type=Path, required=True, help="npz file to write")
    flags.add_argument("--window", type=int, default=4096)
    flags.add_argument("--epochs", type=int, default=6)
    flags.add_argument("--lanes", type=int, default=2)
    flags.add_argument("--width", type=int, default=16)
    flags.add_argument("--batch", type=int, default=64)
    given = flags.parse_args()
    measure.start_jax()
    from safetensors.numpy import load

    own = OwnMemory()
    pool, samples = lane_pool(given)
    found: dict[str, Any] = {}

    def epoch() -> dict[str, float]:
        for result in pool.step():
            record = result.record
            watched = [loss for curve in record.curves.values() for loss in curve.loss]
            found[f"loss/{record.fit}"] = np.asarray([*record.training_loss, *watched], np.float64)
            if "logits.safetensors" in result.payload:  # search fits keep what they saw of inner folds
                found[f"logit/{record.fit}"] = load(result.payload["logits.safetensors"])["logits"]
        if not pool.busy:
            np.savez(given.result, **found)
        return {"own_mib": own.peak_mib}

    served.serve({"samples": samples}, epoch)


if __name__ == "__main__":
    main()
