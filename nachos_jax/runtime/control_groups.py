"""The control groups of this process (version 2 or 1), whose limits bind it in a container or a job."""

from __future__ import annotations

import re
from pathlib import Path

ROOT, OURS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def unified(root: Path = ROOT, ours: Path = OURS) -> list[Path]:
    """Folders of the group of version 2 and of those above it, the nearest first."""
    return _places(root, re.search(r"^0::/(.*)$", text(ours), re.M))


def of_controller(name: str, root: Path = ROOT, ours: Path = OURS) -> list[Path]:
    """Likewise of version 1, which has a tree for each controller ("cpu", "memory")."""
    return _places(root / name, re.search(rf"^\d+:[^:]*\b{name}\b[^:]*:/(.*)$", text(ours), re.M))


def text(path: Path) -> str:
    """What a file says; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _places(root: Path, found: re.Match[str] | None) -> list[Path]:
    place = root / found[1] if found else root
    return [place, *(parent for parent in place.parents if parent.is_relative_to(root))]
