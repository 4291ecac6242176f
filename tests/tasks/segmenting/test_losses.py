"""Losses of masks against MONAI and nnU-Net's formulas (golden numbers), value and gradient."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from nachos_jax.tasks.segmenting import losses
from nachos_jax.tasks.segmenting.losses import MIXTURES, TERMS, Settings, mixture
from tests.tasks.segmenting import examples
from tests.tasks.segmenting.examples import summary, waves
from tests.tiers import mostly_thorough

GOLDEN = json.loads((Path(__file__).resolve().parents[2] / "golden" / "segmentation.json").read_text("utf-8"))
EXAMPLES = {name: (jnp.asarray(x), jnp.asarray(y)) for name, (x, y) in examples.EXAMPLES.items()}
# name in the golden file -> weights of terms, settings
PUBLISHED = {
    **{name: ({name: 1.0}, Settings()) for name in TERMS},
    "dice without background": ({"dice": 1.0}, Settings(background=0.0)),
    "dice_ce": (MIXTURES["dice_ce"], Settings()),
    "dice_focal": (MIXTURES["dice_focal"], Settings()),
}
every_example = mostly_thorough("example", list(EXAMPLES), kept=("flat", "volume"))


@functools.cache
def both(terms):
    """Value and gradient of a mixture, compiled once for all examples of one shape."""
    return jax.jit(
        jax.value_and_grad(lambda x, y, weights, settings: mixture(x, y, weights, terms, settings))
    )


def test_every_loss_was_published():
    assert {name for losses in GOLDEN["losses"].values() for name in losses} == set(PUBLISHED)
    assert set(GOLDEN["losses"]) == set(EXAMPLES)


@every_example
@pytest.mark.parametrize("loss", PUBLISHED)
def test_values_and_gradients_are_the_published_ones(example, loss):
    weights, numbers = PUBLISHED[loss]
    value, gradient = both(frozenset(weights))(*EXAMPLES[example], dict(weights), numbers)
    expected = GOLDEN["losses"][example][loss]
    assert value == pytest.approx(expected["value"], rel=1e-5, abs=1e-5)
    assert summary(gradient) == pytest.approx(expected["gradient"], rel=1e-5, abs=1e-5)


@mostly_thorough("example", ["absent", "empty"], kept=("absent",))
def test_items_of_a_batch_do_not_meet(example):
    outputs, labels = EXAMPLES[example]
    means = set(TERMS) - {"top_k", "hausdorff"}
    values = jax.jit(lambda x, y: {term: TERMS[term](x, y, Settings()) for term in means})
    whole = values(outputs, labels)
    first, second = values(outputs[:1], labels[:1]), values(outputs[1:], labels[1:])
    for term in means:
        assert float(whole[term]) == pytest.approx(float(first[term] + second[term]) / 2, rel=1e-5)
    far = jax.jit(losses.hausdorff)
    np.testing.assert_allclose(far(outputs, labels)[1:], far(outputs[1:], labels[1:]), rtol=1e-5)


def test_only_named_terms_are_compiled_in():
    outputs, labels = EXAMPLES["flat"]
    weights = dict.fromkeys(TERMS, 1.0)

    def program(*terms):
        return str(jax.make_jaxpr(lambda x: mixture(x, labels, weights, frozenset(terms)))(outputs))

    assert " scan[" in program("top_k")
    assert " min " in program("hausdorff")
    plain = program("dice", "cross_entropy", "focal", "generalised_dice")
    assert " scan[" not in plain
    assert " min " not in plain


def test_a_traced_choice_picks_its_mixture():
    outputs, labels = EXAMPLES["volume"]
    terms = losses.terms_of(MIXTURES)
    assert terms == set(TERMS)
    chosen = jax.jit(lambda choice: mixture(outputs, labels, losses.weights_of(choice), terms))
    for place, weights in enumerate(MIXTURES.values()):
        expected = jax.jit(mixture, static_argnums=3)(outputs, labels, dict(weights), frozenset(weights))
        assert float(chosen(np.float32(place))) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.thorough
def test_lanes_with_different_choices_are_lanes_alone():
    outputs, labels = EXAMPLES["flat"]
    terms = losses.terms_of(MIXTURES)

    def loss(choice, x):
        return jax.grad(lambda x: mixture(x, labels, losses.weights_of(choice), terms))(x)

    choices, alone = jnp.arange(len(MIXTURES), dtype=jnp.float32), jax.jit(loss)
    lanes = jax.jit(jax.vmap(loss, (0, None)))(choices, outputs)
    for choice, lane in zip(choices, lanes, strict=True):
        np.testing.assert_allclose(lane, alone(choice, outputs), rtol=1e-4, atol=1e-6)


top_mean = jax.jit(losses.top_mean)


@given(count=st.sampled_from([1, 10, 137]), share=st.floats(0.001, 1.0), seed=st.integers(0, 999))
def test_the_top_mean_is_that_of_sorting(count, share, seed):
    values = np.random.default_rng(seed).gamma(0.3, size=count).astype(np.float32)
    many = max(1, int(np.float32(count) * np.float32(share)))
    expected = np.sort(values)[::-1][:many].mean(dtype=np.float64)
    assert float(top_mean(values, share)) == pytest.approx(expected, rel=1e-5, abs=1e-30)


def test_the_gradient_of_the_top_mean_is_that_of_top_k_and_ties_share():
    values = jnp.asarray(waves((7, 9), 3.0) + 3.0)
    slope = jax.jit(jax.grad(losses.top_mean))
    expected = jax.jit(jax.grad(lambda v: jnp.mean(lax.top_k(v.reshape(-1), 15)[0])))(values)
    np.testing.assert_allclose(slope(values, 0.25), expected, atol=1e-7)
    tied = slope(jnp.asarray([1.0, 2.0, 2.0, 2.0, 5.0]), 0.6)
    np.testing.assert_allclose(tied, np.array([0, 2 / 3, 2 / 3, 2 / 3, 1]) / 3, rtol=1e-6)
    assert top_mean(jnp.zeros(8), 0.5) == 0


def test_a_number_that_is_none_is_seen():
    outputs, labels = EXAMPLES["flat"]
    outputs = outputs.at[0, 2, 3, 1].set(jnp.nan)
    for term in TERMS:
        value, _ = both(frozenset({term}))(outputs, labels, {term: 1.0}, Settings())
        assert np.isnan(value), term


@given(seed=st.integers(0, 999))
@settings(max_examples=10)
def test_regions_of_parts_add_up(seed):
    outputs, labels = EXAMPLES["volume"]
    own = np.random.default_rng(seed).random(labels.shape) < 0.5
    regions = jax.jit(losses.regions)
    whole = regions(outputs, labels)
    parts = [regions(outputs, labels, jnp.asarray(mask)) for mask in (own, ~own)]
    for total, first, second in zip(whole, *parts, strict=True):
        np.testing.assert_allclose(total, first + second, rtol=1e-5)


def test_distances_are_in_the_unit_of_the_spacing():
    outputs, labels = EXAMPLES["volume"]
    plain = jax.jit(losses.hausdorff)(outputs, labels)
    wide = jax.jit(losses.hausdorff)(outputs, labels, jnp.full(3, 2.0))
    np.testing.assert_allclose(wide, 4 * plain, rtol=1e-5)


@pytest.mark.parametrize(
    ("terms", "weights", "match"),
    [
        ([], {}, "terms"),
        (["dicee"], {"dicee": 1.0}, "unknown .'dicee'"),
        (["dice"], {"focal": 1.0}, "without weight .'dice'"),
    ],
)
def test_terms_that_cannot_be_are_refused(terms, weights, match):
    with pytest.raises(ValueError, match=match):
        mixture(*EXAMPLES["flat"], weights, frozenset(terms))
