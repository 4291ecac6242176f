"""ONE fit, whole, as pure functions: init, training epoch, prediction. No vmap, no jit, no sharding.

`epoch` is what a lane does between two boundaries; engine/program.py runs many of it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from nachos_jax.core import rng
from nachos_jax.core.rng import Purpose
from nachos_jax.engine import optimizer, pretrained, schedule, solving
from nachos_jax.engine.bases import Solvable
from nachos_jax.engine.pretrained import Factors
from nachos_jax.models import joined
from nachos_jax.models.blocks import Convex, Frozen, Mode, evaluation
from nachos_jax.tasks.task import Cases, DeviceTask, Told


@dataclass(frozen=True)
class LaneSpec:
    """What all fits of a bucket share; constants of the compiled program."""

    build: Callable[[nnx.Rngs], nnx.Module]  # keys -> network
    task: DeviceTask  # what is predicted
    batch_size: int  # cases a training step
    family: str  # optimiser family, see engine/optimizer.py
    augmentations: frozenset[str]  # names compiled in
    dropout: bool  # whether any fit drops units; False compiles nothing in
    horizon: int  # epochs at which the cosine and poly schedules end
    predict_batch: int  # cases a prediction step
    window: int  # rows that are shuffled together, see engine/windows.py
    frozen: Any  # weights of the network that no lane trains, nested dictionaries of arrays; {} without
    bfloat16: bool = False  # whether convolutions are computed in it
    balanced: bool = False  # whether any fit draws rare classes more often; False compiles nothing in
    clip: bool = False  # whether any fit limits the norm of its gradients; False compiles nothing in
    quick: bool = False  # whether a processor's code is to be made in less time, see engine/program.py
    convex: Convex | None = None  # what makes the network one that is solved, see engine/solving.py
    pretrained: Any = field(
        default_factory=dict
    )  # {"params", "stats"} that every fit starts from; {} = drawn
    factors: Factors | None = None  # what multiplies the learning rate of some parameters


class Shared(NamedTuple):
    """What all lanes look at: passed once, not stacked."""

    cases: Cases  # on the device
    frozen: Any  # weights of the network that no lane trains, as nested dictionaries; {} without


class LaneState(NamedTuple):
    """What a fit carries from step to step: parameters, batch statistics, optimiser state."""

    params: Any
    stats: Any
    moments: Any


class LaneInput(NamedTuple):
    """What a lane is told before an epoch."""

    streams: Any  # [purposes, 2] uint32, names the fit's random numbers
    epoch: Any  # int32 scalar, epochs done
    training: Any  # [rows] bool, rows of all windows to train on
    steps: Any  # int32 scalar, training steps an epoch; 0 in an idle lane
    mean: Any  # [C] float32, mean of the training inputs by channel
    sd: Any  # [C] float32, their standard deviation
    task: dict[str, Any]  # what the task tells, see `nachos_jax.tasks.task.Task.told`
    held: Any  # [E] int32, rows to predict after the epoch, padded at the end
    n_held: Any  # int32 scalar, how many of them are real; 0 predicts nothing
    traced: dict[str, Any]  # hyperparameters that keep shapes, float32 scalars
    fill: Any = None  # [C] float32, what stands for missing values; None where none may be missing
    fallen: Any = np.float32(1.0)  # float32 scalar, see `schedule.fallen_to`
    solved: Solvable | None = None  # the training cases of what is solved; None of what trains in steps

    @property
    def fit(self) -> Told:
        """What the task's device functions are told."""
        return Told(self.mean, self.sd, self.task, self.traced, self.fill)


class Progress(NamedTuple):
    """A fit within an epoch."""

    state: LaneState  # so far
    loss: Any  # float32 scalar, training loss summed over steps
    step: Any  # int32 scalar, steps of this epoch done


class LaneOutput(NamedTuple):
    """What an epoch yields: mean training loss, and what was seen of the held cases, [E, S]."""

    training_loss: jax.Array
    seen: jax.Array


def epoch(spec: LaneSpec, shared: Shared, state: LaneState, told: LaneInput) -> tuple[LaneState, LaneOutput]:
    """One epoch of one fit: train, then predict the held cases."""
    state, loss = train(spec, shared, state, told)
    return state, LaneOutput(loss, predict(spec, shared, state, told))


def init(spec: LaneSpec, first: Any, told: LaneInput) -> LaneState:
    """Fresh weights; a function of the fit's random streams alone, and of those that all fits start from.

    Args:
        spec: what the lanes share.
        first: its `pretrained`, on the device.
        told: the lane's input.
    """
    params, stats, _ = parts(spec.build(nnx.Rngs(rng.key(told.streams, Purpose.INIT, 0))))
    if first:
        params, stats = ({**drawn, **first[group]} for group, drawn in (("params", params), ("stats", stats)))
    return LaneState(params, stats, _moments(spec, params))


def train(spec: LaneSpec, shared: Shared, state: LaneState, told: LaneInput) -> tuple[LaneState, jax.Array]:
    """All training steps of an epoch, window after window; returns the mean loss too."""
    if spec.convex is not None:
        params, solved = solving.solve(spec, shared, state.params, state.moments, told)
        return LaneState(params, state.stats, solved), solved.loss
    progress = Progress(state, jnp.float32(0.0), jnp.int32(0))
    windows = told.training.shape[0] // spec.window
    if windows == 1:
        progress = train_window(spec, shared, progress, told, jnp.int32(0), jnp.int32(0))
    else:

        def one(i: jax.Array, so_far: Progress) -> Progress:
            return train_window(spec, shared, so_far, told, i, i * spec.window)

        progress = lax.fori_loop(0, windows, one, progress)
    return progress.state, mean_loss(progress)


def train_window(
    spec: LaneSpec, shared: Shared, progress: Progress, told: LaneInput, window: jax.Array, first: jax.Array
) -> Progress:
    """The training steps of one window, whose last short batch is left out.

    Args:
        spec: what the lanes share.
        shared: its cases hold the rows of the window.
        progress: before.
        told: the lane's input.
        window: int32 scalar, number of the window.
        first: int32 scalar, place of the window's first row in the cases.
    """
    chosen = lax.dynamic_slice(told.training, (window * spec.window,), (spec.window,))
    order = shuffled(spec, told, chosen, window)
    if spec.balanced:
        targets = lax.dynamic_slice_in_dim(shared.cases.targets, first, spec.window)
        often = spec.task.draws(targets, chosen, told.fit)  # pyrefly: ignore[missing-attribute]
        drawn = balanced(spec, told, often, order, window)
        order = jnp.where(told.traced["balanced_sampling"] > 0, drawn, order)
    order = first + order

    def step(i: jax.Array, so_far: Progress) -> Progress:
        batch = lax.dynamic_slice(order, (i * spec.batch_size,), (spec.batch_size,))
        number = told.epoch * told.steps + so_far.step
        state, loss = train_step(spec, shared, so_far.state, told, batch, number)
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


def balanced(
    spec: LaneSpec, told: LaneInput, often: jax.Array, order: jax.Array, window: jax.Array
) -> jax.Array:
    """[window rows] int32: as many rows as are chosen, each as often as it should be drawn, then any others.

    Systematic sampling (Madow and Madow 1944): a row comes the whole number of times next below or above its
    share, so that with equal shares each comes once. Places are those of `order`, the rows shuffled.

    Args:
        spec: what the lanes share.
        told: the lane's input.
        often: [window rows] float32, how often a row is drawn beside others; 0 where it is not chosen.
        order: [window rows] int32, of `shuffled`.
        window: int32 scalar, number of the window.
    """
    windows = told.training.shape[0] // spec.window
    key = rng.key(told.streams, Purpose.DRAW, told.epoch * windows + window)
    often = often[order]  # in random order, so that equal shares round alike for all
    count = jnp.sum(often > 0, dtype=jnp.int32)
    sums = jnp.cumsum(often)
    ends = sums * (count.astype(jnp.float32) / jnp.maximum(sums[-1], 1e-30))
    places = jnp.arange(spec.window, dtype=jnp.float32) + jax.random.uniform(key)
    found = jnp.searchsorted(ends, places, side="right")
    drawn = order[jnp.minimum(found, jnp.maximum(count, 1) - 1)]
    again = jax.random.uniform(jax.random.fold_in(key, 1), (spec.window,))
    return drawn[jnp.argsort(jnp.where(jnp.arange(spec.window) < count, again, 2.0))]


def train_step(
    spec: LaneSpec, shared: Shared, state: LaneState, told: LaneInput, batch: jax.Array, step: jax.Array
) -> tuple[LaneState, jax.Array]:
    """One gradient step on the cases [B] of a batch; step counts over the whole fit."""
    key = rng.key(told.streams, Purpose.AUGMENT, step)
    inputs, targets = spec.task.batch(shared.cases, batch, told.fit, key, spec.augmentations)

    def objective(params: Any) -> tuple[jax.Array, Any]:
        outputs, stats = _apply(spec, (params, state.stats, shared.frozen), inputs, told, step)
        return spec.task.loss(outputs, targets, told.fit), stats

    (loss, stats), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
    factors = spec.factors and pretrained.factors(spec.factors, state.params, told.traced, told.epoch)
    if factors:
        gradients = pretrained.only_trained(gradients, factors)
    if spec.clip:
        gradients = optimizer.clipped(gradients, told.traced["gradient_clip"])
    learning_rate = schedule.rate(step, told.steps, float(spec.horizon), told.traced, told.fallen)
    rates: Any = jax.tree.map(lambda f: learning_rate * f, factors) if factors else learning_rate
    plain = None
    if spec.factors and spec.family == "adam" and "tuned.head_epochs" in told.traced:
        plain, rates = rates, pretrained.released(rates, spec.factors, told.traced, step, told.steps)
    params, moments = optimizer.update(
        spec.family, gradients, state.moments, state.params, rates, told.traced, plain
    )
    return LaneState(params, stats, moments), loss


def predict(spec: LaneSpec, shared: Shared, state: LaneState, told: LaneInput) -> jax.Array:
    """[E, S] float32 seen of the held cases; rows from n_held on mean nothing."""
    size = spec.predict_batch

    def apply(inputs: Any) -> jax.Array:
        network = nnx.merge(graph(spec.build), state.params, state.stats, shared.frozen)
        return joined.outputs(network, inputs, evaluation(told.traced))

    def chunk(i: jax.Array, seen: jax.Array) -> jax.Array:
        # Tied to i, or a single chunk would be predicted before the loop, needed or not.
        batch, _ = lax.optimization_barrier((lax.dynamic_slice(told.held, (i * size,), (size,)), i))
        part = spec.task.observe(apply, shared.cases, batch, told.fit)
        return lax.dynamic_update_slice(seen, part, (i * size, 0))

    chunks = (told.n_held + size - 1) // size
    seen = jnp.zeros((told.held.shape[0], spec.task.seen), jnp.float32)
    return lax.fori_loop(0, chunks, chunk, seen)


def abstract_state(spec: LaneSpec) -> LaneState:
    """Shapes and dtypes of a lane's state."""
    params, stats, _ = parts(nnx.eval_shape(lambda: spec.build(nnx.Rngs(0))))
    return LaneState(params, stats, jax.eval_shape(lambda p: _moments(spec, p), params))


def _moments(spec: LaneSpec, params: Any) -> Any:
    return optimizer.init(spec.family, params) if spec.convex is None else solving.init()


def parts(network: nnx.Module) -> tuple[Any, Any, Any]:
    """Parameters, batch statistics and frozen weights of a network, as nested dictionaries of arrays."""
    _, *groups = nnx.split(network, nnx.Param, nnx.BatchStat, Frozen)
    params, stats, frozen = map(nnx.to_pure_dict, groups)
    return params, stats, frozen


def graph(build: Callable[[nnx.Rngs], nnx.Module]) -> Any:
    """What is left of a network without its arrays; `nnx.merge` puts all together again."""
    return nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))), nnx.Param, nnx.BatchStat, Frozen)[0]


def _apply(
    spec: LaneSpec, weights: tuple[Any, Any, Any], inputs: Any, told: LaneInput, step: jax.Array
) -> tuple[jax.Array, Any]:
    network = nnx.merge(graph(spec.build), *weights)
    rate = told.traced["dropout"] if spec.dropout else 0.0
    key = rng.key(told.streams, Purpose.DROPOUT, step) if spec.dropout else rng.unused()
    outputs = joined.outputs(network, inputs, Mode(True, rate, key, told.traced))
    return outputs, parts(network)[1]
