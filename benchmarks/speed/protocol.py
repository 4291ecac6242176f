"""The whole nested cross-validation: ours against the sequential PyTorch loop, in turn, wall time.

    python -m benchmarks.speed.protocol [--data FILE.npz] [--folds 5] [--trials 8] [--epochs 10] [--rounds 1]

Both train the same network (three stages, width 16) on batches of 64 for the same epochs without early
stopping, with as many random trials. Each is a fresh process, ours with an empty compilation cache, so
start-up, compilation, checkpoints, records and the report are all in our time. Without --data it runs on
scikit-learn's digits.

PyTorch's wall time over ours is a product of two numbers, which are shown apart: how much less is trained,
because a pair of folds is left out once for two studies, and how many more sample-epochs a second are
trained.
--processes N also runs N copies of the PyTorch loop at once, as a user might on a large device.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure

CONFIG = """
from nachos_jax import default_config
def get_config():
    config = default_config()
    config.data.source, config.data.path, config.data.subject = "npz", "{data}", "one_case_per_subject"
    config.data.allow = ("duplicates",)  # a few small pictures are equal
    config.folds.count, config.search.trials, config.training.epochs = {folds}, {trials}, {epochs}
    config.training.early_stopping, config.search.searcher = False, "random"
    config.search.policy = "full"  # the same work as the other side
    config.search.space.nesterov = "choice(True, False)"
    return config
"""
NAMES = ("data", "folds", "trials", "epochs")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say what is run."""
    parser.add_argument("--data", default="", help="npz as torch_nested_cv.py reads it; digits when left out")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--override", action="append", default=[], help="a --config... flag for our run")


def prepare(given: argparse.Namespace, folder: Path) -> str:
    """Writes the data, if none are given, and the config for our run into a folder; a name for the data."""
    name = Path(given.data).stem if given.data else "digits"
    path = Path(given.data) if given.data else folder / "digits.npz"
    if not given.data:
        from sklearn.datasets import load_digits

        found: Any = load_digits()
        np.savez(path, images=found.images.astype(np.uint8), labels=found.target)
    given.data = str(path.resolve())
    (folder / "config.py").write_text(CONFIG.format(**vars(given)))
    return name


def size(given: argparse.Namespace) -> str:
    """Folds x trials x epochs, as names of results have it: each size keeps a result of its own."""
    return f"{given.folds}x{given.trials}x{given.epochs}"


def words(given: argparse.Namespace, folder: Path, workdir: str) -> list[str]:
    """Command and flags of our run."""
    return ["evaluate", f"--config={folder / 'config.py'}", f"--workdir={workdir}", *given.override]


def ours(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One run of `nachos evaluate` with an empty compilation cache; what it spent."""
    workdir = tempfile.mkdtemp(dir=folder)
    environment = {**os.environ, "XDG_CACHE_HOME": tempfile.mkdtemp(dir=folder)}
    command = [sys.executable, "-m", "nachos_jax", *words(given, folder, workdir)]
    finished = measure.run(command, environment)
    summary = json.loads((Path(workdir) / "summary.json").read_text())
    spent, trained = summary["spent"], sample_epochs(Path(workdir))
    return {
        "seconds": finished.seconds,
        "peak_mib": finished.peak_mib,
        "fits": spent["fits_trained"],
        "reused": spent["fits_without_pair_reuse"] - spent["fits_trained"],
        "sample_epochs": trained,
        "accuracy": summary["metrics"]["accuracy"]["mean"],
        "spent": spent,
    }


def sample_epochs(workdir: Path) -> int:
    """Training cases times epochs, summed over all fits in the records of a run."""
    with open(workdir / "folds.csv", encoding="utf-8", newline="") as file:
        fold = np.asarray([int(row["fold"]) for row in csv.DictReader(file)])
    total = 0
    for path in (workdir / "records/evaluate/fits").glob("*.json"):
        fit = json.loads(path.read_text())
        total += fit["epochs"] * int((~np.isin(fold, fit["left_out"])).sum())
    return total


def pytorch(given: argparse.Namespace) -> dict[str, Any]:
    """One run of the PyTorch loop, start-up included."""
    finished = measure.run(_torch_command(given, 0))
    told = json.loads(finished.output.splitlines()[-1])
    return {
        "seconds": finished.seconds,
        "peak_mib": finished.peak_mib,
        "fits": told["fits"],
        "reused": 0,
        "sample_epochs": told["sample_epochs"],
        "accuracy": told["test_accuracy_mean"],
        "told": told,
    }


def several(given: argparse.Namespace) -> dict[str, Any]:
    """The PyTorch loop in several processes at once, a seed each: their work together, and the wall time."""
    threads = max(1, (os.cpu_count() or 1) // given.processes)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    running = [
        subprocess.Popen(_torch_command(given, seed), stdout=subprocess.PIPE, text=True, env=environment)
        for seed in range(given.processes)
    ]
    outputs = [process.communicate()[0] for process in running]
    seconds = time.perf_counter() - start
    if any(process.returncode for process in running):
        raise RuntimeError("a process of PyTorch failed; its messages are above")
    told = [json.loads(output.splitlines()[-1]) for output in outputs]
    return {
        "seconds": seconds,
        "peak_mib": 0.0,
        "fits": sum(one["fits"] for one in told),
        "reused": 0,
        "sample_epochs": sum(one["sample_epochs"] for one in told),
        "accuracy": float(np.mean([one["test_accuracy_mean"] for one in told])),
        "told": told,
    }


def _torch_command(given: argparse.Namespace, seed: int) -> list[str]:
    flags = [f"--{name}={getattr(given, name)}" for name in NAMES]
    return [*measure.script("speed.torch_nested_cv"), *flags, f"--seed={seed}"]


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run of median wall time (of an even number, the faster one of the two)."""
    return sorted(runs, key=lambda run: run["seconds"])[(len(runs) - 1) // 2]


def table(runs: dict[str, dict[str, Any]]) -> measure.Table:
    """One row for each who ran."""
    base, lines = runs["PyTorch"], []
    for who, run in runs.items():
        rate = run["sample_epochs"] / run["seconds"]
        peak, spent = run["peak_mib"], run.get("spent")
        lines.append(
            (
                who,
                f"{run['seconds']:.1f} s",
                f"{run['fits']}",
                f"{run['reused']}",
                f"{rate:,.0f}",
                f"{rate * base['seconds'] / base['sample_epochs']:.2f} x",
                f"{100 * spent['occupancy']:.0f} %" if spent else "-",
                f"{spent['compile_seconds']:.1f} s" if spent else "-",
                f"{peak:,.0f} MiB" if peak else "-",
                f"{run['accuracy']:.3f}",
            )
        )
    titles = ("who", "wall", "fits trained", "fits reused", "sample-epochs/s", "of PyTorch's rate")
    return measure.Table((*titles, "occupancy", "compiling", "peak memory", "accuracy"), tuple(lines))


def factors(mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """How PyTorch's wall time over ours comes about: wall = reuse x speed."""
    reuse = theirs["sample_epochs"] / mine["sample_epochs"]
    wall = theirs["seconds"] / mine["seconds"]
    return {"wall": wall, "reuse": reuse, "speed": wall / reuse}


def earlier(path: Path, none: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The rounds of a stored result, which must be of this machine; without a result, none."""
    if not path.exists():
        return none
    stored = json.loads(path.read_text(encoding="utf-8"))
    here = measure.machine()
    for fact in ("cpu", "cores", "versions"):
        if stored["machine"][fact] != here[fact]:
            sys.exit(
                f"--more: {path} was measured with {fact} {stored['machine'][fact]}, here it is {here[fact]}."
            )
    return stored["runs"]


def main() -> None:
    """Runs both in turn; prints and stores wall times, rates and the ratio of medians."""
    flags = measure.parser(__doc__)
    add_flags(flags)
    flags.add_argument("--rounds", type=int, default=1)
    flags.add_argument("--processes", type=int, default=1, help="also PyTorch in so many processes at once")
    flags.add_argument("--more", action="store_true", help="add the rounds to those of the stored result")
    given = flags.parse_args()
    words_of_size = f"{given.folds} folds, {given.trials} trials, {given.epochs} epochs"
    runs: dict[str, list[dict[str, Any]]] = {"nachos_jax": [], "PyTorch": []}
    many = f"PyTorch, {given.processes} processes"
    with tempfile.TemporaryDirectory() as temporary:
        name = prepare(given, Path(temporary))
        stored_as = f"protocol_{name}_{size(given)}{measure.suffix()}"
        if given.more:
            runs = earlier(Path(given.out) / f"{stored_as}.json", runs)
        for _ in range(given.rounds):
            runs["nachos_jax"].append(ours(given, Path(temporary)))
            runs["PyTorch"].append(pytorch(given))
            if given.processes > 1:
                runs.setdefault(many, []).append(several(given))
    medians = {who: middle(done) for who, done in runs.items()}
    found = factors(medians["nachos_jax"], medians["PyTorch"])
    notes = [
        f"{found['wall']:.2f} times as fast as PyTorch in wall time = {found['reuse']:.2f} (less to train, "
        f"by pair reuse) x {found['speed']:.2f} (sample-epochs a second, start-up and compilation included)."
    ]
    measure.start_jax()
    title = f"Nested cross-validation of {name}: {words_of_size}"
    value = {"runs": runs, "factors": found, "notes": notes}
    measure.store(given.out, stored_as, title, table(medians), value)


if __name__ == "__main__":
    main()
