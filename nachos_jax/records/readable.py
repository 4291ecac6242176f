"""The first look at a run directory: can this version read what it says of itself?"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.records.schema import SCHEMA
from nachos_jax.records.store import RunDirectory

NEEDED = {"config": dict, "cases": str, "classes": list, "counts": object, "n_cases": int, "n_subjects": int}
NEEDED |= {"n_sites": int, "waived": bool, "folds": dict}
CURE = "delete this file and run the same `nachos evaluate` or `nachos deploy` again, which writes it anew"


def check(workdir: str) -> None:
    """Reads run.json, and folds.csv of an older version, before anything is written; empty is fine too.

    Raises:
        UsageError: they cannot be read, are damaged, or come from a later version.
    """
    directory = RunDirectory(workdir)
    try:
        known = directory.run()
        if not (directory.records / "cases.json").exists():  # else it is for people, and nothing reads it
            directory.read_table("folds.csv")
    except OSError as error:
        raise UsageError(
            f"--workdir={workdir!r}: {error.filename} cannot be read ({error.strerror}); mend its "
            "permissions, or name another run directory."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{Path(workdir) / 'folds.csv'} is damaged ({error}): {CURE}.") from error
    if known is not None:
        _readable(directory.records / "run.json", known)


def no_run(directory: RunDirectory) -> UsageError:
    """What to say where there is no run.json."""
    if any((directory.records / command).is_dir() for command in ("evaluate", "deploy")):
        return UsageError(
            f"{directory.records / 'run.json'} is missing: run the same `nachos evaluate` or `nachos deploy` "
            "again, which writes it anew."
        )
    return UsageError(
        f"{directory.path} holds no run (no records/run.json): give the --workdir of a `nachos evaluate`, or "
        "start one there."
    )


def _readable(file: Path, known: Mapping[str, Any]) -> None:
    schema = known.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise UsageError(
            f"{file} has schema {schema}, and this version reads {SCHEMA}: update nachos_jax, or use another "
            "--workdir."
        )
    wrong = [name for name, kind in NEEDED.items() if name not in known or not isinstance(known[name], kind)]
    wrong += [name for name in ("config", "folds") if not known.get(name)]
    if not wrong:
        count, repeats = known["folds"].get("count"), known["folds"].get("repeats", 1)
        numbers = [count, repeats, known["config"].get("search", {}).get("trials")]
        if not all(type(number) is int for number in numbers) or not 1 < count <= known["n_cases"]:
            wrong = ["config.search.trials", "folds"]
    if wrong:
        raise UsageError(f"{file} is damaged (no such {' and '.join(dict.fromkeys(wrong))}): {CURE}.")
