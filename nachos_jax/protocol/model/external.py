"""The one test of each model on the external cases, by the networks of the estimate and of deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from safetensors.numpy import load

from nachos_jax.core.types import digest
from nachos_jax.data.store import Store
from nachos_jax.data.table import Cohort
from nachos_jax.metrics.components import Largest
from nachos_jax.models import joined
from nachos_jax.models import registry as models
from nachos_jax.protocol.model import external_baselines, networks, tested_masks
from nachos_jax.protocol.model.networks import Architecture, Predicted, Weights
from nachos_jax.protocol.model.segmenter import together
from nachos_jax.protocol.model.tested_masks import WHOLE
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.external import ExternalTest
from nachos_jax.records.schema import FitRecord
from nachos_jax.records.store import study_name
from nachos_jax.runtime import stopping
from nachos_jax.tasks import registry as tasks

BATCH = 256
"""Cases that are predicted together."""


def test_folds(run: Run) -> None:
    """Tests the external cases with the refit of each tested outer fold that has not met them yet.

    Raises:
        UsageError: the weights of a refit are missing or damaged.
    """
    if run.cohort.outside is None:
        return
    for test in run.store.tests():
        name = study_name(test.outer_fold)
        record = run.store.fit(test.fit)
        if record is not None and not run.store.external_path(name).exists():
            run.store.commit_external_test(name, _tested(run, run.cohort.outside, name, [record]))


def test_deployed(run: Run, records: Sequence[FitRecord], kept: Largest) -> None:
    """Tests the external cases with a deployed model, unless this very model has met them.

    Args:
        run: the run.
        records: the networks of the model.
        kept: the components that stay of its masks.

    Raises:
        UsageError: as `test_folds`.
    """
    if run.cohort.outside is None:
        return
    name = f"model_{digest([record.fit for record in records])}"
    if not run.store.external_path(name).exists():
        run.store.commit_external_test(name, _tested(run, run.cohort.outside, "deploy", records, kept))


def _tested(
    run: Run, outside: Cohort, model: str, records: Sequence[FitRecord], kept: Largest = WHOLE
) -> ExternalTest:
    if tasks.of(run.config.task).masks:
        arrays = _of_masks(run, outside, records, kept, shipped=model == "deploy")
    else:
        arrays = _of_numbers(run, outside, records)
    return ExternalTest(model, tuple(record.fit for record in records), outside.hash, arrays)


def _of_numbers(run: Run, outside: Cohort, records: Sequence[FitRecord]) -> Mapping[str, np.ndarray]:
    """The mean of what the networks predict, beside the truth."""
    task = tasks.of(run.config.task)
    each = [task.tested(_seen(run, outside, record), outside.targets).arrays for record in records]
    return _mean(each)


def _of_masks(
    run: Run, outside: Cohort, records: Sequence[FitRecord], kept: Largest, shipped: bool
) -> Mapping[str, np.ndarray]:
    """What an outer test has of masks.

    Several networks give one mask, seen in windows that overlap, and so does what is shipped.
    """
    task, mask_of = tasks.of(run.config.task), None
    if all(record.status == "done" for record in records):
        whole = together(tested_masks.of_fit(run, record) for record in records)
        mask_of = tested_masks.masks(outside.prepared(records[0].hparams).store, whole)
    rows = range(len(outside.table))
    further = tested_masks.named(*tested_masks.against_truth(outside, mask_of, rows, kept))
    if shipped or len(records) > 1:
        return {"reference": outside.targets.values, "volumes": further["window_volumes"], **further}
    return {**task.tested(_seen(run, outside, records[0]), outside.targets).arrays, **further}


def _mean(each: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """The truth, which all have alike, and the mean of what they predict."""
    if len(each) == 1:
        return each[0]
    return {
        name: values
        if all(np.array_equal(values, one[name], equal_nan=values.dtype.kind == "f") for one in each)
        else np.mean([one[name] for one in each], axis=0)
        for name, values in each[0].items()
    }


def _seen(run: Run, outside: Cohort, record: FitRecord) -> np.ndarray:
    """[M, S] of what one network sees of the external cases; NaN where its training met NaN."""
    task, names = tasks.of(run.config.task), run.cohort.targets.names
    found = np.full((len(outside.table), task.device(names, record.hparams).seen), np.nan, np.float32)
    if record.status != "done":
        return found
    if models.hosted(str(record.hparams["architecture"])):
        return external_baselines.seen(run, outside, record)
    of, weights = network(run, record)
    store = outside.prepared(record.hparams).store
    return in_batches(networks.predictor(of, weights), of, store, len(found))


def in_batches(predict: Callable[[Any], Any], of: Architecture, store: Store, count: int) -> np.ndarray:
    """[count, S] of what a network sees of all cases of a store."""
    found, size = np.empty((count, of.task.seen), np.float32), min(BATCH, of.task.held_batch)
    for start in range(0, count, size):
        stopping.between()
        rows = np.arange(start, min(start + size, count), dtype=np.int32)
        room = np.resize(rows, size)  # always as many, so that one compilation serves
        found[rows] = np.asarray(predict(store.rows(room)))[: len(rows)]
    return found


def network(run: Run, record: FitRecord) -> tuple[Architecture, Weights]:
    """The network of a fit, and its weights.

    Raises:
        UsageError: the weights are missing or damaged.
    """
    if tasks.of(run.config.task).masks:
        alone = tested_masks.of_fit(run, record).members[0]
        return alone.of, alone.weights
    told = Predicted(run.config.task, run.cohort.targets.names, run.cohort.shape)
    beside = {**run.config.tuned, **joined.told(run.cohort.joined)}
    of = networks.architecture(record.hparams, told, run.config.precision, beside)
    return of, networks.weights(of, load(run.store.payload(record, "weights.safetensors")))
