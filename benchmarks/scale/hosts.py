"""How well many hosts are kept busy: the whole protocol in virtual time, from 1 to 256 hosts of 8 devices.

    python -m benchmarks.scale.hosts [--parts hosts,lanes,proposals,changes] [--hosts 1,2,4,8] [--workdir DIR]

The code that hands out fits is the project's own: rounds, conductor, process 0, workers, board and early
stopping; lanes follow the model that `nachos plan` plays. Epochs, compilations, proposals and messages take
virtual time, and lengths of fits are drawn: from the curves in a run directory (--workdir), else from those
of the published NACHOS study.

- hosts: efficiency, speed-up, and what idle lanes wait for, for both kinds of searcher; a figure beside it.
- lanes: the same for 1 to 16 lanes on each of 32 devices, when a device has room for more lanes, and when it
  is full with one.
- proposals: for 2 to 32 trials proposed at a time, on 32 and on 256 devices.
- changes: what would help, one change at a time.

Efficiency is busy lane-seconds over all lane-seconds until the last study is finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.scale import hosts_fits
from benchmarks.scale import hosts_ledger as ledgers
from benchmarks.shared import measure

FEW, MANY = 4, 32
"""Hosts of the parts beside `hosts`: 32 and 256 devices."""


class Bench:
    """Simulates cases, each once.

    Args:
        given: the flags.
    """

    def __init__(self, given: argparse.Namespace):
        lengths = hosts_fits.recorded(given.workdir) if given.workdir else hosts_fits.Lengths()
        seconds = {"epoch_seconds": given.epoch_seconds, "compile_seconds": given.compile_seconds}
        self.lengths = replace(
            lengths, **{name: value for name, value in seconds.items() if value is not None}
        )
        self._courses, self._known = hosts_fits.Courses(self.lengths), {}
        self._shared = {name: getattr(given, name) for name in ("devices", "lanes", "folds", "trials")}
        if given.proposal_seconds is not None:
            self._shared["proposal_seconds"] = given.proposal_seconds
        self.given = given

    def run(self, **changed: Any) -> Any:
        """The outcome of a launch: the flags' case with some fields changed."""
        from benchmarks.scale.hosts_simulation import Case, simulate  # late: it imports JAX

        case = Case(**{**self._shared, **changed})
        if case not in self._known:
            self._known[case] = simulate(case, self._courses, self.lengths)
            print(f"{case.hosts} hosts, {case.searcher}: {self._known[case].efficiency:.3f}", file=sys.stderr)
        return self._known[case]

    def notes(self) -> list[str]:
        """What the figures rest on, in a sentence or two."""
        told = self.lengths
        return [
            f"{self.given.folds} outer folds of {self.given.trials} trials; best epochs as in {told.source}; "
            f"{told.epochs} epochs at most, patience {told.patience}; {told.epoch_seconds:.3g} s an epoch, "
            f"{told.compile_seconds:.3g} s a compilation."
        ]

    def store(self, part: str, title: str, table: measure.Table, found: Sequence[Any], *notes: str) -> None:
        """Writes a part's result."""
        value = {
            "lengths": asdict(self.lengths),
            "outcomes": [{**asdict(one), "efficiency": one.efficiency} for one in found],
            "notes": [*self.notes(), *notes],
        }
        measure.store(self.given.out, f"hosts_{part}", title, table, value, timed=False)


WHAT = ("makespan", "efficiency", *ledgers.IDLE)


def cells(outcome: Any) -> tuple[str, ...]:
    """A row's makespan, efficiency and shares of idle time."""
    shares = (f"{100 * outcome.share(reason):.1f} %" for reason in ledgers.IDLE)
    return (f"{outcome.makespan / 3600:.2f} h", f"{outcome.efficiency:.3f}", *shares)


def reasons() -> str:
    """What the columns of idle time mean."""
    return "Idle because: " + "; ".join(f"*{name}*, {why}" for name, why in ledgers.IDLE.items()) + "."


def hosts(bench: Bench) -> None:
    """From one host to many."""
    from benchmarks.scale import hosts_figure

    counts, found, rows = _numbers(bench.given.hosts), {}, []
    for searcher in bench.given.searchers.split(","):
        found[searcher] = [bench.run(hosts=count, searcher=searcher) for count in counts]
        for count, outcome in zip(counts, found[searcher], strict=True):
            devices, faster = count * bench.given.devices, found[searcher][0].makespan / outcome.makespan
            rows.append((searcher, f"{count}", f"{devices}", f"{faster:.1f} x", *cells(outcome)))
    columns = ("searcher", "hosts", "devices", "speed-up", *WHAT)
    title = (
        f"Many hosts, simulated: {bench.given.lanes} lanes on each of {bench.given.devices} devices a host"
    )
    every = [outcome for outcomes in found.values() for outcome in outcomes]
    notes = (f"Speed-up over {counts[0]} host{'s' if counts[0] > 1 else ''}. {reasons()}",)
    bench.store("scaling", title, measure.Table(columns, tuple(rows)), every, *notes)
    devices = [count * bench.given.devices for count in counts]
    for path in hosts_figure.draw(devices, found, bench.given.out):
        print(f"drawn: {path.name}")


def lanes(bench: Bench) -> None:
    """Lanes a device."""
    cases = [
        {"searcher": searcher, "lane_cost": cost, "lanes": count}
        for searcher in bench.given.searchers.split(",")
        for cost in (0.0, 1.0)
        for count in (1, 2, 4, 8, 16)
    ]
    rows, found = [], [bench.run(hosts=FEW, **case) for case in cases]
    for case, outcome in zip(cases, found, strict=True):
        device = "full with one lane" if case["lane_cost"] else "has room for more lanes"
        rows.append((case["searcher"], device, f"{case['lanes']}", *cells(outcome)))
    title = f"Lanes a device, simulated: {FEW} hosts, {FEW * bench.given.devices} devices"
    columns = ("searcher", "a device", "lanes a device", *WHAT)
    bench.store("lanes", title, measure.Table(columns, tuple(rows)), found)


def proposals(bench: Bench) -> None:
    """Trials proposed at a time."""
    cases = [{"hosts": count, "proposals": size} for count in (FEW, MANY) for size in (1, 2, 4, 8, 16, 32)]
    rows, found = [], [bench.run(searcher="ax", **case) for case in cases]
    for case, outcome in zip(cases, found, strict=True):
        rows.append((f"{case['proposals']}", f"{case['hosts'] * bench.given.devices}", *cells(outcome)))
    columns = ("config.search.proposals", "devices", *WHAT)
    bench.store(
        "proposals", "Trials proposed at a time, simulated", measure.Table(columns, tuple(rows)), found
    )


CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "process 0 knows all lanes from the start": {"known_lanes": True},
    "proposals take no time": {"proposal_seconds": 0.0},
    "messages take no time": {"message_seconds": 0.0, "service_seconds": 0.0, "text_seconds": 0.0},
    "no compilation": {"compiled": True},
    "rounds of 8 trials": {"proposals": 8},
    "a round does not wait for the one before it": {"lag": 1},
    "both": {"proposals": 8, "lag": 1},
    "rounds of 16 trials that do not wait for the one before": {"proposals": 16, "lag": 1},
    "three batch sizes: three programs": {"buckets": 3},
}


def changes(bench: Bench) -> None:
    """One change at a time."""
    rows, found = [], []
    for searcher in bench.given.searchers.split(","):
        for name, changed in CHANGES.items():
            if searcher != "ax" and {"proposals", "lag", "proposal_seconds"} & set(changed):
                continue
            for count in (FEW, MANY):
                found.append(bench.run(hosts=count, searcher=searcher, **changed))
                rows.append((name, searcher, f"{count * bench.given.devices}", *cells(found[-1])))
    columns = ("change", "searcher", "devices", *WHAT)
    bench.store("changes", "What would help, simulated", measure.Table(columns, tuple(rows)), found)


PARTS = {"hosts": hosts, "lanes": lanes, "proposals": proposals, "changes": changes}


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def known(names: Iterable[str], wanted: str, flag: str) -> None:
    """Ends with a message when a word of a list is not known."""
    unknown = [word for word in wanted.split(",") if word not in names]
    if unknown:
        sys.exit(f"{flag}: there is no {', '.join(unknown)}; there are {', '.join(names)}.")


def main() -> None:
    """Simulates the parts that are asked for."""
    flags = measure.parser(__doc__)
    flags.add_argument("--parts", default=",".join(PARTS))
    flags.add_argument("--hosts", default="1,2,4,8,16,32,64,128,256", help="of the part hosts")
    flags.add_argument("--searchers", default="random,ax", help='"random", "sobol" or "ax"')
    flags.add_argument("--devices", type=int, default=8, help="of a host")
    flags.add_argument("--lanes", type=int, default=4, help="of a device")
    flags.add_argument("--folds", type=int, default=10, help="outer folds")
    flags.add_argument("--trials", type=int, default=64, help="of each study")
    flags.add_argument("--workdir", type=Path, help="run directory whose curves and seconds are taken")
    flags.add_argument("--epoch-seconds", type=float, help="10 unless --workdir tells")
    flags.add_argument("--compile-seconds", type=float, help="60 unless --workdir tells")
    flags.add_argument("--proposal-seconds", type=float, help="of Ax for a trial")
    given = flags.parse_args()
    known(PARTS, given.parts, "--parts")
    known(("random", "sobol", "ax"), given.searchers, "--searchers")
    bench = Bench(given)
    for part in given.parts.split(","):
        PARTS[part](bench)


if __name__ == "__main__":
    main()
