"""Records edited by someone who knows of digests, and records as older versions wrote them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nachos_jax.records import seal
from nachos_jax.records.store import dump


def change(path: Path, how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Writes a record anew, with the digest of its new content if it has one."""
    value = json.loads(path.read_text(encoding="utf-8"))
    sealed, value = value.pop(seal.KEY, None), how(value)
    folder = next((folder for folder in path.parents if folder.name == "records"), path.parent)
    text = dump({**value, seal.KEY: seal.BLANK} if sealed else value)
    path.write_bytes(seal.fill(text, path.relative_to(folder).as_posix()) if sealed else text)


def edit(path: Path, **fields: Any) -> None:
    """Sets fields of a record."""
    change(path, lambda value: {**value, **fields})


def remove(run: Path) -> None:
    """Makes a run directory one of a version without digests."""
    for path in run.glob("records/**/*.json"):
        value = json.loads(path.read_text(encoding="utf-8"))
        value.pop(seal.KEY, None)
        path.write_bytes(dump({**value, "schema": 1} if path.name == "run.json" else value))
