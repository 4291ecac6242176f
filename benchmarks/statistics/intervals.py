"""Do intervals of cross-validation hold what they promise? Simulated studies whose truth is known.

    python -m benchmarks.statistics.intervals [--studies 500] [--processes 2] [--parts tuning,leak]

Two Gaussian classes, a regularised linear discriminant, and nested cross-validation of it; the true accuracy
and AUC of every fitted model follow from a formula. Each part compares with this truth:

- intervals: how often each 95 % interval holds the true performance, and its width; a figure beside it.
- tuning: reporting the best trial's accuracy on the folds that chose it.
- held_out: reporting one held-out set.
- leak: folds that share subjects.

A setting that is done is kept in --workdir and not computed again: after an interruption, start it again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.shared import measure

LOW, HIGH = 0.92, 0.98
"""Coverage that is asked of the headline interval."""
METRICS = {"accuracy": "Accuracy", "auc": "AUC"}


def interval_settings() -> list[Any]:
    """Kinds of studies of the part `intervals`."""
    from benchmarks.statistics.intervals_figure import GROWN
    from benchmarks.statistics.intervals_world import Setting

    plain = [Setting(n, k) for n in (50, 100, 200, 500, 1000) for k in (5, 10)]
    rare = [Setting(n, k, prevalence=0.2) for n in (50, 200, 500) for k in (5, 10)]
    clustered = [Setting(n, k, cluster=4) for n in (200, 1000) for k in (5, 10)]
    tuned = [Setting(n, k, trials=12) for n in (50, 100, 200, 500) for k in (5, 10)]
    stable = [*plain, *rare, *clustered, *tuned, Setting(200, 5, 0.2, 4, 12)]
    # A learner that grows with the cases is less stable than one of 20 features, as networks are.
    shapes: list[dict[str, Any]] = [{}, {"prevalence": 0.2}, {"cluster": 4}, {"trials": 12}]
    kinds = [(n, kind) for n in (200, 500, 1000) for kind in shapes if n == 200 or not kind]
    kinds += [(n, {"shrinkage": amount}) for n in (200, 500) for amount in (0.1, 0.03)]
    grown = [Setting(n, k, features=n // 2, **GROWN, **kind) for n, kind in kinds for k in (5, 10)]
    return [*stable, *grown]


def describe(setting: Any) -> str:
    """A setting in a few words."""
    words = [f"n {setting.cases}", f"K {setting.folds}"]
    words += [f"prevalence {setting.prevalence:g}"] * (setting.prevalence != 0.5)
    words += [f"{setting.cluster} cases a subject"] * (setting.cluster > 1)
    words += [f"{setting.trials} trials"] * (setting.trials > 1)
    words += [f"{setting.features} features"] * (setting.features != 20)
    words += [f"shrinkage {setting.shrinkage:g}"] * (setting.shrinkage != 0.3)
    words += [f"{setting.shared:g} shared"] * (setting.cluster > 1 and setting.shared != 0.5)
    words += ["no signal"] * (setting.distance == 0) + ["leaking"] * setting.leak
    return ", ".join(words)


@cache
def code() -> str:
    """Hash of what the numbers depend on, so that changed code finds nothing of the old."""
    paths = [*sorted(Path(__file__).parent.glob("intervals_[psw]*.py"))]
    package = measure.FOLDER.parent / "nachos_jax"
    paths += [package / f"statistics/{name}.py" for name in ("bates", "bbc", "bootstrap", "intervals")]
    paths += [package / f"metrics/{name}.py" for name in ("classification", "matrices", "ranking")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]


def kept(work: Callable[..., dict], given: argparse.Namespace, setting: Any) -> tuple[dict, float]:
    """What a function finds for a setting, and its seconds; from the work directory when it lies there."""
    case = [work.__name__, asdict(setting), given.studies, given.seed, given.replicates, code()]
    name = hashlib.sha256(json.dumps(case).encode()).hexdigest()[:16]
    path = given.workdir / f"{name}.json"
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        return stored["found"], stored["seconds"]
    began = time.process_time()
    seed = int(hashlib.sha256(json.dumps([given.seed, asdict(setting)]).encode()).hexdigest()[:12], 16)
    found = work(setting, given.studies, seed, given.replicates)
    seconds = time.process_time() - began
    given.workdir.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"case": case, "found": found, "seconds": seconds}), encoding="utf-8")
    new.replace(path)
    print(f"{work.__name__}: {describe(setting)}: {seconds:.0f} s of processor time", file=sys.stderr)
    return found, seconds


def every(work: Callable[..., dict], given: argparse.Namespace, settings: Sequence[Any]) -> list[dict]:
    """What a function finds for each setting."""
    call = partial(kept, work, given)
    if given.processes == 1:
        done = [call(setting) for setting in settings]
    else:
        # Not forked: measure.store has started JAX, which does not survive it.
        with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
            done = list(pool.map(call, settings))
    print(f"{work.__name__}: {sum(s for _, s in done):.0f} s of processor time in all", file=sys.stderr)
    return [found for found, _ in done]


def share(found: Mapping[str, Any], goal: str) -> float | None:
    """Coverage of a goal among the studies in which the interval is defined."""
    return found[f"covered_{goal}"] / found["defined"] if found["defined"] else None


def intervals(given: argparse.Namespace) -> None:
    """Coverage and width of every interval."""
    from benchmarks.statistics import intervals_figure
    from benchmarks.statistics.intervals_study import METHODS, measure_setting

    settings = interval_settings()
    found = every(measure_setting, given, settings)
    for metric, name in METRICS.items():
        methods = [m for m in METHODS if any(m in one[metric] for one in found)]
        rows, widths = [], []
        for setting, one in zip(settings, found, strict=True):
            cells = [_coverage(one[metric].get(method)) for method in methods]
            truth = f"{one[metric]['corrected_t']['truth']:.3f}"
            rows.append((describe(setting), truth, *cells))
            wide = [one[metric].get(method, {}).get("width") for method in methods]
            widths.append((describe(setting), *("-" if w is None else f"{w:.3f}" for w in wide)))
        columns = tuple(METHODS[method] for method in methods)
        value = {
            "settings": [asdict(setting) for setting in settings],
            "found": [one[metric] for one in found],
            "notes": [_what(given), verdict(settings, found, metric)],
        }
        title = f"{name}: coverage of 95 % intervals, models / procedure"
        table = measure.Table(("setting", "true", *columns), tuple(rows))
        measure.store(given.out, f"intervals_{metric}", title, table, value, timed=False)
        title = f"{name}: mean width of 95 % intervals"
        table = measure.Table(("setting", *columns), tuple(widths))
        measure.store(
            given.out, f"intervals_{metric}_width", title, table, {"notes": [_what(given)]}, timed=False
        )
    print(f"drawn: {intervals_figure.draw(settings, found, given.out).name}")


def _coverage(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    cells = [share(found, goal) for goal in ("models", "procedure")]
    lost = found["studies"] - found["defined"]
    shown = " / ".join("-" if cell is None else f"{cell:.3f}" for cell in cells)
    return f"{shown} ({lost} undefined)" if lost else shown


def _what(given: argparse.Namespace) -> str:
    error = 1.96 * (0.95 * 0.05 / given.studies) ** 0.5
    return (
        f"{given.studies} studies a setting, {given.replicates} bootstrap replicates. *Models*: the interval "
        "holds the mean true performance of the study's K models; *procedure*: its expectation over studies, "
        f"the performance to expect at n (K - 1)/K cases. A true 0.95 shows as 0.95 +- {error:.3f}."
    )


def verdict(settings: Sequence[Any], found: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Whether the headline interval keeps its promise with each learner, and where it does not, in words."""
    told = []
    for learner, grown in (("20 features", False), ("half as many features as cases", True)):
        chosen = [
            (describe(setting), one[metric]["corrected_t"])
            for setting, one in zip(settings, found, strict=True)
            if setting.cases >= 200 and (setting.features != 20) == grown
        ]
        if chosen:
            goals = [f"{goal} {_range(goal, chosen)}" for goal in ("models", "procedure", "deployed")]
            told.append(f"Corrected t, n >= 200, {learner}: {'; '.join(goals)}.")
    return f"Asked of the corrected t are {LOW} to {HIGH}. " + " ".join(told)


def _range(goal: str, found: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Lowest and highest coverage of a goal, and what lies outside what is asked."""
    shares = [(share(one, goal), name) for name, one in found]
    known = [(value, name) for value, name in shares if value is not None]
    low, high = min(known), max(known)
    text = f"{low[0]:.3f} ({low[1]}) to {high[0]:.3f} ({high[1]})"
    below = [name for value, name in known if value < LOW]
    text += f", below in {len(below)} and above in {sum(v > HIGH for v, _ in known)} of {len(known)} settings"
    return text + (f" (below: {', '.join(below)})" if below else "")


def _signed(found: Mapping[str, float]) -> tuple[str, str]:
    return f"{found['bias']:+.3f} +- {1.96 * found['bias_se']:.3f}", f"{found['sd']:.3f}"


def _practice(
    given: argparse.Namespace, name: str, title: str, settings: Sequence[Any], found: Sequence[dict]
) -> None:
    """Stores the errors of one practice and its alternatives."""
    from benchmarks.statistics.intervals_practices import MISS

    kinds = [kind for kind in found[0] if kind != "truth"]
    columns = ("setting", "true", *(f"{kind}: {what}" for kind in kinds for what in ("bias", "SD", "missed")))
    rows = []
    for setting, one in zip(settings, found, strict=True):
        cells = [cell for k in kinds for cell in (*_signed(one[k]), f"{100 * one[k]['missed']:.0f} %")]
        rows.append((describe(setting), f"{one['truth']['mean']:.3f}", *cells))
    note = f"Reported less true, {given.studies} studies a setting; missed: off by more than {MISS}."
    value = {"settings": [asdict(s) for s in settings], "found": found, "notes": [note]}
    measure.store(
        given.out, f"intervals_{name}", title, measure.Table(columns, tuple(rows)), value, timed=False
    )


def tuning(given: argparse.Namespace) -> None:
    """The best trial's accuracy on the folds that chose it."""
    from benchmarks.statistics.intervals_practices import tuning as work
    from benchmarks.statistics.intervals_world import Setting

    settings = [Setting(n, 5, trials=t) for n in (50, 100, 200, 500) for t in (16, 64)]
    settings += [Setting(100, 5, trials=t, distance=0.0) for t in (16, 64)]
    title = "Tuning and reporting on the same folds: error of the reported accuracy"
    _practice(given, "tuning", title, settings, every(work, given, settings))


def held_out(given: argparse.Namespace) -> None:
    """One held-out set of a fifth of the cases."""
    from benchmarks.statistics.intervals_practices import held_out as work
    from benchmarks.statistics.intervals_world import Setting

    settings = [Setting(n, 5) for n in (50, 100, 200, 500, 1000)]
    title = "One held-out set of a fifth of the cases: error of the reported accuracy"
    _practice(given, "held_out", title, settings, every(work, given, settings))


def leak(given: argparse.Namespace) -> None:
    """Folds drawn over cases of the same subjects."""
    from benchmarks.statistics.intervals_practices import leak as work
    from benchmarks.statistics.intervals_world import Setting

    settings = [
        Setting(n, 5, cluster=4, trials=12, shared=shared, leak=leaking)
        for n in (200, 1000)
        for shared in (0.3, 0.8)
        for leaking in (False, True)
    ]
    title = "Folds that share subjects: error of the nested estimate"
    _practice(given, "leak", title, settings, every(work, given, settings))


PARTS = {"intervals": intervals, "tuning": tuning, "held_out": held_out, "leak": leak}


def main() -> None:
    """Simulates the parts that are asked for."""
    flags = measure.parser(__doc__)
    flags.add_argument("--parts", default=",".join(PARTS))
    flags.add_argument("--studies", type=int, default=500, help="of each setting")
    flags.add_argument("--replicates", type=int, default=1000, help="of a bootstrap")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--processes", type=int, default=1)
    flags.add_argument(
        "--workdir", type=Path, default=measure.FOLDER.parent / "runs/intervals", help="keeps what is done"
    )
    given = flags.parse_args()
    unknown = [word for word in given.parts.split(",") if word not in PARTS]
    if unknown:
        sys.exit(f"--parts: there is no {', '.join(unknown)}; there are {', '.join(PARTS)}.")
    if min(given.studies, given.replicates) < 2 or given.processes < 1:
        sys.exit("--studies and --replicates must be at least 2, --processes at least 1.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # matrices are small; before NumPy starts
    for part in given.parts.split(","):
        PARTS[part](given)


if __name__ == "__main__":
    main()
