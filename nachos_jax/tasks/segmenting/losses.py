"""Training losses of masks: the terms of MONAI and nnU-Net, mixed with weights that keep shapes.

Everywhere: outputs [B, *space, K] float32 are logits of K classes, the background first; labels [B, *space]
int32 are classes; `space` has two or three axes. A term is mean over the items of the batch, each by itself,
but for top-k, which ranks the voxels of the batch together as nnU-Net does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nachos_jax.tasks.segmenting.distance import squared_distance_to_border

SMOOTH = 1e-5
"""Added to both sides of a fraction of volumes in voxels (MONAI, nnU-Net): two empty masks agree."""

Number = jax.Array | float


class Settings(NamedTuple):
    """Numbers of the terms; all may be traced."""

    background: Number = 1.0  # weight of the background beside a class in both Dice terms: 1 MONAI, 0 nnU-Net
    gamma: Number = 2.0  # exponent of the focal loss
    top: Number = 0.1  # share of the voxels that top-k means
    spacing: jax.Array | None = None  # [rank] float32, unit of distances: mm of a voxel; None for voxels


class Regions(NamedTuple):
    """Soft volumes in voxels, [..., K] float32 each; those of the parts of a case may be added up."""

    common: jax.Array  # probability on the voxels of the class
    predicted: jax.Array  # probability anywhere
    reference: jax.Array  # voxels of the class


def mixture(
    outputs: jax.Array,
    labels: jax.Array,
    weights: Mapping[str, Number],
    terms: frozenset[str],
    settings: Settings | None = None,
) -> jax.Array:
    """The weighted sum of some terms; the others cost nothing.

    Args:
        outputs: [B, *space, K] float32.
        labels: [B, *space] int32.
        weights: a scalar, traced or not, for each of `terms`.
        terms: names of `TERMS` that are compiled in.
        settings: of the terms; None for the published ones.

    Returns:
        float32 scalar.

    Raises:
        ValueError: no term, one that is unknown, or one without weight.
    """
    unknown, missing = terms - set(TERMS), terms - set(weights)
    if not terms or unknown or missing:
        raise ValueError(
            f"terms {sorted(terms)}: unknown {sorted(unknown)}, without weight {sorted(missing)}."
        )
    given = settings or Settings()
    parts = [weights[name] * term(outputs, labels, given) for name, term in TERMS.items() if name in terms]
    return _sum(parts)


def regions(outputs: jax.Array, labels: jax.Array, counted: jax.Array | None = None) -> Regions:
    """Soft volumes of every item: [B, K] each.

    Args:
        outputs: [B, *space, K] float32.
        labels: [B, *space] int32.
        counted: [B, *space] bool, voxels that count; None for all.
    """
    found, space = [], tuple(range(1, labels.ndim))
    for chance, there in zip(_softmax(outputs)[0], _of_class(labels, outputs.shape[-1]), strict=True):
        if counted is not None:
            chance, there = jnp.where(counted, chance, 0.0), jnp.where(counted, there, 0.0)
        found.append([jnp.sum(values, space) for values in (chance * there, chance, there)])
    return Regions(*(jnp.stack(values, -1) for values in zip(*found, strict=True)))


def dice(found: Regions, background: Number = 1.0) -> jax.Array:
    """[...]: 1 less the soft Dice (Milletari et al. 2016), mean over classes, from regions [..., K]."""
    each = 1 - (2 * found.common + SMOOTH) / (found.predicted + found.reference + SMOOTH)
    share = _share(each, background)
    return jnp.sum(share * each, -1) / jnp.sum(share, -1)


def generalised_dice(found: Regions, background: Number = 1.0) -> jax.Array:
    """[...]: 1 less the Dice of all classes together, each weighted by 1 / volume^2 (Sudre et al. 2017).

    A class that the item does not have gets the largest weight of those that it has, as in MONAI.
    """
    there = found.reference > 0
    weights = jnp.where(
        there, _share(found.reference, background) / jnp.maximum(found.reference, 1.0) ** 2, 0.0
    )
    weights = jnp.where(there, weights, jnp.max(weights, -1, keepdims=True))
    both = jnp.sum(weights * (found.predicted + found.reference), -1)
    return 1 - (2 * jnp.sum(weights * found.common, -1) + SMOOTH) / (both + SMOOTH)


def cross_entropies(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """[B, *space]: -log probability of the class of every voxel, in natural logarithms."""
    there = _of_class(labels, outputs.shape[-1])
    return _softmax(outputs)[1] - _sum([there[k] * outputs[..., k] for k in range(len(there))])


def focal(outputs: jax.Array, labels: jax.Array, gamma: Number = 2.0) -> jax.Array:
    """Scalar: focal loss (Lin et al. 2017), every class against the rest by its own sigmoid, as in MONAI.

    (1 - p)^gamma times -log p of what is true, mean over voxels and classes, the background among them.
    """
    means = []
    for k, there in enumerate(_of_class(labels, outputs.shape[-1])):
        towards = outputs[..., k] * (2 * there - 1)
        means.append(-jnp.mean(jnp.exp(gamma * jax.nn.log_sigmoid(-towards)) * jax.nn.log_sigmoid(towards)))
    return _sum(means) / len(means)


def top_mean(values: jax.Array, share: Number) -> jax.Array:
    """Mean of the largest values, floor(share * count) of them and at least one.

    The smallest of them is found by bisection over the bits of numbers that are not negative, which have
    the order of the numbers: exact, while no shape depends on the share. Those equal to it share its weight.

    Args:
        values: float32, of any shape, not negative.
        share: above 0, at most 1.
    """
    flat = values.reshape(-1)
    count = jnp.clip(jnp.floor(jnp.float32(flat.size) * share), 1, flat.size)
    bits = lax.bitcast_convert_type(lax.stop_gradient(flat), jnp.int32)

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        enough = jnp.sum(bits >= middle).astype(jnp.float32) >= count
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    smallest, _ = lax.fori_loop(0, 31, halve, (jnp.int32(0), jnp.int32(2**31 - 1)))
    above, level = ((bits > smallest).astype(jnp.float32), (bits == smallest).astype(jnp.float32))
    weights = above + level * ((count - jnp.sum(above)) / jnp.maximum(jnp.sum(level), 1.0))
    return jnp.sum(weights * flat) / count


def hausdorff(outputs: jax.Array, labels: jax.Array, spacing: jax.Array | None = None) -> jax.Array:
    """[B, K - 1]: distance-transform loss of the classes but the background (Karimi and Salcudean 2020).

    Mean over voxels of the squared error, times the squared distances to the border of the prediction
    (p > 0.5) and of the reference; a mask without border has none. No gradient goes through a distance.

    Args:
        outputs: [B, *space, K] float32.
        labels: [B, *space] int32.
        spacing: [rank] float32; None for distances in voxels, as in MONAI.
    """
    step = jnp.ones(labels.ndim - 1, jnp.float32) if spacing is None else spacing
    chances = jnp.stack(_softmax(outputs)[0][1:], 1)
    there = jnp.stack(_of_class(labels, outputs.shape[-1])[1:], 1)
    of_both = squared_distance_to_border(jnp.stack([lax.stop_gradient(chances), there]) > 0.5, step)
    far = lax.stop_gradient(jnp.sum(of_both, 0))
    return jnp.mean((chances - there) ** 2 * far, tuple(range(2, chances.ndim)))


def _softmax(outputs: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    """Probability of each class, K times [B, *space], and the log of the sum of exponentials.

    Class by class: with the few classes on the minor axis a CPU takes six times as long.
    """
    each = [outputs[..., k] for k in range(outputs.shape[-1])]
    top = lax.stop_gradient(functools.reduce(jnp.maximum, each))
    raised = [jnp.exp(values - top) for values in each]
    whole = _sum(raised)
    return [values / whole for values in raised], top + jnp.log(whole)


def _of_class(labels: jax.Array, classes: int) -> list[jax.Array]:
    """Labels [B, *space] -> K times [B, *space] float32: 1 where the voxel is of the class."""
    return [jnp.asarray(labels == k, jnp.float32) for k in range(classes)]


def _sum(values: Sequence[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, values)


def _share(like: jax.Array, background: Number) -> jax.Array:
    """Weights of the classes [..., K]: that of the background, and 1."""
    return jnp.where(lax.broadcasted_iota(jnp.int32, like.shape, like.ndim - 1) == 0, background, 1.0)


Term = Callable[[jax.Array, jax.Array, Settings], jax.Array]
TERMS: Mapping[str, Term] = {
    "dice": lambda x, y, given: jnp.mean(dice(regions(x, y), given.background)),
    "generalised_dice": lambda x, y, given: jnp.mean(generalised_dice(regions(x, y), given.background)),
    "cross_entropy": lambda x, y, _: jnp.mean(cross_entropies(x, y)),
    "focal": lambda x, y, given: focal(x, y, given.gamma),
    "top_k": lambda x, y, given: top_mean(cross_entropies(x, y), given.top),
    # The logarithm (MONAI's LogHausdorffDTLoss) keeps it from drowning the Dice beside it.
    "hausdorff": lambda x, y, given: jnp.log1p(jnp.mean(hausdorff(x, y, given.spacing))),
}
"""Terms by name: (outputs, labels, settings) -> float32 scalar."""

MIXTURES: Mapping[str, Mapping[str, float]] = {
    "dice_ce": {"dice": 1.0, "cross_entropy": 1.0},
    "dice": {"dice": 1.0},
    "generalised_dice": {"generalised_dice": 1.0},
    "dice_hausdorff": {"dice": 1.0, "hausdorff": 1.0},
    "dice_top_k": {"dice": 1.0, "top_k": 1.0},
    "dice_focal": {"dice": 1.0, "focal": 1.0},
}
"""The losses that AutoMONAI chose among, by name: weights of their terms, which it does not state: 1."""


def terms_of(choices: Iterable[str]) -> frozenset[str]:
    """Terms that any of these mixtures needs."""
    return frozenset(term for choice in choices for term in MIXTURES[choice])


def weights_of(choice: jax.Array) -> dict[str, jax.Array]:
    """Weights of all terms, float32 scalars, of a mixture by its place in `MIXTURES`, a traced scalar."""
    table = np.array([[of.get(term, 0.0) for term in TERMS] for of in MIXTURES.values()], np.float32)
    row = jnp.asarray(table)[jnp.round(choice).astype(jnp.int32)]
    return {term: row[place] for place, term in enumerate(TERMS)}
