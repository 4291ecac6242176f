"""How much memory a device has for lanes, and how many lanes to try first."""

from __future__ import annotations

from typing import Any

import psutil


def budget(device: Any, devices: int, fraction: float, resident: int) -> int:
    """Bytes a device that lanes may take.

    Args:
        device: one of the local jax devices.
        devices: how many there are; CPU devices share the host's memory.
        fraction: part of the memory that may be used.
        resident: bytes of the cases on the device.

    Returns:
        Bytes left for lanes and program.
    """
    stats = device.memory_stats() or {}
    total = stats.get("bytes_limit") or psutil.virtual_memory().total // devices
    return int(total * fraction) - resident


def lanes_to_try(platform: str, lanes: int) -> int:
    """Lanes a device to compile first: as configured, or a number that suits the platform.

    A CPU gains nothing from more lanes than keep its dispatch busy, and every lane makes a checkpoint
    larger; an accelerator fills with lanes.
    """
    return lanes or (4 if platform == "cpu" else 32)
