"""One training step of a U-Net: ours in every lowering that is asked for, PyTorch's, and the floor.

    python -m benchmarks.speed.unet_steps --axes 2
    python -m benchmarks.speed.unet_steps --axes 3 --candidates fold/map,slab/map,custom/map

As steps.py, of which this is the sibling for segmentation: ours is the program that the engine runs. PyTorch
trains the same network, each layout in a process of its own. The floor is the larger of two times: the step's
operations at the measured rate of a matrix product, and the bytes that it must move at the rate of a copy.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.shared import measure
from benchmarks.speed import unet_work
from benchmarks.speed.counts import PASSES_OF_A_PARAMETER, PASSES_OF_AN_ACTIVATION
from benchmarks.speed.unet_work import UNetWork

CANDIDATES = {2: "slab/map,split/map,custom/map,im2col/map", 3: "split/map,fold/map,slab/map,custom/map"}


def counts(work: UNetWork) -> tuple[int, int]:
    """Operations of one training step, and bytes that it must move at least; as counts.py counts them."""
    pixels = [(work.side // 2**level) ** work.axes for level in range(work.depth)]
    window, widths = 3**work.axes, work.widths
    layers = []  # numbers in the kernel, pixels whose number of products that is, channels and pixels out
    for inputs, width, size in zip((1, *widths), widths, pixels, strict=False):
        layers += [(window * inputs * width, size, width, size), (window * width**2, size, width, size)]
    for width, below, size, fewer in zip(widths, widths[1:], pixels, pixels[1:], strict=False):
        layers.append((2**work.axes * below * width, fewer, width, size))
        layers += [(2 * window * width**2, size, width, size), (window * width**2, size, width, size)]
    layers.append((2 * widths[0], pixels[0], 2, pixels[0]))
    forward = sum(2 * weights * size for weights, size, _, _ in layers)
    first = 2 * layers[0][0] * layers[0][1]
    activations = work.batch * sum(channels * size for _, _, channels, size in layers)
    moved = 4 * PASSES_OF_AN_ACTIVATION * activations + 4 * PASSES_OF_A_PARAMETER * sum(k for k, *_ in layers)
    return work.batch * (3 * forward - first), moved


def floor(work: UNetWork) -> dict[str, Any]:
    """Milliseconds that a step takes at least, by operations and by bytes."""
    from benchmarks.speed import rates

    measured, (flops, moved) = rates.rates(work.precision), counts(work)
    terms = {"by_flops": 1e3 * flops / measured["flops"], "by_bytes": 1e3 * moved / measured["bytes"]}
    return {**terms, "ms": max(terms.values()), "step_flops": flops, "step_bytes": moved, "rates": measured}


def rows(ms: dict[str, float], least: dict[str, Any]) -> measure.Table:
    """The table, fastest first: milliseconds, against PyTorch's default layout, and how near the floor."""
    lines = []
    for name, value in sorted(ms.items(), key=lambda item: item[1]):
        ratio = f"{value / ms['pytorch']:.2f} x" if "pytorch" in ms else "-"
        lines.append((name, f"{value:.3g} ms", ratio, f"{100 * least['ms'] / value:.0f} %"))
    bound = "operations" if least["by_flops"] >= least["by_bytes"] else "bytes"
    lines.append((f"floor ({bound})", f"{least['ms']:.3g} ms", "-", "100 %"))
    return measure.Table(
        ("candidate", "a step and lane", "of PyTorch's time", "of the floor's speed"), tuple(lines)
    )


def one_case(given: argparse.Namespace) -> None:
    """Measures one workload and stores benchmarks/results/steps_unet_*.json."""
    import importlib.util

    import jax

    measure.start_jax()
    work, turns, steps = unet_work.from_flags(given), {}, {}
    workers = []
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: its rows are left out.")
    else:
        from benchmarks.speed import torch_unet

        device = "cpu" if jax.local_devices()[0].platform == "cpu" else "cuda"
        workers = [torch_unet.worker(work, layout, device) for layout in torch_unet.LAYOUTS]
        for name, process in zip(("pytorch", "pytorch, channels-last"), workers, strict=True):
            process.ready()
            turns[name], steps[name] = process, work.steps
    for name in (given.candidates or CANDIDATES[work.axes]).split(","):
        turns[name] = unet_work.lane_steps(work, given.lanes, name)
        steps[name] = work.steps * given.lanes * len(jax.local_devices())
    seconds = measure.in_turn(turns, given.rounds, given.budget, warm=True)
    for process in workers:
        process.close()
    ms = {name: 1e3 * measure.median(times) / steps[name] for name, times in seconds.items()}
    least = floor(work)
    value = {"workload": vars(work), "ms": ms, "floor": least, "lanes_a_device": given.lanes}
    title = f"A training step: {work.words}"
    measure.store(given.out, f"steps_{work.name}{measure.place()}", title, rows(ms, least), value)


def main() -> None:
    """One case."""
    flags = measure.parser(__doc__)
    unet_work.add_flags(flags)
    flags.add_argument("--lanes", type=int, default=1, help="lanes a device")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--candidates", default="", help="LOWERING/PACKING; those worth a look by default")
    flags.add_argument("--budget", type=float, default=600.0, help="seconds after which no round begins")
    one_case(flags.parse_args())


if __name__ == "__main__":
    main()
