"""One training step: ours in every lowering and packing that is asked for, PyTorch's, and the floor.

    python -m benchmarks.speed.steps --model resnet18 --width 16 --candidates auto,custom/map,im2col/map
    python -m benchmarks.speed.steps --suite

Our time is that of the very program that the engine runs, an epoch of all lanes of all devices, over its
lanes and steps. The floor is the larger of two times: the step's floating-point operations at the measured
rate of a matrix product, and the bytes that it must move at the measured rate of a copy (counts.py,
rates.py). Each turn begins with a call that does not count. --suite runs a list of cases (suite.py), each in
a process of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from benchmarks.shared import measure, workload
from benchmarks.shared.workload import Workload
from benchmarks.speed import suite

CANDIDATES = "auto,split/map,custom/map,im2col/map,shift/map,lax/map,custom/vmap,im2col/vmap"
TRAP = "lax/map"
"""XLA's CPU backend runs the gradients of a convolution many times slower inside a loop than outside one."""


@dataclass(frozen=True)
class Timed:
    """Something that can take its turn: what to call, and how many training steps a call is."""

    call: Any
    steps: int


def ours(work: Workload, names: list[str], lanes: int) -> tuple[dict[str, Timed], dict[str, str]]:
    """Our candidates, compiled and warm.

    Args:
        work: the workload.
        names: "LOWERING/PACKING", or "auto".
        lanes: lanes a device.

    Returns:
        The candidates by name, and {"auto": what it took}; what cannot run is left out with a message.
    """
    found, taken = {}, {}
    for name in names:
        try:
            if name == "auto":
                pool, taken["auto"] = workload.taken_by_auto(work, lanes, work.batch * work.steps)
            else:
                pool = workload.endless_pool(work, lanes, name, work.batch * work.steps)
        except Exception as error:  # too little memory, or not on this platform: the others still count
            print(f"{name} is left out: {str(error).splitlines()[0] if str(error) else repr(error)}")
            continue
        found[name] = Timed(pool.step, work.steps * pool.lanes)
    return found, taken


def pytorch(work: Workload, platform: str, processes: int) -> dict[str, Timed]:
    """PyTorch in one process, and in several if wanted; nothing, with a message, where it is missing."""
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: its rows are left out.")
        return {}
    import torch

    from benchmarks.speed.torch_steps import TorchProcesses

    device = "cpu" if platform == "cpu" else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        print("PyTorch is installed without support for this accelerator: its rows are left out.")
        return {}
    found = {"pytorch": Timed(TorchProcesses(work, device, 1), work.steps)}
    if processes > 1:
        several = TorchProcesses(work, device, processes)
        found[f"pytorch, {processes} processes"] = Timed(several, work.steps * processes)
    return found


def floor(work: Workload) -> dict[str, Any]:
    """Milliseconds that a step takes at least, by operations and by bytes, with the rates they come from."""
    from benchmarks.speed import counts, rates

    measured = rates.rates(work.precision)
    found = counts.layers(work.model, work.width, work.pixels)
    flops = counts.step_flops(found, work.batch)
    moved = counts.step_bytes(found, work.batch, work.pixels, 4 if work.precision == "float32" else 2)
    terms = {"by_flops": 1e3 * flops / measured["flops"], "by_bytes": 1e3 * moved / measured["bytes"]}
    return {**terms, "ms": max(terms.values()), "step_flops": flops, "step_bytes": moved, "rates": measured}


def rows(ms: dict[str, float], least: dict[str, Any], taken: dict[str, str], platform: str) -> measure.Table:
    """The table, fastest first: milliseconds, against PyTorch, and how near the floor."""
    lines = []
    for name, value in sorted(ms.items(), key=lambda item: item[1]):
        label = f"auto (takes {taken['auto']})" if name == "auto" else name
        if name == TRAP and platform == "cpu":
            label += " (gradients of lax inside the loop)"
        ratio = f"{value / ms['pytorch']:.2f} x" if "pytorch" in ms else "-"
        rate = f"{100 * least['by_flops'] / value:.0f} %"
        lines.append((label, f"{value:.3g} ms", ratio, f"{100 * least['ms'] / value:.0f} %", rate))
    bound = "operations" if least["by_flops"] >= least["by_bytes"] else "bytes"
    share = f"{100 * least['by_flops'] / least['ms']:.0f} %"
    lines.append((f"floor ({bound})", f"{least['ms']:.3g} ms", "-", "100 %", share))
    titles = (
        "candidate",
        "a step and lane",
        "of PyTorch's time",
        "of the floor's speed",
        "of the matrix rate",
    )
    return measure.Table(titles, tuple(lines))


def verdict(taken: dict[str, str], platform: str) -> list[str]:
    """What `auto` takes here, and whether it steps into the trap."""
    if "auto" not in taken:
        return []
    told = f"On this machine `auto` takes {taken['auto']}"
    if platform != "cpu":
        return [f"{told}."]
    trapped = taken["auto"].startswith("lax/")
    return [f"{told}: {'the slow gradients of lax, which it never should' if trapped else 'not lax'}."]


def one_case(given: argparse.Namespace) -> None:
    """Measures one workload and stores benchmarks/results/steps_*.json."""
    import jax

    measure.start_jax()
    work, platform = workload.from_flags(given), jax.local_devices()[0].platform
    names = list(dict.fromkeys(candidates(given, platform)))
    with tempfile.TemporaryDirectory() as compiled:
        # What auto has compiled to time it is not compiled again for a row of its own.
        jax.config.update("jax_compilation_cache_dir", compiled)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        own, taken = ours(work, names, given.lanes)
        others = pytorch(work, platform, given.processes)
        turns = {**others, **own}
        if not own:
            sys.exit("none of our candidates could run")
        seconds = measure.in_turn(
            {n: t.call for n, t in turns.items()}, given.rounds, given.budget, warm=True
        )
        for timed in others.values():
            timed.call.close()
        least = floor(work)
    ms = {n: 1e3 * measure.median(times) / turns[n].steps for n, times in seconds.items()}
    value = {
        "workload": vars(work),
        "ms": ms,
        "auto": taken.get("auto"),
        "floor": least,
        "lanes_a_device": given.lanes,
        "rounds": min((len(times) for times in seconds.values()), default=0),
        "notes": verdict(taken, platform),
    }
    table = rows(ms, least, taken, platform)
    name, title = f"steps_{work.name}{measure.place()}", f"A training step: {work.words}"
    measure.store(given.out, name, title, table, value)


def candidates(given: argparse.Namespace, platform: str) -> list[str]:
    """Names of our candidates; "table" stands for those that `auto` times."""
    if given.lowerings or given.packings:
        lowerings = (given.lowerings or "lax,split,custom,shift,im2col").split(",")
        return [f"{low}/{pack}" for low in lowerings for pack in (given.packings or "map,vmap").split(",")]
    found: list[str] = []
    for name in given.candidates.split(","):
        found += workload.table_of_auto(platform) if name == "table" else [name]
    return found


def main() -> None:
    """One case, or the suite."""
    flags = measure.parser(__doc__)
    workload.add_flags(flags)
    flags.add_argument("--lanes", type=int, default=2, help="lanes a device")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument(
        "--candidates", default=CANDIDATES, help="LOWERING/PACKING, auto, table (what auto times)"
    )
    flags.add_argument(
        "--lowerings", default="", help="with --packings, each with each instead of --candidates"
    )
    flags.add_argument("--packings", default="", help="map,vmap,blocks")
    flags.add_argument("--processes", type=int, default=1, help="also PyTorch in so many processes at once")
    flags.add_argument("--budget", type=float, default=900.0, help="seconds after which no round begins")
    flags.add_argument(
        "--suite", nargs="?", const="all", default="", help=f"names of {', '.join(suite.CASES)}"
    )
    flags.add_argument("--limit", type=float, default=1800.0, help="seconds for a case of the suite")
    given = flags.parse_args()
    if given.suite:
        suite.run(given)
    else:
        one_case(given)


if __name__ == "__main__":
    main()
