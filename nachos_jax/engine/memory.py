"""How much memory a device has, what stays on it, how many lanes to try, and what running out looks like."""

from __future__ import annotations

from typing import Any

from nachos_jax.runtime import host_memory

_FOR_CASES = 0.5
"""Part of the memory that may be used up to which cases stay on the device; lanes need the rest."""


def allowance(device: Any, devices: int, fraction: float) -> int:
    """Bytes a device that cases, lanes and programs may take together: a fraction of its memory.

    CPU devices share the host's memory, or as much of it as this process may use.
    """
    stats = device.memory_stats() or {}
    total = stats.get("bytes_limit") or host_memory.total() // devices
    return int(total * fraction)


def stays(residency: str, nbytes: int, allowed: int) -> bool:
    """Whether cases are resident: as configured, or as they take no more than half of what is allowed."""
    return residency == "resident" or (residency == "auto" and nbytes <= _FOR_CASES * allowed)


def lanes_to_try(platform: str, lanes: int) -> int:
    """Lanes a device to compile first: as configured, or a number that suits the platform.

    A CPU gains nothing from more lanes than keep its dispatch busy, and every lane makes a checkpoint
    larger; an accelerator fills with lanes.
    """
    return lanes or (4 if platform == "cpu" else 32)


def exhausted(error: Exception) -> bool:
    """True when an error of JAX says that a device, or the host, has run out of memory."""
    return "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError)
