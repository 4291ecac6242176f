"""Where in an image one class's score comes from: Grad-CAM and occlusion of one network.

A map shows what moved this network's output. It does not say that the network was right, nor why.

Training knows nothing of this file. The network is put together once more, and its Head is swapped
for one that hands out the feature map that it is given, so no architecture has to do anything but end in
`nachos_jax.models.blocks.Head`. Occlusion looks at the network from outside and works for all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from nachos_jax.core.errors import UsageError
from nachos_jax.models.blocks import Head, Mode, told_sides


def check(task: str, vectors: bool, frozen: bool, method: str) -> None:
    """Refuses models of which no maps are made, however their networks look, and an unknown method.

    Args:
        task: name of what the model was trained for.
        vectors: whether it reads vectors.
        frozen: whether it reads features of a frozen backbone.
        method: the name of one of `METHODS`.

    Raises:
        UsageError: the model is one of these, or there is no such method.
    """
    if method not in METHODS:
        raise UsageError(f"method = {method!r}: must be one of {', '.join(map(repr, METHODS))}.")
    if task != "classification":
        raise UsageError(
            f"maps explain the class of a classification, and this model is one of {task}: leave --explain "
            "out."
        )
    if vectors:
        raise UsageError("maps explain images, and this model reads vectors: leave --explain out.")
    if frozen:
        raise UsageError("maps are not made through a frozen backbone: leave --explain out.")


def places(classes: Any, count: int, names: Sequence[str]) -> np.ndarray:
    """The class to explain in each of so many images, [N] int32: whole numbers, places in `names`.

    Raises:
        UsageError: they are something else.
    """
    given = np.asarray(classes)
    if given.shape != (count,) or given.dtype.kind not in "biuf":
        raise UsageError(
            f"classes of shape {given.shape}, dtype {given.dtype}: give a whole number for each image, "
            f"[{count}], its place in {', '.join(map(repr, names))}."
        )
    wrong = np.flatnonzero((given != np.floor(given)) | (given < 0) | (given >= len(names)))
    if len(wrong):
        raise UsageError(
            f"classes[{wrong[0]}] = {given[wrong[0]]}: must be a whole number from 0 to {len(names) - 1}, "
            f"the place of a class in {', '.join(map(repr, names))}."
        )
    return given.astype(np.int32)


class Explained(NamedTuple):
    """The network to look into."""

    make: Callable[[], nnx.Module]  # puts it together anew at each call
    mode: Mode  # in which it predicts
    read: Callable[[jax.Array], jax.Array]  # its outputs [B, O] -> logits [B, classes]


Lens = Callable[[jax.Array], jax.Array]

_OCCLUDER = 5
"""The occluder's side is this part of the image's shorter side."""


class Explanation(NamedTuple):
    """Maps of one network.

    Attributes:
        maps: [B, H, W] or [B, D, H, W] float32 in [0, 1], each image by its own scale: 1 is the place that
            spoke most for the class, 0 a place that did not speak for it. A map of zeros means
            that no place spoke for it (the class's score rests on the bias, or on evidence against other
            classes), not that nothing was looked at. Maps of two images cannot be compared by colour; their
            peaks can.
        peak: [B] float32, what 1 stands for. Grad-CAM: logit that the strongest cell adds, on the scale
            of equation 2. Occlusion: fall of the probability when that place is covered, at most 1.
        logits: [B, classes] float32 of the whole images.
    """

    maps: jax.Array
    peak: jax.Array
    logits: jax.Array


def gradcam(network: Explained, images: jax.Array, classes: jax.Array) -> Explanation:
    """Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) on the feature map before the global average.

    L = ReLU(sum_k a_k A^k), where A^k is channel k and a_k the mean over cells of the gradient of the
    class's logit. The coarse map is interpolated (bilinear) to the size of the images, so an edge in it
    is good to about half a cell, i.e. half the network's total stride.

    Args:
        network: evaluated, never trained.
        images: [B, H, W, C] or [B, D, H, W, C] float32, normalised as in training.
        classes: [B] int32, the class to explain in each image.

    Returns:
        The maps.

    Raises:
        UsageError: the network does not end in one Head that is given [B, H', W', K] features, or
            these have a single cell, so that there is no map.
    """
    seen: list[jax.Array] = []

    def keep(x: jax.Array) -> jax.Array:
        seen.append(x)
        return x

    logits = _logits(network, images, keep)
    features = _feature_map(seen, images.shape).astype(jnp.float32)

    def score(instead: jax.Array) -> jax.Array:
        # A sum, as no image sees another one in evaluation; all work before the Head is dropped.
        return jnp.sum(_of(classes, _logits(network, images, lambda x: instead.astype(x.dtype))))

    space = tuple(range(1, features.ndim - 1))
    weights = jnp.mean(jax.grad(score)(features), axis=space, keepdims=True)
    coarse = jax.nn.relu(jnp.sum(weights * features, axis=-1))
    return _scaled(jax.image.resize(coarse, images.shape[:-1], "linear"), logits)


def occlusion(network: Explained, images: jax.Array, classes: jax.Array) -> Explanation:
    """Occlusion sensitivity (Zeiler and Fergus 2014, section 4.2): how far covering a place lowers the score.

    A square with a fifth of the image's shorter side, of what is 0 once normalised (the mean colour of the
    training images, unless config.data.normalisation says otherwise), moves by half its side, so about 100
    predictions are made of each image. Of a volume it is a box with a fifth of each side that moves by its
    own length, so 125 are made. A pixel's value is the mean fall of the class's probability over the squares
    that cover it; where covering raised it, 0.

    Args and Returns are those of `gradcam`; it works for every network.
    """
    space = images.shape[1:-1]
    covers = [_covers(length, *_occluder(length, space)) for length in space]
    logits = _logits(network, images)
    before = _of(classes, jax.nn.softmax(logits))

    def fall(place: jax.Array) -> jax.Array:
        lines = [jnp.asarray(cover)[place[axis]] for axis, cover in enumerate(covers)]
        covered = functools.reduce(_both, lines)
        hidden = jnp.where(covered[None, ..., None], jnp.float32(0.0), images)
        return before - _of(classes, jax.nn.softmax(_logits(network, hidden)))

    counts = [len(cover) for cover in covers]
    places = np.stack(np.meshgrid(*map(range, counts), indexing="ij"), -1).reshape(-1, len(space))
    falls = lax.map(fall, jnp.asarray(places, jnp.int32)).reshape(*counts, -1)
    shares = [jnp.asarray(cover / cover.sum(axis=0), jnp.float32) for cover in covers]
    spread = "rcb,rh,cw->bhw" if len(space) == 2 else "srcb,sd,rh,cw->bdhw"
    return _scaled(jax.nn.relu(jnp.einsum(spread, falls, *shares)), logits)


METHODS: Mapping[str, Callable[[Explained, jax.Array, jax.Array], Explanation]] = {
    "gradcam": gradcam,
    "occlusion": occlusion,
}


class _Watched(Head):
    """A classifier that looks at the feature map through a lens."""

    lens: Lens

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        return super().__call__(self.lens(x), mode)


def _logits(explained: Explained, images: jax.Array, lens: Lens | None = None) -> jax.Array:
    """[B, classes] float32 of the network in evaluation, its Heads behind the lens."""
    network = explained.make()
    if lens is not None:
        for _, node in list(nnx.iter_graph(network)):
            if isinstance(node, Head):
                node.__class__ = _Watched
                node.lens = lens  # pyrefly: ignore[missing-attribute]
    return explained.read(network(images, explained.mode))


def _feature_map(seen: list[jax.Array], images: tuple[int, ...]) -> jax.Array:
    """What the one Head was given, if a map can be made of it.

    Raises:
        UsageError: it cannot.
    """
    if len(seen) != 1 or seen[0].ndim != len(images):
        told = f"features with {seen[0].ndim} axes" if len(seen) == 1 else f"{len(seen)} calls of a Head"
        raise UsageError(
            "Grad-CAM reads the feature map [B, H, W, C], or [B, D, H, W, C], that a network gives to "
            f"nachos_jax.models.blocks.Head, and this architecture has {told}: let it end in one such "
            "Head, or choose occlusion, which works for every network."
        )
    if set(seen[0].shape[1:-1]) == {1}:
        raise UsageError(
            f"Grad-CAM: the last feature map of this network has a single cell for "
            f"{told_sides(images[1:-1])}, which tells no place from another: choose occlusion, or train a "
            "network that halves the side less often."
        )
    return seen[0]


def _of(classes: jax.Array, values: jax.Array) -> jax.Array:
    """[B]: of each row of [B, classes] the value of its class."""
    return jnp.take_along_axis(values, classes[:, None], axis=1)[:, 0]


def _both(before: jax.Array, line: jax.Array) -> jax.Array:
    """[..., n]: where both a region [...] and a line [n] hold."""
    return before[..., None] & jnp.expand_dims(line, tuple(range(before.ndim)))


def _occluder(length: int, space: tuple[int, ...]) -> tuple[int, int]:
    """Side and step of the occluder along an axis; of volumes such that no more than 125 places are tried."""
    if len(space) == 2:
        side = max(1, round(min(space) / _OCCLUDER))
        return side, max(1, side // 2)
    side = -(-length // _OCCLUDER)
    return side, side


def _covers(length: int, side: int, step: int) -> np.ndarray:
    """[places, length] bool: pixels covered along an axis; its last place ends at the edge."""
    starts = np.unique(np.minimum(np.arange(0, length, step), length - side))
    pixels = np.arange(length)
    return (pixels >= starts[:, None]) & (pixels < starts[:, None] + side)


def _scaled(maps: jax.Array, logits: jax.Array) -> Explanation:
    """Divides each map [B, *space] by its largest value; a map without one stays zero."""
    peak = jnp.max(maps, axis=tuple(range(1, maps.ndim)))
    divisor = jnp.where(peak > 0, peak, jnp.float32(1.0))
    # XLA may divide by a reciprocal, which can pass 1 by a rounding.
    divisor = jnp.expand_dims(divisor, tuple(range(1, maps.ndim)))
    return Explanation(jnp.minimum(maps / divisor, jnp.float32(1.0)), peak, logits)
