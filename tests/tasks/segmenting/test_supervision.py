"""Deep supervision against nnU-Net's way of it in PyTorch: labels, weights, value and gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nachos_jax.tasks.segmentation import MaskDevice
from nachos_jax.tasks.segmenting import losses
from nachos_jax.tasks.segmenting.supervision import coarser, supervised
from nachos_jax.tasks.task import Told
from tests.tasks.segmenting.examples import cells, waves
from tests.tiers import mostly_thorough

DICE_CE = losses.MIXTURES["dice_ce"]
SPACES = {
    "images": ((16, 8), (8, 4), (4, 2)),
    "a slice": ((1, 16, 8), (1, 8, 4), (1, 4, 2)),
    "thick slices": ((6, 16, 8), (6, 8, 4), (3, 4, 2)),
}
"""Sides of the patch and of two coarser levels, whole multiples of each other as nnU-Net plans them."""


def own(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    return losses.mixture(outputs, labels, DICE_CE, frozenset(DICE_CE))


@mostly_thorough("form", SPACES, kept=("a slice",))
def test_it_is_the_sum_that_nnunet_takes(form: str) -> None:
    torch = pytest.importorskip("torch")
    spaces = SPACES[form]
    outputs = [waves((2, *space, 3), phase=0.3 * level) for level, space in enumerate(spaces)]
    labels = np.stack([cells(spaces[0], 3, phase) for phase in (0.2, 1.1)])
    value, slopes = jax.jit(jax.value_and_grad(lambda x: supervised(own, x, jnp.asarray(labels))))(
        tuple(map(jnp.asarray, outputs))
    )
    # One level more than those that count: nnU-Net gives the lowest of its outputs the weight 0.
    weights = np.array([1 / 2**level for level in range(len(spaces) + 1)])
    weights[-1] = 0
    weights = weights / weights.sum()
    theirs = [torch.tensor(np.moveaxis(x, -1, 1), requires_grad=True) for x in outputs]
    total = torch.zeros(())
    for weight, x, space in zip(weights, theirs, spaces, strict=False):
        target = torch.nn.functional.interpolate(
            torch.tensor(labels[:, None], dtype=torch.float32), space, mode="nearest-exact"
        )
        total = total + float(weight) * dice_ce(torch, x, target.long())
    total.backward()
    np.testing.assert_allclose(value, total.item(), rtol=1e-5)
    for slope, x in zip(slopes, theirs, strict=True):
        np.testing.assert_allclose(np.moveaxis(slope, -1, 1), x.grad.numpy(), atol=1e-6)


def dice_ce(torch, outputs, target):
    """Dice and cross-entropy by their formulas, of logits [B, K, *space] and labels [B, 1, *space]."""
    chances = torch.softmax(outputs, 1)
    there = torch.nn.functional.one_hot(target[:, 0], outputs.shape[1]).movedim(-1, 1)
    axes = tuple(range(2, outputs.ndim))
    common, both = (chances * there).sum(axes), chances.sum(axes) + there.sum(axes)
    entropy = torch.nn.functional.cross_entropy(outputs, target[:, 0])
    return (1 - (2 * common + 1e-5) / (both + 1e-5)).mean() + entropy


@mostly_thorough("sides", [(16, 16), (7, 9), (5, 2), (3, 1), (13, 11)], kept=((16, 16), (5, 2)))
def test_labels_of_a_coarser_grid_are_those_in_the_middle_of_its_pixels(sides: tuple[int, int]) -> None:
    """Sides that cannot be halved are rounded up, as the network does, and its last pixels reach beyond."""
    labels = jnp.arange(np.prod(sides), dtype=jnp.int32).reshape(1, *sides)
    there = list(sides)
    for halvings in range(1, 4):
        there = [-(-side // 2) for side in there]
        found = np.asarray(coarser(labels, there))[0]
        for place in np.ndindex(*there):
            wanted = []
            for i, side, least in zip(place, sides, there, strict=True):
                # An axis of one pixel is halved no more.
                step = next(2**k for k in range(halvings + 1) if -(-side // 2**k) <= least)
                wanted.append(min(int((i + 0.5) * step), side - 1))
            assert found[place] == labels[0][tuple(wanted)]


def test_a_device_takes_the_loss_of_one_resolution_or_of_several() -> None:
    device = MaskDevice(2, (1, 16, 8), terms=frozenset(DICE_CE))
    choice = {"segmentation.loss": jnp.float32(list(losses.MIXTURES).index("dice_ce"))}
    told = Told(jnp.zeros(1), jnp.ones(1), {}, choice)
    labels = jnp.asarray(np.stack([cells((1, 16, 8), 3)] * 2))
    first, second = (jnp.asarray(waves((2, *space, 3))) for space in ((1, 16, 8), (1, 8, 4)))
    alone, below = device.loss(first, labels, told), own(second, coarser(labels, (1, 8, 4)))
    np.testing.assert_allclose(alone, own(first, labels), rtol=1e-6)
    np.testing.assert_allclose(device.loss((first,), labels, told), alone, rtol=1e-6)
    wanted = (2 * alone + below) / 3
    np.testing.assert_allclose(device.loss((first, second), labels, told), wanted, rtol=1e-6)
