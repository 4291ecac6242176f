"""One lane against a plain Python loop that shares nothing with it but the network and the keys."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from nachos_jax.core import rng
from nachos_jax.core.rng import Purpose
from nachos_jax.core.types import Fit
from nachos_jax.data.table import Cohort
from nachos_jax.engine.windows import divide
from nachos_jax.models import registry
from nachos_jax.models.blocks import Mode, evaluation
from tests import tiny
from tests.inputs import dense
from tests.tiers import mostly_thorough


def plain_loop(
    fit: Fit, cohort: Cohort, optimizer: optax.GradientTransformation, windows: np.ndarray
) -> tuple[list, np.ndarray]:
    """Training losses and last logits on fold 1, as a newcomer would write it with Flax and Optax.

    Each row of windows ([windows, rows], cases; -1 is none) is shuffled by itself.
    """
    stream = jnp.asarray(rng.streams(fit))
    network = registry.build(
        fit.hparams, cohort.shape, 3, jnp.float32, "lax", nnx.Rngs(rng.key(stream, Purpose.INIT, 0))
    )
    trainer = nnx.Optimizer(network, optimizer, wrt=nnx.Param)
    assert cohort.table.folds is not None
    keep = ~np.isin(cohort.table.folds, fit.left_out)
    pixels = dense(cohort).astype(np.float64)
    pixels = ((pixels - pixels[keep].mean()) / pixels[keep].std()).astype(np.float32)
    unused, size, losses = rng.key(stream, Purpose.DROPOUT, 0), int(fit.hparams["batch_size"]), []

    @nnx.jit
    def step(network: nnx.Module, trainer: nnx.Optimizer, images: jax.Array, labels: jax.Array) -> jax.Array:
        def loss(net):
            logits = net(images, Mode(True, 0.0, unused, {}))
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, gradients = nnx.value_and_grad(loss)(network)
        with jax.numpy_dtype_promotion("standard"):  # Optax does not keep to the strict rules
            trainer.update(network, gradients)
        return value

    for epoch in range(fit.limit.epochs):
        batches, seen = [], []
        for number, rows in enumerate(windows, start=epoch * len(windows)):
            draws = np.asarray(jax.random.uniform(rng.key(stream, Purpose.ORDER, number), (len(rows),)))
            order = [case for case in rows[np.argsort(draws)] if case >= 0 and keep[case]]
            batches += [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
        for batch in map(np.asarray, batches):
            seen.append(
                float(step(network, trainer, pixels[batch], jnp.asarray(cohort.targets.values[batch])))
            )
        losses.append(np.mean(seen))
    held = jnp.asarray(pixels[cohort.table.folds == 1])
    return losses, np.asarray(network(held, evaluation({})))


OPTIMIZERS = {
    "sgd": (
        {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 1e-3},
        optax.chain(optax.add_decayed_weights(1e-3), optax.sgd(0.05, momentum=0.8, nesterov=True)),
    ),
    "heavy ball": (
        {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": False, "weight_decay": 0.0},
        optax.sgd(0.05, momentum=0.8),
    ),
    "adam": (
        {"optimizer": "adam", "learning_rate": 0.01, "beta1": 0.85, "beta2": 0.99, "weight_decay": 1e-3},
        optax.chain(optax.add_decayed_weights(1e-3), optax.adam(0.01, 0.85, 0.99)),
    ),
    "adamw": (
        {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
        optax.adamw(0.01, weight_decay=0.1),
    ),
    "as nnU-Net": (
        {
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "momentum": 0.99,
            "weight_decay": 3e-5,
            "schedule": "poly",
            "gradient_clip": 0.5,
        },
        optax.chain(
            optax.clip_by_global_norm(0.5),
            optax.add_decayed_weights(3e-5),
            optax.sgd(optax.polynomial_schedule(0.01, 0.0, 0.9, 4 * 3), momentum=0.99, nesterov=True),
        ),
    ),
}


@mostly_thorough("name", OPTIMIZERS, kept=("sgd",))
def test_a_lane_is_the_plain_loop(name: str):
    hparams, optimizer = OPTIMIZERS[name]
    run = tiny.run_config(training__gradient_clip=hparams.get("gradient_clip", 0.0))
    cohort = tiny.cohort()
    fit = tiny.fit(run, (0, 1), epochs=3, **hparams)
    records, payloads, _ = tiny.train([fit], run, cohort)
    losses, logits = plain_loop(fit, cohort, optimizer, np.arange(tiny.CASES)[None])
    np.testing.assert_allclose(np.asarray(records[fit.id].training_loss, float), losses, rtol=2e-4)
    from safetensors.numpy import load

    ours = load(payloads[fit.id]["logits.safetensors"])["logits"]
    assert cohort.table.folds is not None
    assert len(ours) == int((cohort.table.folds <= 1).sum())
    np.testing.assert_allclose(ours[-len(logits) :], logits, rtol=5e-3, atol=5e-3)


@pytest.mark.thorough
def test_a_lane_goes_through_windows_as_the_plain_loop_does():
    hparams, optimizer = OPTIMIZERS["adam"]
    run, cohort = tiny.run_config(data__window=40, training__batch_size=8), tiny.cohort()
    fit = tiny.fit(run, (0, 1), epochs=3, **hparams)
    windows = divide(tiny.CASES, 40, run.seed)
    losses, _ = plain_loop(fit, cohort, optimizer, windows.cases.reshape(windows.count, -1))
    records, _, _ = tiny.train([fit], run, cohort)
    np.testing.assert_allclose(np.asarray(records[fit.id].training_loss, float), losses, rtol=2e-4)


@pytest.mark.thorough
def test_training_learns():
    run, cohort = tiny.run_config(training__epochs=12, training__patience=12), tiny.cohort()
    fit = tiny.fit(run)
    records, _, _ = tiny.train([fit], run, cohort)
    curve = records[fit.id].curves[0]
    assert curve.score[-1] is not None
    assert curve.score[-1] > 0.7
    assert curve.loss[-1] < curve.loss[0]  # pyrefly: ignore[unsupported-operation]
