"""How many held cases should be predicted together? An epoch's prediction, by the size of its chunks.

    python -m benchmarks.speed.held [--cases 1024] [--rounds 7]

The prediction is that of a lane on one device, as the engine computes it (`nachos_jax.engine.lane.predict`),
with the weights of a fresh fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.shared import measure, workload
from benchmarks.shared.workload import Workload

WORKS = (("cnn", 16, 28), ("cnn", 16, 64), ("resnet18", 16, 28), ("resnet18", 16, 64))
"""Network, width, pixels."""
SIZES = (8, 16, 32, 64, 256)


def predictions(work: Workload, cases: int) -> dict[str, Callable[[], Any]]:
    """Calls that predict all cases once, by the cases of a chunk; all have been compiled."""
    import jax
    from flax import nnx

    import nachos_jax
    from nachos_jax.core.hparams import active
    from nachos_jax.core.types import EpochLimit, Fit
    from nachos_jax.engine import lane, tuning
    from nachos_jax.engine.buckets import bucket_of
    from nachos_jax.engine.compiler import lane_spec
    from nachos_jax.protocol.run.configure import checked
    from nachos_jax.tasks.task import Cases

    run = checked(workload.config_of(work, 1))
    images, labels = workload.images_and_labels(cases, work.pixels)
    cohort = nachos_jax.cohort_from_arrays(images, labels, one_case_per_subject=True)
    fit = Fit(active(run.defaults, run.table), (), 0, EpochLimit(1), "bench")
    lowering = tuning.candidates(jax.local_devices()[0].platform, "auto", "auto")[0].convolution
    spec = lane_spec(run, bucket_of(fit, run.table), cohort, lowering)
    params, stats, frozen = lane.parts(spec.build(nnx.Rngs(0)))
    shared = lane.Shared(Cases(jax.numpy.asarray(images)[..., None], jax.numpy.asarray(labels)), frozen)
    told = lane.LaneInput(
        streams=None,
        epoch=np.int32(0),
        training=None,
        steps=np.int32(0),
        mean=np.array([100.0], np.float32),
        sd=np.array([50.0], np.float32),
        task={},
        held=np.arange(cases, dtype=np.int32),
        n_held=np.int32(cases),
        traced={},
    )
    state = lane.LaneState(params, stats, None)

    def call(size: int) -> Callable[[], Any]:
        sized = replace(spec, predict_batch=size)
        predict = jax.jit(lambda shared, state, told: lane.predict(sized, shared, state, told))
        jax.block_until_ready(predict(shared, state, told))
        return lambda: jax.block_until_ready(predict(shared, state, told))

    return {str(size): call(size) for size in SIZES}


def main() -> None:
    """Measures all networks and stores benchmarks/results/held.json."""
    flags = measure.parser(__doc__)
    flags.add_argument("--cases", type=int, default=1024)
    flags.add_argument("--rounds", type=int, default=7)
    given = flags.parse_args()
    measure.start_jax()
    rows, told = [], {}
    for model, width, pixels in WORKS:
        work = Workload(model, width, pixels, 64, 1, "float32")
        seconds: dict[str, Any] = measure.in_turn(predictions(work, given.cases), given.rounds)
        ms = {size: 1e3 * measure.median(times) for size, times in seconds.items()}
        told[work.name] = ms
        shares = (f"{ms[str(size)] / ms[str(SIZES[-1])]:.2f}" for size in SIZES[:-1])
        rows.append((work.name, *shares, f"{ms[str(SIZES[-1])]:.0f} ms"))
        print(rows[-1], flush=True)
    columns = ("network", *(f"{size} together" for size in SIZES[:-1]), f"{SIZES[-1]} together")
    title = f"Predicting {given.cases:,} held cases on one device: share of the time of the largest chunks"
    measure.store(given.out, f"held{measure.suffix()}", title, measure.Table(columns, tuple(rows)), told)


if __name__ == "__main__":
    main()
