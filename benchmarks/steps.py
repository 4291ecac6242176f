"""One training step, a lane: ours in every lowering and packing, PyTorch's, and the floor.

    python benchmarks/steps.py [--model cnn|resnet18] [--width 16] [--pixels 28] [--lanes 2] [--rounds 5]

Our time is that of the very program that the engine runs (an epoch of L lanes), over lanes and steps.
The floor is the step's floating-point operations over the measured rate of a matrix product.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

BATCH, STEPS = 64, 12


def ours(model: str, width: int, pixels: int, lowering: str, packing: str, lanes: int, devices) -> Callable:
    """Runs STEPS training steps in each of the lanes when called."""
    import jax

    import nachos_jax
    from nachos_jax.core.hparams import active
    from nachos_jax.core.types import EpochLimit, Fit
    from nachos_jax.engine.pool import LanePool
    from nachos_jax.protocol.configure import checked
    from nachos_jax.splits.folds import Folds

    config = nachos_jax.default_config()
    config.data.source, config.search.searcher = "arrays", "random"
    config.model.architecture = "cnn" if model == "cnn" else "resnet"
    config.model.cnn.width = config.model.resnet.width = width
    config.training.batch_size = BATCH
    config.engine.convolution, config.engine.packing, config.engine.lanes = lowering, packing, lanes
    run = checked(config)
    draw = np.random.default_rng(0)
    cases = BATCH * STEPS
    images = draw.integers(0, 255, (cases, pixels, pixels), dtype=np.uint8)
    cohort = nachos_jax.cohort_from_arrays(images, np.arange(cases) % 2, one_case_per_subject=True)
    pool = LanePool(cohort, Folds(np.zeros((1, cases), np.int32), 1), run, devices=devices)
    total = lanes * len(devices)
    hparams = active(run.defaults, run.table)
    pool.submit([Fit(hparams, (), seed, EpochLimit(10**6), "bench") for seed in range(total)])
    pool.step()
    jax.effects_barrier()
    return pool.step


def torch_steps(model: str, width: int, pixels: int) -> Callable:
    """Runs STEPS training steps of the PyTorch baseline when called."""
    import torch
    from torch_nested_cv import Run, draw_trials

    arguments = argparse.Namespace(
        device="cuda" if torch.cuda.is_available() else "cpu",
        model="cnn3" if model == "cnn" else "resnet18",
        width=width,
        bf16=False,
    )
    draw = np.random.default_rng(0)
    images = draw.integers(0, 255, (BATCH * STEPS, pixels, pixels, 1), dtype=np.uint8)
    run = Run(arguments, images, np.arange(BATCH * STEPS) % 2)
    network, optimizer = run.model(draw_trials(1, 0)[0], 0)
    batches = torch.arange(BATCH * STEPS, device=run.dev).split(BATCH)

    def steps() -> None:
        for batch in batches:
            run.step(network, optimizer, batch)
        if run.dev.type == "cuda":
            torch.cuda.synchronize()

    return steps


def main() -> None:
    """Measures and prints a table; stores benchmarks/results/steps_*.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=("cnn", "resnet18"), default="cnn")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--pixels", type=int, default=28)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lowerings", default="custom,im2col,shift")
    parser.add_argument("--packings", default="map,vmap")
    a = parser.parse_args()
    import jax
    import measure

    devices = jax.local_devices()
    candidates: dict[str, Callable] = {"pytorch": torch_steps(a.model, a.width, a.pixels)}
    per_call = {"pytorch": STEPS}
    for lowering in a.lowerings.split(","):
        for packing in a.packings.split(","):
            name = f"{lowering}/{packing}"
            candidates[name] = ours(a.model, a.width, a.pixels, lowering, packing, a.lanes, devices)
            per_call[name] = STEPS * a.lanes * len(devices)
    seconds = measure.in_turn(candidates, a.rounds)
    rows = {name: 1e3 * measure.median(times) / per_call[name] for name, times in seconds.items()}
    print(f"{a.model} width {a.width}, {a.pixels} pixels, batch {BATCH}: ms a step and lane")
    for name, value in sorted(rows.items(), key=lambda item: item[1]):
        print(f"  {name:14s} {value:8.2f}   {value / rows['pytorch']:.2f} x PyTorch")
    name = f"steps_{a.model}_w{a.width}_p{a.pixels}_{devices[0].platform}"
    path = measure.store(name, " ".join(["python", "benchmarks/steps.py", *sys.argv[1:]]), {"ms": rows})
    print(path)


if __name__ == "__main__":
    main()
