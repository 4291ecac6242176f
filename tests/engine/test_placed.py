"""Weights that all lanes share lie on the devices once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from nachos_jax.engine.placed import Placed
from nachos_jax.engine.resident import Resident
from nachos_jax.engine.windows import divide
from nachos_jax.runtime import mesh as meshes
from tests import tiny


def test_an_array_is_put_on_the_devices_once_and_an_equal_one_for_itself():
    mesh, kernel = meshes.lane_mesh(jax.devices()[:2]), np.arange(6.0, dtype=np.float32)
    placed, other = Placed(mesh), kernel.copy()
    first = placed.of({"a": {"kernel": kernel}, "b": {}})
    again = placed.of({"c": {"kernel": kernel, "other": other}})
    assert again["c"]["kernel"] is first["a"]["kernel"]
    assert again["c"]["other"] is not first["a"]["kernel"]
    assert first["b"] == {}
    np.testing.assert_array_equal(first["a"]["kernel"], kernel)
    assert first["a"]["kernel"].sharding.is_equivalent_to(meshes.everywhere(mesh), 1)


def test_buckets_over_one_store_share_frozen_weights():
    cohort, mesh = tiny.cohort(), meshes.lane_mesh(jax.devices()[:2])
    source = Resident(cohort, divide(len(cohort.table), len(cohort.table), 0), mesh)
    spec: Any = SimpleNamespace(frozen={"front": np.ones((3, 3), np.float32)})
    one, two = (jax.tree.leaves(source._shared(spec).frozen) for _ in range(2))
    assert one[0] is two[0]
