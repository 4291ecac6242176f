"""How our time and memory grow: with lanes, with devices, with cases; and how well lanes are kept busy.

    python -m benchmarks.scale.scaling [--parts lanes,devices,cases,occupancy] [--cases 1000,10000,100000]

- lanes: seconds that a lane takes for an epoch when a device has 1, 2, 4, ... lanes.
- devices: 1, 2, 4, 8 devices, made of one processor by JAX: collectives in the compiled programs, which must
  be none, and bytes a device. They share the cores, so nothing is said of speed.
- cases: seconds until the end of the first epoch, and seconds a sample after it.
- occupancy: a search of many trials on ten pairs of folds with early stopping, several networks and batch
  sizes at once: how large a part of all lane-epochs is spent on a fit.

Each point is a process of its own (scaling_point.py); the points of a part take turns, an epoch each.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from benchmarks.shared import measure
from benchmarks.shared.served import Served


def points(given: argparse.Namespace, flag: str, values: str) -> list[tuple[int, dict[str, Any], float]]:
    """Facts and median seconds an epoch of each value of a flag of scaling_point.py."""
    shared = {"--width": given.width, "--pixels": given.pixels, "--cases": 768, "--lanes": 1}
    workers: dict[int, Served] = {}
    facts: dict[int, dict[str, Any]] = {}
    for value in map(int, values.split(",")):
        flags = (f"{k}={v}" for k, v in {**shared, flag: value}.items())
        workers[value] = Served([*measure.script("scale.scaling_point"), *flags])
        facts[value] = workers[value].ready()  # one after another: start-up times would else be mixed up
    seconds = measure.in_turn({str(v): worker for v, worker in workers.items()}, given.rounds, given.budget)
    for worker in workers.values():
        worker.close()
    return [(value, facts[value], measure.median(seconds[str(value)])) for value in workers]


def lanes(given: argparse.Namespace) -> None:
    """Lanes a device."""
    found = points(given, "--lanes", given.lanes)
    base = found[0][2] / found[0][1]["lanes"]
    lines = []
    for count, facts, seconds in found:
        each = seconds / facts["lanes"]
        memory = f"{facts['bytes_a_device'] / 2**20:,.1f} MiB"
        lines.append((f"{count}", f"{facts['lanes']}", f"{each:.3f} s", f"{each / base:.2f} x", memory))
    titles = ("lanes a device", "lanes", "a lane-epoch", "of one lane's time", "program and lanes, a device")
    _store(given, "lanes", "Lanes on a device", measure.Table(titles, tuple(lines)), found)


def devices(given: argparse.Namespace) -> None:
    """Devices: no collectives, and the same bytes on each."""
    found = points(given, "--devices", given.devices)
    lines = [
        (
            f"{count}",
            f"{facts['lanes']}",
            f"{facts['collectives']}",
            f"{facts['bytes_a_device'] / 2**20:,.1f} MiB",
        )
        for count, facts, _ in found
    ]
    titles = ("devices", "lanes", "collectives", "program and lanes, a device")
    _store(given, "devices", "Devices (one processor, divided)", measure.Table(titles, tuple(lines)), found)
    if any(facts["programs"] < 2 for _, facts, _ in found):
        sys.exit("not all programs were seen: the count of collectives means nothing")
    talking = [count for count, facts, _ in found if facts["collectives"]]
    if talking:
        sys.exit(f"lanes talk to each other on {talking} devices: a collective was compiled in")


def cases(given: argparse.Namespace) -> None:
    """Cases: time to the first epoch's end, and time a sample."""
    found = points(given, "--cases", given.cases)
    lines = [
        (
            f"{count:,}",
            f"{facts['start_seconds']:.1f} s",
            f"{1e6 * seconds / (facts['samples'] * facts['lanes']):.1f} µs",
            f"{facts['case_bytes'] / 2**20:,.1f} MiB",
        )
        for count, facts, seconds in found
    ]
    titles = ("cases", "until the end of the first epoch", "a sample", "pixels as stored")
    _store(given, "cases", "Number of cases", measure.Table(titles, tuple(lines)), found)


def occupancy(given: argparse.Namespace) -> None:
    """One search, driven through the lane pool."""
    flags = [f"--trials={given.trials}", f"--lanes={given.search_lanes}"]
    finished = measure.run([*measure.script("scale.occupancy"), *flags])
    told = json.loads(finished.output.splitlines()[-1])
    shown = {
        "fits": f"{told['fits']}",
        "buckets": f"{told['buckets']}",
        "programs compiled": f"{told['compilations']}",
        "epochs trained": f"{told['epochs']:,}",
        "epochs a fit, fewest to most": f"{told['fewest']} to {told['most']}",
        "occupancy": f"{100 * told['occupancy']:.1f} %",
        "wall": f"{finished.seconds:.1f} s",
        "compiling": f"{told['compile_seconds']:.1f} s",
    }
    title = f"Occupancy: {told['trials']} trials on {told['pairs']} pairs of folds, early stopping"
    _store(given, "occupancy", title, measure.Table(("what", "value"), tuple(shown.items())), told)


def _store(given: argparse.Namespace, part: str, title: str, table: measure.Table, found: Any) -> None:
    measure.store(given.out, f"scaling_{part}", title, table, {"points": found, "width": given.width})


PARTS = {"lanes": lanes, "devices": devices, "cases": cases, "occupancy": occupancy}


def main() -> None:
    """Runs the parts that are asked for."""
    flags = measure.parser(__doc__)
    flags.add_argument("--parts", default=",".join(PARTS))
    flags.add_argument("--lanes", default="1,2,4,8", help="lanes a device, of the part lanes")
    flags.add_argument("--devices", default="1,2,4,8", help="of the part devices")
    flags.add_argument("--cases", default="1000,10000,100000", help="of the part cases")
    flags.add_argument("--trials", type=int, default=32, help="of the part occupancy")
    flags.add_argument("--search-lanes", type=int, default=4, help="lanes a device of the part occupancy")
    flags.add_argument("--width", type=int, default=16, help="channels of the cnn's first stage")
    flags.add_argument("--pixels", type=int, default=28)
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument(
        "--budget", type=float, default=120.0, help="seconds of a part after which no round begins"
    )
    given = flags.parse_args()
    unknown = [part for part in given.parts.split(",") if part not in PARTS]
    if unknown:
        sys.exit(f"--parts: there is no {', '.join(unknown)}; there are {', '.join(PARTS)}.")
    for part in given.parts.split(","):
        PARTS[part](given)


if __name__ == "__main__":
    main()
