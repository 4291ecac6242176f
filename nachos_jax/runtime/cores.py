"""How many cores this process may use, which is often less than the machine has."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

CGROUP, OURS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available(cgroup: Path = CGROUP, ours: Path = OURS) -> int:
    """Cores by affinity and by the quota of the control group (version 2 or 1), at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = _text(ours)
    unified, cpu = (
        re.search(r"^0::/(.*)$", text, re.M),
        re.search(r"^\d+:[^:]*\bcpu\b[^:]*:/(.*)$", text, re.M),
    )
    quotas = [_text(place / "cpu.max") for place in _places(cgroup, unified)]
    quotas += [
        f"{_text(place / 'cpu.cfs_quota_us')} {_text(place / 'cpu.cfs_period_us')}"
        for place in _places(cgroup / "cpu", cpu)
    ]
    return max(1, math.ceil(min(allowed, *map(_cores, quotas))))


def _places(root: Path, found: re.Match[str] | None) -> list[Path]:
    """The group of this process and those above it."""
    place = root / found[1] if found else root
    return [place, *(parent for parent in place.parents if parent.is_relative_to(root))]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _cores(quota: str) -> float:
    """Microseconds granted a period, as cores; infinite without a limit ("max", -1, nothing)."""
    numbers = [int(word) for word in quota.split() if word.isdecimal()]
    return numbers[0] / numbers[1] if len(numbers) == 2 and all(numbers) else math.inf
