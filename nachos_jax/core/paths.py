"""Paths as a shell understands them: the home folder, and where caches belong."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nachos_jax.core.errors import UsageError


def expanded(text: str) -> str:
    """A path with ~ replaced by the home folder, which a shell leaves alone in --flag=~/x.

    Raises:
        UsageError: no home folder is known.
    """
    found = os.path.expanduser(text)
    if found == "~" or found.startswith("~/"):
        raise UsageError(f"{text}: no home folder is known; write the whole path.")
    return found


def real(paths: Sequence[str]) -> list[str]:
    """Each path without links and dots; a folder is looked up once, not with each of its files."""
    folders: dict[str, str] = {}
    found = []
    for path in paths:
        folder, last = os.path.split(path)
        if last in ("", os.curdir, os.pardir) or os.path.islink(path):
            found.append(os.path.realpath(path))
            continue
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        found.append(os.path.join(folders[folder], last))
    return found


def caches() -> str | None:
    """$XDG_CACHE_HOME, else ~/.cache; None where no home folder is known."""
    found = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return found if os.path.isabs(found) else None
