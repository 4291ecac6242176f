"""Cases that lie on the device against cases streamed from disk: same numbers, and what streaming costs.

    python -m benchmarks.speed.stream [--cases 20000] [--window 4096] [--pixels 28] [--epochs 6]

Both train the same fits in processes of their own (stream_side.py), in turn, an epoch each; the pixels are
synthetic and lie in a file that both open as a memory map. The first epoch, compilation included, does not
count.

Every other fit is a search fit, which predicts its fold after each epoch and so needs a second pass over the
windows; the others predict once, at their end. Peak memory counts the pages of the file that the system keeps
for the process; the last column leaves them out.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure
from benchmarks.shared.served import Served

SIDES = ("resident", "stream")


def differences(paths: dict[str, Path]) -> dict[str, Any]:
    """What the two sides disagree about: ids of fits, and the largest differences of losses and logits."""
    found = {side: dict(np.load(path)) for side, path in paths.items()}
    one, other = (found[side] for side in SIDES)
    largest = {"loss": 0.0, "logit": 0.0}
    for name in one.keys() & other.keys():
        kind = name.split("/")[0]
        largest[kind] = max(largest[kind], float(np.abs(one[name] - other[name]).max()))
    return {
        "same_fits": one.keys() == other.keys(),
        "fits": sum(name.startswith("loss/") for name in one),
        **largest,
    }


def run(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both sides, from start to end."""
    draw = np.random.default_rng(0)
    pixels = folder / "pixels.npy"
    stored = np.lib.format.open_memmap(pixels, "w+", np.uint8, (given.cases, given.pixels, given.pixels, 1))
    for start in range(0, given.cases, 4096):
        part = stored[start : start + 4096]
        part[:] = draw.integers(0, 256, part.shape, dtype=np.uint8)
    stored.flush()
    results = {side: folder / f"{side}.npz" for side in SIDES}
    names = ("window", "epochs", "lanes", "width", "batch")
    shared = [f"--{name}={getattr(given, name)}" for name in names]
    workers, facts = {}, {}
    for side in SIDES:
        own = [f"--residency={side}", f"--pixels={pixels}", f"--result={results[side]}"]
        workers[side] = Served([*measure.script("speed.stream_side"), *own, *shared])
        facts[side] = workers[side].ready()
    seconds = measure.in_turn(workers, given.epochs - 1)
    peaks = {side: worker.close() for side, worker in workers.items()}
    return {
        "seconds_an_epoch": {side: measure.median(times) for side, times in seconds.items()},
        "peak_mib": peaks,
        "own_mib": {side: worker.answers[-1]["own_mib"] for side, worker in workers.items()},
        "facts": facts,
        "differences": differences(results),
    }


def main() -> None:
    """Measures, compares and stores."""
    flags = measure.parser(__doc__)
    flags.add_argument("--cases", type=int, default=20_000)
    flags.add_argument("--window", type=int, default=4096, help="cases a window")
    flags.add_argument("--pixels", type=int, default=28, help="side of the images")
    flags.add_argument("--epochs", type=int, default=6)
    flags.add_argument("--lanes", type=int, default=2, help="lanes a device")
    flags.add_argument("--width", type=int, default=16, help="channels of the cnn's first stage")
    flags.add_argument("--batch", type=int, default=64)
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = run(given, Path(temporary))
    samples = {side: facts["samples"] for side, facts in found["facts"].items()}
    rates = {side: samples[side] / seconds for side, seconds in found["seconds_an_epoch"].items()}
    lines = [
        (
            side,
            f"{rates[side]:,.0f}",
            f"{rates[side] / rates['resident']:.2f} x",
            f"{found['peak_mib'][side]:,.0f} MiB",
            f"{found['own_mib'][side]:,.0f} MiB",
        )
        for side in SIDES
    ]
    told = found["differences"]
    same = "the same" if told["same_fits"] else "DIFFERENT"
    notes = [
        f"Both trained {same} {told['fits']} fits; the largest difference of a training loss is "
        f"{told['loss']:.2g}, of a logit {told['logit']:.2g}."
    ]
    titles = ("cases", "samples a second", "of resident", "peak memory", "without the file's own pages")
    size = f"{given.cases:,} cases of {given.pixels} x {given.pixels} pixels"
    title = f"Streaming: {size}, windows of {given.window:,}"
    measure.start_jax()
    table = measure.Table(titles, tuple(lines))
    measure.store(given.out, "stream", title, table, {**found, "notes": notes})


if __name__ == "__main__":
    main()
