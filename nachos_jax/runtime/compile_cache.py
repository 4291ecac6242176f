"""Compiled programs kept between commands, in a folder that only the user can write."""

from __future__ import annotations

import os
import platform
import stat
from pathlib import Path

from nachos_jax.core.paths import caches
from nachos_jax.core.types import digest


def switch_on() -> None:
    """Lets JAX keep what it compiles; a cache that someone has set already stays.

    Without a safe folder nothing is kept, and that is all: a cache never stops a run.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is None:  # pyrefly: ignore[missing-attribute]
        place = _private(folder()) if caches() else None
        if place is not None:
            jax.config.update("jax_compilation_cache_dir", str(place))


def folder() -> Path:
    """nachos_jax/xla/PROCESSOR in $XDG_CACHE_HOME or ~/.cache.

    Programs for the CPU hold its instructions, and a home folder may be shared by unlike machines.
    """
    return Path(caches() or "") / "nachos_jax" / "xla" / digest(_processor())


def _processor() -> list[str]:
    features = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        pass  # not Linux: the processor's name has to do
    return [platform.system(), platform.machine(), platform.processor(), features]


def _private(place: Path) -> Path | None:
    """The folder, made if need be; None when others could put programs into it, or it cannot be written."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in (place, place.parent):
            part.chmod(0o700)
            facts = part.stat()
            if facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o077:
                return None
        return place if os.access(place, os.W_OK | os.X_OK) else None
    except OSError:
        return None
