"""How many cores this process may use, which is often less than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

from nachos_jax.runtime import control_groups
from nachos_jax.runtime.control_groups import OURS, ROOT, text


def available(cgroup: Path = ROOT, ours: Path = OURS) -> int:
    """Cores by affinity and by the quota of the control group, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [text(place / "cpu.max") for place in control_groups.unified(cgroup, ours)]
    quotas += [
        f"{text(place / 'cpu.cfs_quota_us')} {text(place / 'cpu.cfs_period_us')}"
        for place in control_groups.of_controller("cpu", cgroup, ours)
    ]
    return max(1, math.ceil(min(allowed, *map(_cores, quotas))))


def _cores(quota: str) -> float:
    """Microseconds granted a period, as cores; infinite without a limit ("max", -1, nothing)."""
    numbers = [int(word) for word in quota.split() if word.isdecimal()]
    return numbers[0] / numbers[1] if len(numbers) == 2 and all(numbers) else math.inf
