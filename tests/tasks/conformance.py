"""The contract of a task as checks that any author can call: `check(TASK, columns)` in a test.

Raises AssertionError with what is broken. It knows nothing of the problem: whether a loss is the right one is
for tests of the task itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from nachos_jax.core.hparams import OPTIMISATION, REGULARISATION
from nachos_jax.core.types import HParams
from nachos_jax.data.columns import Columns
from nachos_jax.data.targets import Targets
from nachos_jax.tasks.task import Cases, ConvexTask, DeviceTask, Setting, Task, Told

SHAPE = (6, 5, 1)
"""Of the images that the device side is tried on."""
WEIGHTED = {"class_weight_exponent": 1.0}
"""Without it, weights of classes are 1 whatever they are counted from."""


@dataclass(frozen=True)
class Sample:
    """What the cases of a task are tried on, if not on images of one shape.

    Attributes:
        shape: of the store.
        rows: cases [n] int32 -> their inputs, as `Store.rows` gives them.
        seen: [N, S] float32 that the network may have given of the cases.
    """

    shape: tuple[int, ...]
    rows: Callable[[np.ndarray], Any]
    seen: np.ndarray | None = None


def images(count: int) -> Sample:
    """Random images."""
    found = np.random.default_rng(0).normal(size=(count, *SHAPE)).astype(np.float32)
    return Sample(SHAPE, found.__getitem__)


def check(task: Task, columns: Columns, names: Sequence[str] = (), sample: Sample | None = None) -> None:
    """Holds a task against `nachos_jax.tasks.task`.

    Args:
        task: the task.
        columns: at least 8 cases with valid targets.
        names: config.data.classes, if the task needs them.
        sample: what it is tried on; random images unless it needs something else.

    Raises:
        AssertionError: it breaks the contract; the message says where.
    """
    targets = task.targets(columns, names)
    hparams = {row.name: row.default for row in task.hyperparameters if row.default is not None}
    _check_targets(targets, len(columns.names))
    _check_part(task, targets)
    _check_told(task, targets, hparams)
    sample = sample or images(len(targets))
    shape = task.network_shape(sample.shape, hparams)
    assert shape[-1] == sample.shape[-1], "network_shape: the channels of the store"
    device = task.device(targets.names, hparams, Setting(shape))
    assert task.device(targets.names, hparams).seen == device.seen, "seen: whatever the shape"
    _check_device(device, task, targets, hparams, sample)
    _check_host(task, device, targets, sample)


def _check_targets(targets: Targets, cases: int) -> None:
    assert len(targets) == cases == len(targets.values), "one target a case"
    assert targets.names, "names of what is predicted"
    assert targets.has.shape[0] == cases, "has: one row a case"
    assert targets.has.shape[1] in (0, len(targets.names)), "has: one column a name, or none"
    numbers = targets.strata.numbers
    assert numbers.shape == (cases,), "one stratum a case"
    assert 0 <= numbers.min() <= numbers.max() < len(targets.strata.names), "strata within their names"
    assert len(targets.texts()) == cases, "one text a case"
    json.dumps(dict(targets.facts), allow_nan=False)
    order = np.arange(cases)[::-1]
    np.testing.assert_array_equal(targets.of(order).values, targets.values[order])


def _check_part(task: Task, targets: Targets) -> None:
    rows = np.arange(1, len(targets))
    other = targets.values.copy()
    other[0] = other[-1]
    found, again = (task.part(one, rows) for one in (targets, replace(targets, values=other)))
    _check_targets(found, len(rows))
    np.testing.assert_array_equal(found.values, targets.values[rows], err_msg="part: other targets")
    for name, value, wanted in (
        ("values", found.values, again.values),
        ("strata", found.strata.numbers, again.strata.numbers),
        ("has", found.has, again.has),
    ):
        np.testing.assert_array_equal(value, wanted, err_msg=f"part: {name} of cases that are left out")
    assert found.facts == again.facts, "part: facts of cases that are left out"


def _check_told(task: Task, targets: Targets, hparams: HParams) -> None:
    cases = len(targets)
    training = np.arange(cases) % 4 != 0
    told = task.told(targets, training, hparams)
    none = task.told(targets, np.zeros(cases, bool), hparams)
    assert {k: np.shape(v) for k, v in told.items()} == {k: np.shape(v) for k, v in none.items()}, (
        "told: the same shapes whatever is trained on"
    )
    assert all(np.asarray(value).dtype == np.float32 for value in told.values()), "told: float32"
    assert set(task.kept(hparams)) <= set(told), "kept: names that are told"
    unit = task.watched_unit(targets, training, hparams)
    assert unit is None or unit > 0, "watched_unit: a factor, or None"
    spoilt = targets.values.copy()
    spoilt[~training] = spoilt[training][0]
    other, weighted = replace(targets, values=spoilt), {**hparams, **WEIGHTED}
    for own in (hparams, weighted):
        again = task.told(other, training, own)
        for name, value in task.told(targets, training, own).items():
            np.testing.assert_array_equal(
                value, again[name], err_msg=f"told {name}: reads cases that are held out"
            )
    _check_case_weights(task, targets, other, training, weighted)


def _check_case_weights(
    task: Task, targets: Targets, other: Targets, training: np.ndarray, hparams: HParams
) -> None:
    """`other` are the same targets, but for those of held cases."""
    found, again = (task.case_weights(one, training, hparams) for one in (targets, other))
    assert (found is None) == (again is None), "case_weights: None whatever is held out"
    if found is None or again is None:
        return
    assert len(found) == training.sum(), "case_weights: a row a training case"
    assert np.isfinite(found).all(), "case_weights: finite"
    np.testing.assert_array_equal(found, again, err_msg="case_weights: reads cases that are held out")


def _check_device(device: DeviceTask, task: Task, targets: Targets, hparams: HParams, sample: Sample) -> None:
    assert device.outputs >= 1, "outputs: width of the head"
    assert device.seen >= 1, "seen: numbers kept of a case"
    assert 256 % device.held_batch == 0, "held_batch: a divisor of 256"
    cases, told, apply = _on_device(device, task, targets, hparams, sample)
    rows, key = jnp.arange(4, dtype=jnp.int32), jax.random.key(0)
    inputs, wanted = jax.jit(lambda r, key: device.batch(cases, r, told, key, frozenset()))(rows, key)
    outputs = jax.jit(apply)(inputs)
    loss, slope = jax.jit(jax.value_and_grad(lambda x: device.loss(x, wanted, told)))(outputs)
    assert (loss.shape, loss.dtype) == ((), jnp.float32), "loss: a float32 scalar"
    assert bool(jnp.isfinite(loss)), "loss: finite"
    assert bool(jnp.isfinite(slope).all()), "loss: finite gradient"
    seen = jax.jit(lambda r: device.observe(apply, cases, r, told))(rows)
    assert (seen.shape, seen.dtype) == ((4, device.seen), jnp.float32), "observe: [B, S] float32"
    others = jax.jit(lambda r: device.observe(apply, cases, r, told))(jnp.asarray([0, 7, 2, 7], jnp.int32))
    np.testing.assert_allclose(
        others[::2], seen[::2], rtol=1e-5, atol=1e-6, err_msg="observe: reads other cases of its batch"
    )
    given = jax.tree.map(jnp.asarray, sample.rows(np.arange(4, dtype=np.int32)))
    new = jax.jit(lambda given: device.predict(apply, given, told))(given)
    np.testing.assert_allclose(new, seen, rtol=1e-5, atol=1e-6, err_msg="predict and observe differ")
    if getattr(device, "convex", False):
        _check_total(cast("ConvexTask", device), outputs, wanted, told)
        _check_bound(cast("ConvexTask", device), outputs, wanted, told)
    two = jax.jit(jax.vmap(lambda x: device.loss(x, wanted, told)))(jnp.stack([outputs, outputs]))
    np.testing.assert_allclose(two, loss, rtol=1e-5, err_msg="loss: lanes differ from a fit alone")


def _check_total(device: ConvexTask, outputs: jax.Array, wanted: jax.Array, told: Told) -> None:
    total_of = jax.jit(lambda chosen: device.total(outputs, wanted, chosen, told))
    loss_of = jax.jit(lambda rows: device.loss(outputs[rows], wanted[rows], told))
    for chosen in ([True] * 4, [True, False, False, True]):
        total, weight = total_of(jnp.asarray(chosen))
        loss = loss_of(np.flatnonzero(chosen))
        np.testing.assert_allclose(
            total / weight, loss, rtol=1e-5, err_msg="total: not the loss of those chosen"
        )


def _check_bound(device: ConvexTask, outputs: jax.Array, wanted: jax.Array, told: Told) -> None:
    chosen = jnp.asarray([True, False, True, True])
    bound = device.bound(wanted, chosen, told)
    assert (bound.shape, bound.dtype) == ((4,), jnp.float32), "bound: a float32 number a case"
    second = jax.jit(jax.hessian(lambda x: device.total(x, wanted, chosen, told)[0]))
    for scale in (0.0, 1.0, 10.0):
        every = second(scale * outputs)
        curved = device.curved(scale * outputs, wanted, chosen, told)
        assert (curved.shape, curved.dtype) == ((4,), jnp.float32), "curved: a float32 number a case"
        for k in range(4):
            own = np.asarray(every[k, :, k], np.float64)
            assert np.linalg.eigvalsh(own)[-1] <= float(bound[k]) + 1e-6, (
                "bound: a second derivative is larger"
            )
            mean = np.trace(own) / device.outputs
            np.testing.assert_allclose(curved[k], mean, rtol=1e-3, atol=1e-6, err_msg="curved: another mean")


def _on_device(device: DeviceTask, task: Task, targets: Targets, hparams: HParams, sample: Sample) -> tuple:
    """Cases, what a fit is told, and a network of one random linear layer, of the case or of each pixel."""
    draw, shape = np.random.default_rng(0), task.network_shape(sample.shape, hparams)
    inputs = shape[-1] if task.masks else np.prod(shape)
    weights = jnp.asarray(draw.normal(size=(inputs, device.outputs)).astype(np.float32)) * 0.1
    traced = {row.name: jnp.float32(0.0) for row in (*OPTIMISATION, *task.hyperparameters, *REGULARISATION)}
    own = task.told(targets, np.ones(len(targets), bool), hparams)
    channel = jnp.zeros(shape[-1]), jnp.ones(shape[-1])
    told = Told(*channel, {name: jnp.asarray(value) for name, value in own.items()}, traced)
    every = sample.rows(np.arange(len(targets), dtype=np.int32))
    cases = Cases(jax.tree.map(jnp.asarray, every), jnp.asarray(targets.on_device))
    return cases, told, lambda x: (x if task.masks else x.reshape(len(x), -1)) @ weights


def _check_host(task: Task, device: DeviceTask, targets: Targets, sample: Sample) -> None:
    cases, seen = len(targets), sample.seen
    if seen is None:
        seen = np.random.default_rng(1).normal(size=(cases, device.seen)).astype(np.float32)
    for metric, row in task.metrics.items():
        loss, score = task.watched(metric, seen, targets)
        assert np.isfinite(loss), "watched: finite loss of finite numbers"
        assert score is None or isinstance(score, float), f"watched: {metric} is a number or None"
        _check_redrawn(task, metric, seen, targets)
        assert row.turned(row.turned(1.5)) == 1.5, "turned: turning again gives the value back"
        assert isinstance(task.undefined(metric, targets), str)
    assert task.undefined(task.headline, targets) == "", "headline: defined for all cases together"
    with np.errstate(invalid="ignore"):
        loss, score = task.watched(task.headline, np.full_like(seen, np.nan), targets)
    assert np.isnan(loss), "watched: NaN where the network met NaN"
    assert score is None, "watched: None where the network met NaN"
    tested = task.tested(seen, targets)
    assert {len(array) for array in tested.arrays.values()} == {cases}, "tested: arrays with a row a case"
    assert set(tested.values) <= set(task.metrics), "tested: values are metrics"
    predicted = task.predicted(seen)
    header, rows = task.table(predicted, targets.names)
    assert len(rows) == cases, "table: a row a case"
    assert {len(row) for row in rows} == {len(header)}, "table: a cell a column"


def _check_redrawn(task: Task, metric: str, seen: np.ndarray, targets: Targets) -> None:
    cases = np.arange(len(targets))
    drawn = np.random.default_rng(2).integers(0, len(cases), (5, len(cases)))
    counts = np.stack([np.bincount(row, minlength=len(cases)) for row in drawn])
    counts[0] = 1
    repeated = [np.repeat(cases, row) for row in counts]
    wanted = [task.watched(metric, seen[rows], targets.of(rows))[1] for rows in repeated]
    values = np.array([np.nan if value is None else value for value in wanted])
    np.testing.assert_array_equal(
        task.redrawn(metric, seen, targets, counts), values, err_msg=f"redrawn: {metric} of repeated cases"
    )
