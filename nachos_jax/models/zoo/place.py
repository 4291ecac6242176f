"""Weights by the names that they have in a file, so that a network reads as its file does.

A network of the zoo is written as functions of a place and an input: `conv(w / "conv1", x, 64, 7)` reads
"conv1.weight" at the place where w stands. Called with a place that only notes what is asked for, the same
functions tell which weights of which shapes a network needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

Shape = tuple[int | None, ...]
"""Of weights, None along an axis that may have any length."""
Take = Callable[[str, Shape, tuple[int, ...]], jax.Array]
"""(name, shape that is asked for, shape of zeros that stand for it) -> weights."""


@dataclass(frozen=True)
class Place:
    """A place among the weights of a network."""

    take: Take  # gives the weights of a whole name
    lowering: str  # how convolutions are computed, see `nachos_jax.models.convolution`
    name: str = ""  # where this place is, with a point at its end
    moved: dict[str, jax.Array] | None = None  # takes running statistics that a training step moves

    def __truediv__(self, name: str | int) -> Place:
        """The place of a module inside this one."""
        return replace(self, name=f"{self.name}{name}.")

    def weights(self, name: str, *shape: int) -> jax.Array:
        """Weights of exactly this shape, float32."""
        return self.take(self.name + name, shape, shape)

    def any_length(self, name: str, axis: int, *shape: int) -> jax.Array:
        """Weights whose length along one axis may differ from that of the shape."""
        free = tuple(None if i == axis else side for i, side in enumerate(shape))
        return self.take(self.name + name, free, shape)


def reading(weights: Mapping[str, jax.Array], lowering: str) -> Place:
    """The place at the beginning of these weights, by whole names."""
    return Place(lambda name, _, __: weights[name], lowering)


@dataclass(frozen=True)
class Noted:
    """What a call reads and gives, found without computing anything."""

    wanted: dict[str, Shape]  # shapes of the weights by name, in the order in which they are read
    zeros: dict[str, tuple[int, ...]]  # the same, each axis with the length that suits the input
    shape: tuple[int, ...]  # of the result


def noted(call: Callable[[Place, jax.Array], jax.Array], shape: tuple[int, ...]) -> Noted:
    """Notes what a call reads of an input of this shape."""
    wanted: dict[str, Shape] = {}
    zeros: dict[str, tuple[int, ...]] = {}

    def take(name: str, asked: Shape, stand_in: tuple[int, ...]) -> jax.Array:
        wanted[name], zeros[name] = asked, stand_in
        return jnp.zeros(stand_in, jnp.float32)

    found = jax.eval_shape(lambda x: call(Place(take, "lax"), x), jax.ShapeDtypeStruct(shape, jnp.float32))
    return Noted(wanted, zeros, found.shape)


def needed(call: Callable[[Place, jax.Array], jax.Array], shape: tuple[int, ...]) -> dict[str, Shape]:
    """The weights that a call reads of an input of this shape, by name, in that order."""
    return noted(call, shape).wanted
