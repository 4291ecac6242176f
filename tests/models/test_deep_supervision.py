"""The U-Net with heads on coarser levels: what training is given, and that nothing else sees of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nachos_jax.models import registry, unet
from nachos_jax.models.blocks import Mode, evaluation
from tests.models.test_unet import built, hparams, images, plain_stage, plain_up, training

DEEP = {"unet.depth": 4, "unet.deep_supervision": True}
FORMS = {
    "slices": (DEEP, (1, 16, 24, 2), [(1, 16, 24), (1, 8, 12)]),
    "odd sides": (DEEP, (15, 17, 1), [(15, 17), (8, 9)]),
    "five levels": ({**DEEP, "unet.depth": 5}, (32, 32, 1), [(32, 32), (16, 16), (8, 8)]),
    "thick slices": ({**DEEP, "unet.flat_levels": 1}, (8, 32, 32, 1), [(8, 32, 32), (8, 16, 16)]),
}


def heads(network, x):
    """What each head gives, by the plain formula: every level up, and a linear layer on its pixels."""
    passed = []
    for level, stage in enumerate(network.down):
        if level:
            window = (1, *network.strides[level - 1], 1)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "SAME")
        x = plain_stage(stage, x)
        passed.append(x)
    found = {}
    for level in reversed(range(len(network.strides))):
        skip, up = passed[level], plain_up(x, network.ups[level].kernel[...])
        up = up[:, *(slice(n) for n in skip.shape[1:-1])]
        x = found[level] = plain_stage(network.merged[level], jnp.concatenate([skip, up], -1))
    linear = [network.last, *network.coarser]
    return [found[level] @ of.kernel[...] + of.bias[...] for level, of in enumerate(linear)]


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=[pytest.mark.thorough] * (form != "odd sides")) for form in FORMS]
)
def test_training_is_given_every_level_but_the_lowest_two(form):
    changes, shape, spaces = FORMS[form]
    registry.check(hparams(**changes), shape)
    network = built(hparams(**changes), shape)
    x = images(2, *shape)
    found = jax.jit(lambda x: network(x, training()))(x)
    assert [one.shape for one in found] == [(2, *space, 3) for space in spaces]
    squeezed = x.reshape(2, *(side for side in shape[:-1] if side > 1), shape[-1])
    with jax.numpy_rank_promotion("allow"):
        wanted = jax.jit(lambda x: heads(network, x))(squeezed)
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs.reshape(mine.shape), atol=2e-5)


def test_evaluation_sees_the_finest_level_alone():
    network = built(hparams(**DEEP), (16, 16, 1))
    x = images(2, 16, 16, 1)
    graph, state = nnx.split(network)
    finest = jax.jit(lambda state: nnx.merge(graph, state)(x, evaluation({})))
    before = finest(state)
    assert before.shape == (2, 16, 16, 3)
    trained = jax.jit(lambda state: nnx.merge(graph, state)(x, training())[0])(state)
    np.testing.assert_allclose(before, trained, atol=1e-5)
    assert isinstance(network, unet.UNet)
    assert network.coarser is not None
    for head in network.coarser:
        head.kernel[...] = head.kernel[...] * jnp.nan
    np.testing.assert_array_equal(finest(nnx.state(network)), before)


def test_only_what_is_asked_for_is_in_the_network():
    def parameters(**changes):
        network = nnx.eval_shape(lambda: built(hparams(**changes), (16, 16, 1)))
        return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))

    plain = parameters(**{"unet.depth": 4})
    assert parameters(**{"unet.depth": 4, "unet.deep_supervision": False}) == plain
    assert parameters(**DEEP) == plain + 3 * (16 + 1)  # a head of 3 classes on the 16 channels of level 1


def test_it_is_a_hyperparameter_where_it_acts_and_is_asked_for():
    assert "unet.deep_supervision" not in hparams(**{"unet.depth": 4})
    assert "unet.deep_supervision" not in hparams(**{**DEEP, "unet.depth": 3})
    assert hparams(**DEEP)["unet.deep_supervision"] is True


@pytest.mark.thorough
def test_levels_drop_by_themselves():
    network = built(hparams(**DEEP), (16, 16, 1))
    x, key = images(2, 16, 16, 1), jax.random.key(0)
    both = jax.jit(lambda x: (network(x, Mode(True, jnp.float32(0.5), key, {})), network(x, training())))
    for mine, whole in zip(*both(x), strict=True):
        assert np.any(mine != whole)
