"""Whose files are these? Nothing is written into a folder of other work, nor deleted that no run wrote."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from nachos_jax.core.errors import UsageError

_RECORDS = ("run.json", "cases.json", "evaluate", "deploy")
_BEFORE_RECORDS = re.compile(r"\..*|run(\.\d+)?\.log")
"""What a launch leaves that was refused or killed before its first record; hidden files are nobody's work."""


def refuse_others(folder: Path) -> None:
    """Refuses a folder that holds files and is no run directory.

    Raises:
        UsageError: it does.
    """
    records = folder / "records"
    if not folder.is_dir() or any((records / name).exists() for name in _RECORDS):
        return
    found = sorted(path for path in folder.iterdir() if not _BEFORE_RECORDS.fullmatch(path.name))
    if any(path != records or not path.is_dir() or _visible(path) for path in found):
        raise UsageError(
            f"--workdir={folder} holds other files (e.g. {found[0].name}) and no run: name a new or an "
            "empty folder, or the --workdir of an earlier run."
        )


def _visible(folder: Path) -> bool:
    return any(not path.name.startswith(".") for path in folder.iterdir())


def remove(folder: Path, written: Mapping[str, str], kept: Mapping[str, str]) -> None:
    """Removes files of an earlier run that are written no more.

    Args:
        folder: where they lie.
        written: SHA-256 of what was written, by name; a file with other content is the user's.
        kept: likewise of what there is to be.
    """
    for name in written.keys() - kept.keys():
        path = folder / Path(name).name
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == written[name]:
            path.unlink()
