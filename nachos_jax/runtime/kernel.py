"""Which kernel this process runs under: its locks bind the processes of that kernel, containers included."""

from __future__ import annotations

from pathlib import Path


def boot() -> str:
    """A name for this start of this machine's kernel; "" where it gives none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux
        return ""
