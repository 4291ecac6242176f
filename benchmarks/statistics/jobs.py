"""Trainings that several processes work through together, each whole or not at all, in a time that is given.

Processes that are given the same folder take jobs from one list: a job is held by a lock, which ends with its
process, and is done when its result lies in the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.shared import measure
from benchmarks.statistics.recipes import Setting, Trained, measured


def parser(text: str | None) -> argparse.ArgumentParser:
    """The flags that both scripts have."""
    flags = measure.parser(text)
    flags.add_argument("--data", type=Path, help="folder of the sets, NAME.npz; needed to train")
    flags.add_argument("--weights", type=Path, help="file of the backbone's weights, .pth or .safetensors")
    flags.add_argument(
        "--keep", default="", help="folder of the results; processes with the same one share work"
    )
    flags.add_argument("--merge", action="store_true", help="train nothing, tell what the folder holds")
    flags.add_argument("--budget", type=float, default=float("inf"), help="seconds; no training passes them")
    flags.add_argument("--folds", type=int, default=3, help="outer folds")
    flags.add_argument("--repeats", type=int, default=1, help="divisions into folds")
    flags.add_argument("--trials", type=int, default=3, help="configurations that each outer fold tries")
    flags.add_argument(
        "--epochs", type=int, default=0, help="at most, whatever a recipe says; 0 = as it says"
    )
    flags.add_argument("--packing", default="auto", help="config.engine.packing")
    flags.add_argument("--convolution", default="auto", help="config.engine.convolution")
    flags.add_argument("--memory", type=float, default=0.8, help="config.engine.memory_fraction")
    return flags


def names(text: str) -> list[str]:
    """A list of names or numbers; names of recipes may hold commas, so semicolons part them."""
    return [part.strip() for part in text.split(";") if part.strip()]


def given_of(flags: argparse.ArgumentParser) -> argparse.Namespace:
    """The flags of this command, which can train or only tells."""
    given = flags.parse_args()
    if not given.merge and given.data is None:
        flags.error("--data: name the folder of the sets, or --merge what has been trained")
    if given.merge and not given.keep:
        flags.error("--merge: name the folder of the results with --keep")
    return given


def setting(given: argparse.Namespace) -> Setting:
    """What the flags say of all runs."""
    engine = {
        "packing": given.packing,
        "convolution": given.convolution,
        "memory_fraction": given.memory,
    }
    return Setting(given.data, given.weights, given.folds, given.repeats, given.trials, engine, given.epochs)


def run(
    given: argparse.Namespace,
    wanted: Callable[[argparse.Namespace], Sequence[Trained]],
    chosen: Callable[[Sequence[dict[str, Any]], argparse.Namespace], Sequence[dict[str, Any]]],
    tell: Callable[[Sequence[dict[str, Any]], argparse.Namespace], None],
) -> None:
    """Trains what is wanted, tells what has been trained, or both.

    Who shares a folder with others only trains; what all have trained is told by --merge.

    Args:
        given: the flags.
        wanted: what to train, in order.
        chosen: those of all results of the folder that the flags name.
        tell: prints and stores what they say.
    """
    with place(given.keep) as folder:
        if not given.merge:
            work(wanted(given), setting(given), folder, given.budget)
        if given.merge or not given.keep:
            tell(chosen(results(folder), given), given)


@contextlib.contextmanager
def place(keep: str) -> Generator[Path]:
    """Where results lie."""
    if keep:
        Path(keep).mkdir(parents=True, exist_ok=True)
        yield Path(keep)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)


def work(jobs: Sequence[Trained], shared: Setting, folder: Path, budget: float) -> None:
    """Trains what nobody has trained or is training, in order, as far as the budget goes.

    What a job will take is what the longest like it took: of its recipe, else of any.
    """
    from nachos_jax.runtime import compile_cache

    until = time.monotonic() + budget
    measure.start_jax()
    compile_cache.switch_on()
    logging.getLogger("nachos_jax").setLevel(logging.ERROR)
    design = {"folds": shared.folds, "repeats": shared.repeats, "trials": shared.trials}
    for job in jobs:
        with _held(folder, job) as mine:
            if not mine:
                continue
            if time.monotonic() + _expected(job, folder) > until:
                print(f"left out, for the time that is left: {job.label}", flush=True)
                continue
            result = {**measured(job, shared, folder), **design, "machine": measure.machine()}
            _write(folder / f"{job.label}.json", result)
            print(f"{job.label}: {result['seconds']:.1f} s", flush=True)


def results(folder: Path) -> list[dict[str, Any]]:
    """All results of a folder."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def store(
    given: argparse.Namespace,
    names: tuple[str, str],
    table: measure.Table,
    told: dict[str, Any],
    trained: Sequence[dict[str, Any]],
) -> None:
    """Stores what was found, as of the machine that trained it.

    Args:
        given: the flags.
        names: of the file, to which the kind of an accelerator is added; and what was compared.
        table: what people see.
        told: everything found.
        trained: what it was found from, of `results`.
    """
    machines = {json.dumps(one["machine"]["devices"]): one["machine"] for one in trained}
    machine = machines[json.dumps(trained[0]["machine"]["devices"])]
    kinds = {device.split()[0] for device in machine["devices"]} - {"cpu"}
    notes = [*told.get("notes", ()), _design(trained)]
    value = {**told, "notes": notes, "machine": machine}
    measure.store(given.out, "_".join([names[0], *sorted(kinds)]), names[1], table, value, timed=False)


def _design(trained: Sequence[dict[str, Any]]) -> str:
    """What all runs have in common, in words, and who trained how many."""
    folds, trials = ({one[key] for one in trained} for key in ("folds", "trials"))
    where: dict[str, int] = {}
    for one in trained:
        kind = one["machine"]["devices"][0]
        where[kind] = where.get(kind, 0) + 1
    by = " and ".join(f"{count} runs on {kind}" for kind, count in sorted(where.items()))
    return (
        f"{_numbers(folds)} outer folds, {_numbers(trials)} random trials, all inner folds; batches hold at "
        f"most what the smallest training set has; {by}."
    )


def _numbers(values: set[int]) -> str:
    return " and ".join(map(str, sorted(values)))


@contextlib.contextmanager
def _held(folder: Path, job: Trained) -> Generator[bool]:
    """Whether a job is ours now: nobody has done it, and nobody else is at it."""
    with (folder / f"{job.label}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield not (folder / f"{job.label}.json").exists()


def _expected(job: Trained, folder: Path) -> float:
    """Seconds."""
    done = results(folder)
    alike = [one for one in done if one["recipe"] == job.recipe and one["size"] >= job.size]
    of_recipe = [one for one in done if one["recipe"] == job.recipe]
    return max((one["seconds"] for one in alike or of_recipe or done), default=0.0)


def _write(path: Path, value: dict[str, Any]) -> None:
    begun = path.with_suffix(f".{os.getpid()}")
    begun.write_text(json.dumps(value) + "\n", encoding="utf-8")
    os.replace(begun, path)
