"""Lanes that are given an image and a vector: what they compute, and on what it must not depend."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load

from nachos_jax.data.joined import Inputs
from nachos_jax.engine.resume import Checkpoints
from nachos_jax.models import joined as models
from nachos_jax.models import registry
from nachos_jax.models.blocks import evaluation
from nachos_jax.models.pooling import global_average_pool
from tests import joined, tiny

HPARAMS = {"architecture": "cnn", "norm": "batch", "cnn.stages": 1, "cnn.width": 4}


def weights(payload: dict[str, bytes]) -> dict[str, np.ndarray]:
    return load(payload["weights.safetensors"])


@pytest.fixture(scope="module")
def run():
    return tiny.run_config(augmentation__brightness=0.1, training__dropout=0.2, engine__lanes=2)


@pytest.fixture(scope="module")
def trained(run):
    """Refits without fold 1, of two learning rates."""
    return tiny.train(fits(run), run, joined.cohort())


def fits(run):
    return [tiny.fit(run, (1,), epochs=3, learning_rate=rate) for rate in (0.02, 0.1)]


def test_the_vector_is_concatenated_before_the_last_layer(monkeypatch):
    draw = np.random.default_rng(0)
    told = {**HPARAMS, **models.told(3)}
    network = registry.build(told, (6, 6, 1), 2, jnp.float32, "lax", nnx.Rngs(0))
    network.columns.kernel[...] = jnp.asarray(draw.normal(size=(3, 2)), jnp.float32)  # pyrefly: ignore[missing-attribute]
    images = jnp.asarray(draw.normal(size=(5, 6, 6, 1)), jnp.float32)
    vectors = jnp.asarray(draw.normal(size=(5, 3)), jnp.float32)
    found = models.outputs(network, Inputs(images, vectors), evaluation({}))
    pooled = []
    monkeypatch.setattr(
        "nachos_jax.models.blocks.global_average_pool", lambda x: pooled.append(x) or global_average_pool(x)
    )
    network(images, evaluation({}))
    both = jnp.concatenate([global_average_pool(pooled[0]), vectors], axis=1)
    last = network.head.linear  # pyrefly: ignore[missing-attribute]
    kernel = jnp.concatenate([last.kernel[...], network.columns.kernel[...]])  # pyrefly: ignore[missing-attribute]
    np.testing.assert_allclose(found, both @ kernel + last.bias[...][None], rtol=1e-5, atol=1e-5)


def test_without_a_vector_a_network_is_what_it_was():
    plain = registry.build(HPARAMS, (6, 6, 1), 2, jnp.float32, "lax", nnx.Rngs(0))
    wide = registry.build({**HPARAMS, **models.told(3)}, (6, 6, 1), 2, jnp.float32, "lax", nnx.Rngs(0))
    images = jnp.ones((2, 6, 6, 1))
    given = Inputs(images, jnp.full((2, 3), 7.0))  # the part for it starts at zero
    before, after = (models.outputs(*one, evaluation({})) for one in ((plain, images), (wide, given)))
    np.testing.assert_array_equal(after, before)


@pytest.mark.thorough
def test_lanes_learn_from_both(trained, run):
    plain, _, _ = tiny.train(fits(run), run, tiny.cohort())
    (records, payloads, _) = trained
    for (fit, record), other in zip(records.items(), plain.values(), strict=True):
        ours, theirs = (np.asarray(one.training_loss, np.float64)[-1] for one in (record, other))
        assert ours < theirs - 0.05
        kernel = weights(payloads[fit])["params/columns/kernel"]
        assert np.abs(kernel[0]).max() > np.abs(kernel[1:]).max(), "the first column tells the class"


@pytest.mark.thorough
def test_scale_and_origin_of_a_column_change_nothing_but_roundings(trained, run):
    _, expected, _ = trained
    values = joined.columns() * [1e-3, 7.0, 1e4] + [0.0, 1e3, -5.0]
    _, found, _ = tiny.train(fits(run), run, joined.with_columns(joined.cohort(), values))
    for fit, payload in expected.items():
        ours, theirs = weights(found[fit]), weights(payload)
        for name in (name for name in theirs if name.startswith("params/")):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-3, atol=2e-4)


def test_columns_of_cases_that_are_left_out_move_no_bit(trained, run):
    """What fold 1 holds would move means, standard deviations, medians and weights if it were looked at."""
    _, expected, _ = trained
    cohort, values = joined.cohort(), joined.columns()
    assert cohort.table.folds is not None
    held = cohort.table.folds == 1
    for spoilt in (np.nan, 1e30):
        values[held] = spoilt
        _, found, _ = tiny.train(fits(run), run, joined.with_columns(cohort, values))
        assert {fit: one["weights.safetensors"] for fit, one in found.items()} == {
            fit: one["weights.safetensors"] for fit, one in expected.items()
        }
    values = joined.columns()
    values[np.flatnonzero(~held)[0], 0] += 1  # the test can fail
    _, found, _ = tiny.train(fits(run), run, joined.with_columns(cohort, values))
    assert all(found[fit] != payload for fit, payload in expected.items())


def test_statistics_are_those_of_channels_then_of_columns():
    store = joined.store_of(joined.cohort())
    chosen = np.arange(tiny.CASES) % 3 > 0
    mean, sd = store.sums().mean_sd(chosen)
    fill = store.sums().fill(chosen)
    pixels, rows = store.images.values[chosen].astype(float), store.vectors.values[chosen].astype(float)
    rows = np.where(np.isnan(rows), np.nanmedian(rows, axis=0), rows)
    np.testing.assert_allclose(mean, [pixels.mean(), *rows.mean(0)], rtol=1e-5)
    np.testing.assert_allclose(sd, [pixels.std(), *rows.std(0)], rtol=1e-5)
    assert fill is not None
    np.testing.assert_allclose(fill, [0, *np.nanmedian(store.vectors.values[chosen], axis=0)], rtol=1e-5)


def test_neighbours_move_no_bit(trained, run):
    _, expected, _ = trained
    first, second = fits(run)
    _, alone, _ = tiny.train([second], run, joined.cohort())
    assert alone[second.id] == expected[second.id]
    _, turned, _ = tiny.train([second, first], run, joined.cohort())
    assert turned == expected


@pytest.mark.thorough
def test_a_fit_that_was_killed_goes_on_to_the_same_bits(trained, run, tmp_path):
    expected = trained[:2]
    cohort = joined.cohort()
    first = tiny.LanePool(cohort, tiny.folds(cohort), run, Checkpoints(tmp_path, "first"), jax.devices()[:1])
    first.submit(fits(run))
    first.step()
    first.save(all_lanes=True)
    first.close()
    resumed = tiny.train(fits(run), run, cohort, checkpoints=Checkpoints(tmp_path, "second"))
    assert resumed[:2] == expected
    assert resumed[2].spent.epochs < sum(record.epochs for record in expected[0].values())


@pytest.mark.thorough
def test_streamed_is_resident():
    given = {"data__window": 40, "training__batch_size": 8}
    resident, stream = (tiny.run_config(data__residency=way, **given) for way in ("resident", "stream"))
    _, expected, _ = tiny.train(fits(resident), resident, joined.cohort())
    _, found, pool = tiny.train(fits(stream), stream, joined.cohort())
    assert pool.streams
    for fit, payload in expected.items():
        ours, theirs = weights(found[fit]), weights(payload)
        for name, values in theirs.items():
            np.testing.assert_allclose(ours[name], values, rtol=1e-3, atol=1e-5)
