"""Weights that all lanes share, put on the devices once, however many buckets read them."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import Mesh

from nachos_jax.runtime import mesh as meshes


class Placed:
    """Arrays on each device of a mesh, by the array on the host that they are copies of."""

    def __init__(self, mesh: Mesh) -> None:
        self._everywhere = meshes.everywhere(mesh)
        # The host's array beside its copies: while it is there, no other can have its id.
        self._known: dict[int, tuple[Any, jax.Array]] = {}

    def of(self, tree: Any) -> Any:
        """The same tree with every leaf on each device; what has been put there before is given again."""
        return jax.tree.map(self._leaf, tree)

    def _leaf(self, leaf: Any) -> jax.Array:
        if id(leaf) not in self._known:
            self._known[id(leaf)] = leaf, jax.device_put(leaf, self._everywhere)
        return self._known[id(leaf)][1]
