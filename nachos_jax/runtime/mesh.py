"""The mesh of local devices over whose single axis lanes are spread."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nachos_jax.core.errors import UsageError
from nachos_jax.runtime import cores

LANE = "lane"

_MOST_CPU_DEVICES = 16
"""Each device holds a copy of the data, and a processor's memory is one."""


def one_device_a_core() -> None:
    """Lets JAX see each core of a processor as a device; accelerators are not concerned.

    A training step of small images is too short to be shared out between cores: two lanes side by side take
    10 ms each where one after the other took 17 (cnn of 28 pixels, two cores). Nothing changes once JAX has
    started, or where the number of CPU devices was set before.
    """
    given = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not given and jax.config.jax_num_cpu_devices < 0:  # pyrefly: ignore[missing-attribute]
        with contextlib.suppress(RuntimeError):  # JAX has started: its devices stay as they are
            jax.config.update("jax_num_cpu_devices", min(cores.available(), _MOST_CPU_DEVICES))


def find_devices() -> None:
    """Starts JAX's devices, before anything is written.

    Raises:
        UsageError: there are none of the kind that was asked for.
    """
    try:
        jax.local_devices()
    except Exception as error:  # JAX has errors of several kinds for this, and an assertion
        asked = jax.config.jax_platforms  # pyrefly: ignore[missing-attribute]
        why = str(error).splitlines()[0] if str(error) else "none was found"
        cure = "unset JAX_PLATFORMS, or set it to cpu, or install JAX for this accelerator (BUILD.md)"
        raise UsageError(
            f"JAX cannot start its devices (JAX_PLATFORMS={asked or ''}: {why}): {cure}."
        ) from error


def lane_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of this host's devices (or the jax devices given) with the axis `lane`."""
    return Mesh(np.asarray(devices or jax.local_devices()), (LANE,))


def by_lane(mesh: Mesh) -> NamedSharding:
    """Sharding that splits the leading axis over the devices."""
    return NamedSharding(mesh, PartitionSpec(LANE))


def everywhere(mesh: Mesh) -> NamedSharding:
    """Sharding that puts a full copy on each device."""
    return NamedSharding(mesh, PartitionSpec())
