"""Random changes of training images, on the device, each case by its own key.

Strengths are traced numbers, so lanes with different strengths share a program; which operations the
program holds at all is static. An operation's random numbers depend on the key, on the case's position
and on the operation, so neither the other cases nor the other operations change them.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from nachos_jax.core.hparams import AUGMENTATION, FLIP_DEPTH, GEOMETRIC
from nachos_jax.data import augment_volumes

Strengths = Mapping[str, jax.Array | float]

_DRAWS: tuple[str, ...] = (*AUGMENTATION, "shift_width")
"""Uniform numbers that a case draws, whatever is enabled, so that no operation changes another's."""
_OF_VOLUMES = (*_DRAWS, FLIP_DEPTH.name, "shift_depth", "turn_height", "turn_width")
_KNOWN = (*AUGMENTATION, FLIP_DEPTH.name)


def augment(images: jax.Array, strengths: Strengths, key: jax.Array, enabled: frozenset[str]) -> jax.Array:
    """Changes every image of a batch at random.

    An operation of strength 0 changes nothing: to the last bit, but for the rotation, shift and scale,
    which interpolate.

    Args:
        images: [B, H, W, C] or [B, D, H, W, C] float32, normalised: one unit is one SD of the training
            cases. Volumes of few slices (see `augment_volumes.turns_within_slices`) turn within them alone,
            others about all axes.
        strengths: a scalar, traced or not, for each enabled operation, in the units of
            `nachos_jax.core.hparams`.
        key: random key of this batch.
        enabled: names of `nachos_jax.core.hparams.AUGMENTATION`, of volumes FLIP_DEPTH too; the others
            cost nothing.

    Returns:
        As `images`.

    Raises:
        ValueError: an enabled operation is unknown or has no strength.
    """
    unknown = enabled - set(_KNOWN)
    missing = enabled - set(strengths)
    if unknown or missing:
        raise ValueError(f"augmentation: unknown {sorted(unknown)}, without strength {sorted(missing)}.")
    if not enabled:
        return images
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(images)))
    return augment_each(images, {name: strengths[name] for name in enabled}, keys)


def augment_each(images: jax.Array, strengths: Strengths, keys: jax.Array) -> jax.Array:
    """The same by the operations that have strengths, each image by a key of its own, [B] of them."""
    used = {name: jnp.asarray(strengths[name], jnp.float32) for name in _KNOWN if name in strengths}
    return jax.vmap(lambda image, own: _augment_case(image, used, own))(images, keys)


def resample(image: jax.Array, degrees: jax.Array, shift: jax.Array, factor: jax.Array) -> jax.Array:
    """Turns, shifts and enlarges an image about its centre by one bilinear interpolation.

    What comes in from outside repeats the nearest pixel of the edge: the border of a medical image is
    mostly background, whose normalised value is not 0 and not known here, and mirroring would show
    anatomy twice.

    Args:
        image: [H, W, C] float32.
        degrees: scalar, counter-clockwise as the image is displayed (row 0 on top).
        shift: [2], fractions of height (down) and width (right), after the turn.
        factor: scalar, above 1 enlarges.

    Returns:
        [H, W, C] float32.
    """
    height, width, _ = image.shape
    rows, columns = _sources(height, width, degrees, shift, factor)
    top, down = _split(rows, height)
    left, across = _split(columns, width)
    # The four neighbours side by side: one gather of 4 C values a pixel, not four of C.
    below = jnp.concatenate([image[1:], image[-1:]], axis=0)
    blocks = jnp.concatenate([image, below], axis=-1)
    blocks = jnp.concatenate([blocks, jnp.concatenate([blocks[:, 1:], blocks[:, -1:]], axis=1)], axis=-1)
    found = blocks.reshape(height * width, -1)[top * width + left]
    weights = jnp.stack(
        [(1 - down) * (1 - across), down * (1 - across), (1 - down) * across, down * across], axis=-1
    )
    return jnp.sum(found.reshape(height, width, 4, -1) * weights[..., None], axis=2)


def _sources(
    height: int, width: int, degrees: jax.Array, shift: jax.Array, factor: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Row and column, both [H, W] float32, of the image from which each pixel comes."""
    angle = jnp.deg2rad(degrees)
    cosine, sine = jnp.cos(angle) / factor, jnp.sin(angle) / factor
    middle = ((height - 1) / 2, (width - 1) / 2)
    y = (jnp.arange(height, dtype=jnp.float32) - middle[0] - shift[0] * height)[:, None]
    x = (jnp.arange(width, dtype=jnp.float32) - middle[1] - shift[1] * width)[None, :]
    return cosine * y + sine * x + middle[0], cosine * x - sine * y + middle[1]


def _split(position: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
    """Index of the pixel before a position, which is moved into the image, and the fraction after it."""
    inside = jnp.clip(position, 0.0, length - 1.0)
    before = jnp.floor(inside)
    return before.astype(jnp.int32), inside - before


def _augment_case(image: jax.Array, strengths: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
    """One image [H, W, C] or volume [D, H, W, C]: geometry first, then intensities, noise last."""
    own, grain = jax.random.split(key)
    # One draw for all operations: XLA's CPU backend takes half a second to compile each.
    numbers = _OF_VOLUMES if image.ndim == 4 else _DRAWS
    draws = dict(zip(numbers, jax.random.uniform(own, (len(numbers),)), strict=True))
    for name, axis in (("flip_horizontal", -2), ("flip_vertical", -3), (FLIP_DEPTH.name, -4)):
        if name in strengths:
            image = jnp.where(draws[name] < strengths[name], jnp.flip(image, axis), image)
    if any(name in strengths for name in GEOMETRIC):
        image = _move(image, strengths, draws)
    for name, change in (("brightness", _brighten), ("contrast", _stretch), ("gamma", _bend)):
        if name in strengths:
            image = change(image, _symmetric(draws[name], strengths[name]))
    if "noise" in strengths:
        image = image + strengths["noise"] * draws["noise"] * jax.random.normal(grain, image.shape)
    return image


def _symmetric(draw: jax.Array, largest: jax.Array) -> jax.Array:
    """Uniform in [0, 1) -> uniform in [-largest, largest)."""
    return largest * (2.0 * draw - 1.0)


def _move(image: jax.Array, strengths: Mapping[str, jax.Array], draws: Mapping[str, jax.Array]) -> jax.Array:
    def drawn(name: str, draw: str = "") -> jax.Array:
        return _symmetric(draws[draw or name], strengths.get(name, jnp.float32(0.0)))

    degrees, down, factor = map(drawn, GEOMETRIC)
    across = drawn("shift", "shift_width")
    if image.ndim == 3:
        return resample(image, degrees, jnp.stack([down, across]), 1.0 + factor)
    turns = jnp.stack([degrees, drawn("rotation", "turn_height"), drawn("rotation", "turn_width")])
    if augment_volumes.turns_within_slices(image.shape):
        turns = turns * jnp.asarray([1.0, 0.0, 0.0], jnp.float32)
    shift = jnp.stack([drawn("shift", "shift_depth"), down, across])
    return augment_volumes.resample(image, turns, shift, 1.0 + factor)


def _brighten(image: jax.Array, change: jax.Array) -> jax.Array:
    return image + change


def _stretch(image: jax.Array, change: jax.Array) -> jax.Array:
    """Contrast about the case's own mean; written as a sum, so that no change is exactly none."""
    return image + change * (image - jnp.mean(image))


def _bend(image: jax.Array, change: jax.Array) -> jax.Array:
    """Gamma e**change on the case's own range, which it keeps."""
    low = jnp.min(image)
    extent = jnp.maximum(jnp.max(image) - low, jnp.finfo(jnp.float32).tiny)
    bent = low + extent * jnp.power((image - low) / extent, jnp.exp(change))
    return jnp.where(change == 0.0, image, bent)
