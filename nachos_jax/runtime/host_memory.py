"""How much of the host's memory this process may use: in a container or a job often less than there is."""

from __future__ import annotations

from pathlib import Path

import psutil

from nachos_jax.runtime import control_groups
from nachos_jax.runtime.control_groups import OURS, ROOT, text


def total(cgroup: Path = ROOT, ours: Path = OURS) -> int:
    """Bytes of the host, or of the control group with the lowest limit."""
    limits = [text(place / "memory.max") for place in control_groups.unified(cgroup, ours)]
    limits += [
        text(place / "memory.limit_in_bytes")
        for place in control_groups.of_controller("memory", cgroup, ours)
    ]
    known = [int(limit) for limit in limits if limit.strip().isdecimal()]
    return min(psutil.virtual_memory().total, *(limit for limit in known if limit), 2**63)
