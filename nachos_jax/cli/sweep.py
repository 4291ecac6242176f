"""`nachos sweep`: one run for each combination of config fields, each in a run directory of its own.

Runs them one after another here and writes WORKDIR/sweep.csv; the same command resumes. With --slurm=FILE it
writes a SLURM array script instead, a task a run (see launch/slurm.sbatch for what to set in it). All
configs are checked before the first is run; each run then checks what depends on its data.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nachos_jax.cli import parsing
from nachos_jax.cli.parsing import Flag
from nachos_jax.config.differences import differences
from nachos_jax.config.field import flat
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.records.cells import csv_text
from nachos_jax.runtime.stopping import EXIT_CODE

COLUMNS = ("run", "estimate", "standard error", "outer folds", "exit code")
FLAGS = (
    Flag("config", "FILE.py", "Python file with get_config(), or one that ships, like smoke or csv."),
    Flag("workdir", "DIR", "Folder of all runs and of sweep.csv; the same command again resumes.", path=True),
    Flag(
        "sweep.FIELD",
        "VALUE,VALUE",
        "A field of the config and its values, like --sweep.seed=0,1,2; several fields: every combination is "
        "run. A comma within parentheses belongs to its value.",
        many=True,
    ),
    Flag("command", "evaluate|deploy", "What to run; evaluate when left out.", required=False),
    Flag(
        "slurm",
        "FILE",
        "Write a SLURM array script there instead, a task a run, and run nothing.",
        required=False,
        path=True,
    ),
)


@dataclass(frozen=True)
class Sweep:
    """What to run.

    Attributes:
        config: the config file.
        workdir: folder of all runs.
        axes: values by config field.
        rest: other flags, given to every run.
        command: the nachos command.
        slurm: the array script to write, or "" to run here.
    """

    config: str
    workdir: str
    axes: dict[str, list[str]]
    rest: list[str]
    command: str = "evaluate"
    slurm: str = ""


def run(words: list[str], commands: Mapping[str, Sequence[Flag]]) -> int:
    """Runs the sweep, or writes the array.

    Args:
        words: the command line after `nachos sweep`.
        commands: flags of the commands that can be swept, by name.

    Returns:
        0, or the first exit code of a run that is not 0.

    Raises:
        UsageError: a mistake in the flags, or one that a run would be refused for.
    """
    sweep = read(words)
    if sweep.command not in commands:
        raise UsageError(f"--command={sweep.command}: must be {' or '.join(commands)}.")
    runs = combinations(sweep)
    known = commands[sweep.command]
    configs = {name: _checked(sweep, known, flags) for name, flags in runs.items()}
    return write_array(sweep, runs) if sweep.slurm else run_here(sweep, runs, configs)


def read(words: list[str]) -> Sweep:
    """The sweep that the command line describes.

    Raises:
        UsageError: a flag is missing, without a value, or an axis given twice.
    """
    given: dict[str, str] = {}
    axes: dict[str, list[str]] = {}
    rest: list[str] = []
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not equals:
            raise UsageError(f"{word}: write flags as --name=value.")
        if name.startswith("sweep."):
            field = name.removeprefix("sweep.")
            if field in axes:
                raise UsageError(f"--{name} is given twice; put all values into one, with commas between.")
            axes[field] = split(value)
        elif name in ("config", "workdir", "command", "slurm"):
            given[name] = expanded(value) if name in ("workdir", "slurm") else value
        else:
            rest.append(word)
    for name in ("config", "workdir"):
        if not given.get(name):
            raise UsageError(f"--{name} is missing: `nachos sweep --help` lists the flags.")
    if not axes:
        raise UsageError("nothing to sweep: give at least one --sweep.FIELD=VALUE,VALUE.")
    return Sweep(axes=axes, rest=rest, **given)


def split(text: str) -> list[str]:
    """Values with commas between; a comma within parentheses belongs to its value.

    Raises:
        UsageError: an empty value, or one that stands twice.
    """
    values, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            values.append("")
        else:
            values[-1] += letter
    if not all(values) or len(set(values)) < len(values):
        raise UsageError(f"{text!r}: must be different values with commas between.")
    return values


def combinations(sweep: Sweep) -> dict[str, list[str]]:
    """The flags of each run by the name of its folder, e.g. "search.searcher=ax seed=0"."""
    runs = {}
    for values in itertools.product(*sweep.axes.values()):
        chosen = dict(zip(sweep.axes, values, strict=True))
        name = " ".join(f"{field}={value}" for field, value in chosen.items())
        # No comma: `nachos compare --runs=A,B` takes these folders.
        folder = Path(sweep.workdir) / re.sub(r"[^\w.=+ -]", "_", name).replace(" ", "+")
        fields = [f"--config.{field}={value}" for field, value in chosen.items()]
        runs[name] = [f"--config={sweep.config}", *sweep.rest, *fields, f"--workdir={folder}"]
    if len({words[-1] for words in runs.values()}) < len(runs):
        raise UsageError("two combinations would share a folder: use values with other letters or numbers.")
    return runs


def check(command: str, known: Sequence[Flag], words: list[str]) -> RunConfig:
    """The config of a run; refuses flags and fields that the run would refuse.

    Raises:
        UsageError: what is wrong, and the cure.
    """
    from nachos_jax.protocol.run import door
    from nachos_jax.records.store import RunDirectory

    values = parsing.parse(command, known, words)
    config = parsing.run_config(values.config)
    door.check_config(config)
    if RunDirectory(values.workdir, command).run() is None:
        door.check_fold_key(config)
        door.check_space(config)
    return config


def _checked(sweep: Sweep, known: Sequence[Flag], words: list[str]) -> RunConfig:
    """`check` of a run, in the words of the flags that were given."""
    try:
        _replaced(sweep, parsing.parse(sweep.command, known, words).config)
        return check(sweep.command, known, words)
    except UsageError as error:
        told = str(error)
        if any(re.match(rf"--config\.{re.escape(field)}[=:]", told) for field in sweep.axes):
            told = told.replace("--config.", "--sweep.")
        raise UsageError(told) from error


def _replaced(sweep: Sweep, config: Any) -> None:
    """Refuses swept values in whose place weights alone put others: runs would not be what they are called.

    Raises:
        UsageError: the config cannot be used, or has such a value.
    """
    asked = flat(config.to_dict())
    used = flat(parsing.run_config(config).raw) if asked["backbone.weights"] else asked
    for field in sweep.axes:
        if used[field] != asked[field]:
            raise UsageError(
                f"--sweep.{field}={asked[field]}: beside config.backbone.weights alone it would be "
                f"{used[field]!r}, since a linear model learns from the features. Leave that value out (a "
                "run without the flag is that model's), or name layers to train in config.backbone.tune."
            )


def run_here(sweep: Sweep, runs: dict[str, list[str]], configs: Mapping[str, RunConfig]) -> int:
    """Runs all, one after another, and writes sweep.csv after each; returns the first exit code not 0.

    Raises:
        UsageError: the table cannot be written.
    """
    rows, first = [], 0
    for number, (name, words) in enumerate(runs.items(), start=1):
        print(f"--- {number} of {len(runs)}: {name}", flush=True)
        code, stopped = run_one([sys.executable, "-m", "nachos_jax", sweep.command, *words])
        first = first or code
        rows.append([name, *estimate(words, code, configs[name]), code])
        table = Path(sweep.workdir) / "sweep.csv"
        try:
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_text(csv_text([COLUMNS, *rows]), encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"{table} cannot be written ({error.strerror}): use another --workdir."
            ) from error
        if stopped:
            print(f"stopped by {stopped}: the same command goes on from here.", flush=True)
            return EXIT_CODE
    print(f"table: {Path(sweep.workdir) / 'sweep.csv'}")
    return first


def run_one(command: Sequence[str]) -> tuple[int, str]:
    """Runs a command and passes on to it what schedulers send, so that it saves its lanes and ends.

    Returns:
        Its exit code, and the name of the signal that came meanwhile, "" without one.
    """
    asked: list[str] = []
    running: list[subprocess.Popen] = []

    def pass_on(number: int, _frame: Any) -> None:
        asked.append(signal.Signals(number).name)
        for process in running:
            process.send_signal(number)

    names = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    before = {name: signal.signal(name, pass_on) for name in names}  # first, or the run could be left alone
    try:
        running.append(subprocess.Popen(command))
        if asked:  # while it was begun
            running[0].terminate()
        code = running[0].wait()
    except KeyboardInterrupt:  # a terminal has sent it to both
        for process in running:
            process.wait()
        raise
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    return code, asked[0] if asked else ""


def estimate(words: list[str], code: int, config: RunConfig) -> list[str]:
    """Estimate, standard error and outer folds of a run, as far as it has them.

    A run that was refused or failed has none, nor one in whose folder lies a run of another config.
    In the flat protocol the folds' standard error is that of the mean before correction, so it is left out.
    """
    from nachos_jax.protocol.run import begun
    from nachos_jax.records.store import RunDirectory
    from nachos_jax.report.words.leading import leading

    workdir = words[-1].removeprefix("--workdir=")
    path, run = (
        Path(workdir) / "summary.json",
        RunDirectory(workdir).run() if code in (0, EXIT_CODE) else None,
    )
    raw = begun.settled(config, RunDirectory(workdir)).raw
    if run is None or differences(run["config"], raw, config.table) or not path.exists():
        return ["", "", ""]
    told = json.loads(path.read_text(encoding="utf-8"))
    headline = leading(told)["metrics"][told["headline"]]
    tested = told["progress"]["outer_folds_tested"]
    error = None if told["protocol"] == "flat" else headline["se"]
    return ["" if value is None else str(value) for value in (headline["estimate"], error, tested)]


def write_array(sweep: Sweep, runs: dict[str, list[str]]) -> int:
    """Writes the SLURM array script, a task a run.

    Raises:
        UsageError: it cannot be written.
    """
    tasks = "\n".join(f"  {number}) run {shlex.join(words)} ;;" for number, words in enumerate(runs.values()))
    text = f"""#!/usr/bin/env bash
#SBATCH --job-name=nachos-sweep
#SBATCH --array=0-{len(runs) - 1}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
# Written by nachos sweep. Set partition, time and accelerators here or on sbatch's command line.
# MOST_RESTARTS, from the environment: how often a task goes on. One that is stopped each time before it got
# anywhere would else never end.
most_restarts=${{MOST_RESTARTS:-100}}
set -uo pipefail
run() {{
  {shlex.quote(sys.executable)} -m nachos_jax {sweep.command} "$@" &
  process=$!
  # A signal to this script goes to the run. It also ends `wait`, hence the loop.
  trap 'signalled=yes; kill -USR1 "$process"' TERM USR1
  signalled=yes
  while [ "$signalled" = yes ]; do
    signalled=no
    wait "$process"
    code=$?
  done
  # 75: stopped by a signal, and the same command goes on where it ended.
  [ "$code" = 75 ] || exit "$code"
  if [ "${{SLURM_RESTART_COUNT:-0}}" -ge "$most_restarts" ]; then
    echo "stopped early, and restarted $most_restarts times before; submit it again to go on." >&2
    exit "$code"
  fi
  # "Incomplete": not a task that somebody cancelled, or that SLURM itself has put back.
  scontrol requeue Incomplete "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}" ||
    echo "SLURM does not put this task back; submit it again to go on." >&2
  exit "$code"
}}
case "$SLURM_ARRAY_TASK_ID" in
{tasks}
esac
"""
    try:
        Path(sweep.slurm).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--slurm={sweep.slurm} cannot be written ({error.strerror}): name a file in an existing folder."
        ) from error
    print(f"{len(runs)} runs: sbatch {sweep.slurm}")
    return 0
