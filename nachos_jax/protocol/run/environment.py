"""What a run was made with: versions, devices, commit, command."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from nachos_jax.config.run_config import RunConfig
from nachos_jax.records.store import RunDirectory, dump

PACKAGES = (
    "nachos_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "scipy",
    "scikit-learn",
    "ax-platform",
    "botorch",
    "torch",
    "pillow",
    "pydicom",
)


def versions() -> dict[str, str]:
    """Version of Python and of each package that can change a number."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


@functools.cache  # slow, and asked for by every session
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The versions before of packages that have another one now."""
    return {name: version for name, version in before.items() if now.get(name, version) != version}


def command() -> list[str]:
    """The command line, with the program's bare name, or the package's where Python has run that."""
    program = Path(sys.argv[0])
    of_package = program.name == "__main__.py"
    return [*(["python", "-m", program.parent.name] if of_package else [program.name]), *sys.argv[1:]]


def commit() -> str:
    """Commit of the checkout that the package runs from, "-dirty" when it has changes; "" elsewhere."""
    try:
        # An installed package often lies in the checkout of something else, whose commit says nothing of it.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    where = Path(__file__).parent
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def write(store: RunDirectory, config: RunConfig, cases: str) -> None:
    """Writes environment.json: what the newest process of this run was made with."""
    import jax

    value: dict[str, Any] = {
        "config": dict(config.raw),
        "seed": config.seed,
        "cases": cases,
        "versions": versions(),
        "versions_before": changed((store.run() or {}).get("versions", {}), versions()),
        "commit": commit(),
        "platform": platform.platform(),
        "devices": [f"{device.platform} {device.device_kind}" for device in jax.local_devices()],
        "command": command(),
    }
    store.write_text("environment.json", dump(value).decode())
