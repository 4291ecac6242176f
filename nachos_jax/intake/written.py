"""cases.csv and config.py on disk, never over files that are not ours or were edited since."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

from nachos_jax.core.errors import UsageError

_SEAL = re.compile(r"^# sha256 of (\S+) as `nachos init` wrote it: ([0-9a-f]{64})$", re.MULTILINE)


def table_text(columns: Mapping[str, list[str]]) -> str:
    """Columns as the text of a CSV table."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()


def write(folder: Path, texts: Mapping[str, str], sealed: str) -> list[str]:
    """Writes files by name into a folder, which is made; the one called `sealed` tells the digests of all.

    Returns:
        The names of the files that changed.

    Raises:
        UsageError: one of them is there and was not written by `nachos init`, or was edited since.
    """
    seals = "".join(
        f"# sha256 of {name} as `nachos init` wrote it: {_digest(text)}\n" for name, text in texts.items()
    )
    wanted = {**texts, sealed: f"{texts[sealed]}\n{seals}"}
    before = _read(folder / sealed)
    ours = dict(_SEAL.findall(before or ""))
    changed = []
    for name, text in wanted.items():
        held = _read(folder / name)
        if held == text:
            continue
        body = _SEAL.sub("", held).rstrip("\n") + "\n" if held and name == sealed else held
        if held is not None and _digest(body or "") != ours.get(name):
            raise UsageError(
                f"{folder / name} is there, and was edited or not written by `nachos init`: it is never "
                "overwritten. Name another folder with --output=FOLDER, or move the file away."
            )
        changed.append(name)
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        (folder / name).write_text(wanted[name], encoding="utf-8", newline="")
    return changed


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
