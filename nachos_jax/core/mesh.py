"""The mesh of local devices over whose single axis lanes are spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

LANE = "lane"


def lane_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of this host's devices (or the jax devices given) with the axis `lane`."""
    return Mesh(np.asarray(devices or jax.local_devices()), (LANE,))


def by_lane(mesh: Mesh) -> NamedSharding:
    """Sharding that splits the leading axis over the devices."""
    return NamedSharding(mesh, PartitionSpec(LANE))


def everywhere(mesh: Mesh) -> NamedSharding:
    """Sharding that puts a full copy on each device."""
    return NamedSharding(mesh, PartitionSpec())
