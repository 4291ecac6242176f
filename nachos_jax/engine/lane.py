"""ONE fit, whole, as pure functions: init, training epoch, prediction. No vmap, no jit, no sharding.

`epoch` is what a lane does between two boundaries; engine/program.py runs many of it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from nachos_jax.core import rng
from nachos_jax.core.rng import Purpose
from nachos_jax.data.augment import augment
from nachos_jax.engine import optimizer, schedule
from nachos_jax.tasks import classification as task


@dataclass(frozen=True)
class LaneSpec:
    """What all fits of a bucket share; constants of the compiled program.

    Attributes:
        build: keys -> network.
        classes: C.
        batch_size: cases a training step.
        family: optimiser family, see engine/optimizer.py.
        augmentations: names compiled in.
        dropout: whether any fit drops units; False compiles nothing in.
        horizon: epochs at which the cosine schedule ends.
        predict_batch: cases a prediction step.
        window: rows that are shuffled together, see engine/windows.py.
    """

    build: Callable[[nnx.Rngs], nnx.Module]
    classes: int
    batch_size: int
    family: str
    augmentations: frozenset[str]
    dropout: bool
    horizon: int
    predict_batch: int
    window: int


class Cases(NamedTuple):
    """Cases on a device, row by row: all of them, or those of one window.

    Attributes:
        images: [rows, H, W, C] stored dtype.
        labels: [rows] int32.
    """

    images: Any
    labels: Any


class LaneState(NamedTuple):
    """What a fit carries from step to step: parameters, batch statistics, optimiser state."""

    params: Any
    stats: Any
    moments: Any


class LaneInput(NamedTuple):
    """What a lane is told before an epoch.

    Attributes:
        streams: [purposes, 2] uint32, names the fit's random numbers.
        epoch: int32 scalar, epochs done.
        training: [rows] bool, rows of all windows to train on.
        steps: int32 scalar, training steps an epoch; 0 in an idle lane.
        mean: [C] float32, pixel mean of the training cases.
        sd: [C] float32, pixel standard deviation of the training cases.
        class_weights: [classes] float32.
        held: [E] int32, rows to predict after the epoch, padded at the end.
        n_held: int32 scalar, how many of them are real; 0 predicts nothing.
        traced: hyperparameters that keep shapes, float32 scalars.
    """

    streams: Any
    epoch: Any
    training: Any
    steps: Any
    mean: Any
    sd: Any
    class_weights: Any
    held: Any
    n_held: Any
    traced: dict[str, Any]


class Progress(NamedTuple):
    """A fit within an epoch.

    Attributes:
        state: so far.
        loss: float32 scalar, training loss summed over steps.
        step: int32 scalar, steps of this epoch done.
    """

    state: LaneState
    loss: Any
    step: Any


class LaneOutput(NamedTuple):
    """What an epoch yields: mean training loss, and [E, classes] logits of the held cases."""

    training_loss: jax.Array
    logits: jax.Array


def epoch(spec: LaneSpec, cases: Cases, state: LaneState, told: LaneInput) -> tuple[LaneState, LaneOutput]:
    """One epoch of one fit: train, then predict the held cases."""
    state, loss = train(spec, cases, state, told)
    return state, LaneOutput(loss, predict(spec, cases, state, told))


def init(spec: LaneSpec, told: LaneInput) -> LaneState:
    """Fresh weights; a function of the fit's random streams alone."""
    params, stats = parts(spec.build(nnx.Rngs(rng.key(told.streams, Purpose.INIT, 0))))
    return LaneState(params, stats, optimizer.init(spec.family, params))


def train(spec: LaneSpec, cases: Cases, state: LaneState, told: LaneInput) -> tuple[LaneState, jax.Array]:
    """All training steps of an epoch, window after window; returns the mean loss too."""
    progress = Progress(state, jnp.float32(0.0), jnp.int32(0))
    windows = told.training.shape[0] // spec.window
    if windows == 1:
        progress = train_window(spec, cases, progress, told, jnp.int32(0), jnp.int32(0))
    else:

        def one(i: jax.Array, so_far: Progress) -> Progress:
            return train_window(spec, cases, so_far, told, i, i * spec.window)

        progress = lax.fori_loop(0, windows, one, progress)
    return progress.state, mean_loss(progress)


def train_window(
    spec: LaneSpec, cases: Cases, progress: Progress, told: LaneInput, window: jax.Array, first: jax.Array
) -> Progress:
    """The training steps of one window.

    Args:
        spec: what the lanes share.
        cases: hold the rows of the window.
        progress: before.
        told: the lane's input.
        window: int32 scalar, number of the window.
        first: int32 scalar, place of the window's first row in `cases`.

    Returns:
        Progress after the window; its last short batch is left out.
    """
    chosen = lax.dynamic_slice(told.training, (window * spec.window,), (spec.window,))
    order = first + shuffled(spec, told, chosen, window)

    def step(i: jax.Array, so_far: Progress) -> Progress:
        batch = lax.dynamic_slice(order, (i * spec.batch_size,), (spec.batch_size,))
        number = told.epoch * told.steps + so_far.step
        state, loss = train_step(spec, cases, so_far.state, told, batch, number)
        return Progress(state, so_far.loss + loss, so_far.step + 1)

    return lax.fori_loop(0, jnp.sum(chosen, dtype=jnp.int32) // spec.batch_size, step, progress)


def mean_loss(progress: Progress) -> jax.Array:
    """Mean training loss of an epoch, float32 scalar (or [L]); 0 without steps."""
    return progress.loss / jnp.maximum(progress.step, 1).astype(jnp.float32)


def shuffled(spec: LaneSpec, told: LaneInput, chosen: jax.Array, window: jax.Array) -> jax.Array:
    """[window rows] int32: the rows chosen ([window rows] bool) in this epoch's order, then all others."""
    windows = told.training.shape[0] // spec.window
    key = rng.key(told.streams, Purpose.ORDER, told.epoch * windows + window)
    draws = jax.random.uniform(key, chosen.shape)
    return jnp.argsort(jnp.where(chosen, draws, 2.0), stable=True).astype(jnp.int32)


def train_step(
    spec: LaneSpec, cases: Cases, state: LaneState, told: LaneInput, batch: jax.Array, step: jax.Array
) -> tuple[LaneState, jax.Array]:
    """One gradient step on the cases [B] of a batch; step counts over the whole fit."""
    images, labels = normalised(cases, told, batch), cases.labels[batch]
    if spec.augmentations:
        key = rng.key(told.streams, Purpose.AUGMENT, step)
        images = augment(images, told.traced, key, spec.augmentations)

    def objective(params: Any) -> tuple[jax.Array, Any]:
        logits, stats = _apply(spec, params, state.stats, images, told, step)
        return task.loss(logits, labels, told.class_weights, told.traced["label_smoothing"]), stats

    (loss, stats), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
    learning_rate = schedule.rate(step, told.steps, float(spec.horizon), told.traced)
    params, moments = optimizer.update(
        spec.family, gradients, state.moments, state.params, learning_rate, told.traced
    )
    return LaneState(params, stats, moments), loss


def predict(spec: LaneSpec, cases: Cases, state: LaneState, told: LaneInput) -> jax.Array:
    """[E, classes] float32 logits of the held cases; rows beyond n_held are 0."""
    size = spec.predict_batch

    def chunk(i: jax.Array, logits: jax.Array) -> jax.Array:
        # Tied to i, or a single chunk would be predicted before the loop, needed or not.
        batch, _ = lax.optimization_barrier((lax.dynamic_slice(told.held, (i * size,), (size,)), i))
        network = nnx.merge(graph(spec.build), state.params, state.stats)
        part = network(normalised(cases, told, batch), False, 0.0, rng.unused())  # type: ignore[operator]
        return lax.dynamic_update_slice(logits, part, (i * size, 0))

    chunks = (told.n_held + size - 1) // size
    logits = jnp.zeros((told.held.shape[0], spec.classes), jnp.float32)
    return lax.fori_loop(0, chunks, chunk, logits)


def normalised(cases: Cases, told: LaneInput, batch: jax.Array) -> jax.Array:
    """[B, H, W, C] float32 pixels of the cases in a batch, training mean 0 and SD 1."""
    pixels = cases.images[batch].astype(jnp.float32)
    return (pixels - told.mean[None, None, None]) / told.sd[None, None, None]


def abstract_state(spec: LaneSpec) -> LaneState:
    """Shapes and dtypes of a lane's state."""
    params, stats = parts(nnx.eval_shape(lambda: spec.build(nnx.Rngs(0))))
    return LaneState(params, stats, jax.eval_shape(lambda p: optimizer.init(spec.family, p), params))


def parts(network: nnx.Module) -> tuple[Any, Any]:
    """Parameters and batch statistics of a network, as nested dictionaries of arrays."""
    _, params, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
    return nnx.to_pure_dict(params), nnx.to_pure_dict(stats)


def graph(build: Callable[[nnx.Rngs], nnx.Module]) -> Any:
    """What is left of a network without its arrays; `nnx.merge` puts both together again."""
    return nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))), nnx.Param, nnx.BatchStat)[0]


def _apply(
    spec: LaneSpec, params: Any, stats: Any, images: jax.Array, told: LaneInput, step: jax.Array
) -> tuple[jax.Array, Any]:
    network = nnx.merge(graph(spec.build), params, stats)
    rate = told.traced["dropout"] if spec.dropout else 0.0
    key = rng.key(told.streams, Purpose.DROPOUT, step) if spec.dropout else rng.unused()
    logits = network(images, True, rate, key)  # type: ignore[operator]
    return logits, parts(network)[1]
