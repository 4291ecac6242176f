"""Estimators of scikit-learn as fits: what one is told, what is seen of it, and the processes around it."""

from __future__ import annotations

import errno
import functools
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from nachos_jax import ArrayCases
from nachos_jax import cohort as cohort_from
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.engine.hosted import fitting, lanes, worker
from nachos_jax.engine.hosted.crew import ProcessError, Processes
from nachos_jax.engine.hosted.fitting import FLOOR, Order
from nachos_jax.engine.pool import LanePool
from nachos_jax.models import registry
from tests import tiny, vectors

NAMES = ("logistic", "random_forest", "gradient_boosting")
FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"
ROWS = registry.hyperparameters()


def hparams(architecture: str, **changes: Any) -> dict[str, Any]:
    own = {row.name: row.default for row in ROWS if row.name.startswith(f"{architecture}.")}
    quick = {"random_forest.trees": 20, "gradient_boosting.trees": 10}
    own |= {name: value for name, value in quick.items() if name in own}
    return {"architecture": architecture, **own, **{f"{architecture}.{k}": v for k, v in changes.items()}}


def order(training: np.ndarray, asked: np.ndarray, inputs: np.ndarray, **more: Any) -> Order:
    rows = inputs[training].astype(np.float64)
    mean, sd = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    return Order(training, asked, mean.astype(np.float32), sd.astype(np.float32), **more)


def seen(outcome: str, architecture: str, inputs: Any, targets: Any, count: int, told: Order, **own: Any):
    make = functools.partial(registry.estimator, architecture, hparams=hparams(architecture, **own), seed=5)
    return fitting.seen(outcome, lambda kind: make(outcome=kind), inputs, targets, count, told)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    values, labels, _, _ = vectors.arrays()
    return values, labels


TRAINING, ASKED = np.arange(0, 70), np.arange(60, 96)


def test_logistic_regression_is_that_of_scikit_learn(data):
    inputs, labels = data
    weights = np.linspace(0.5, 2, len(TRAINING)).astype(np.float32)
    found = seen(
        "classes", "logistic", inputs, labels, 3, order(TRAINING, ASKED, inputs, weights=weights), c=0.3
    )
    there = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    there.fit(inputs[TRAINING], labels[TRAINING], logisticregression__sample_weight=weights)
    np.testing.assert_allclose(np.exp(found), there.predict_proba(inputs[ASKED]), atol=2e-4)


def test_a_forest_is_that_of_scikit_learn_and_never_quite_sure(data):
    inputs, labels = data
    found = seen("classes", "random_forest", inputs, labels, 3, order(TRAINING, ASKED, inputs))
    scaled = fitting.prepared(inputs, np.arange(len(inputs)), order(TRAINING, ASKED, inputs))
    there = RandomForestClassifier(20, random_state=5).fit(scaled[TRAINING], labels[TRAINING])
    probabilities = there.predict_proba(scaled[ASKED])
    assert (probabilities == 0).any()
    np.testing.assert_allclose(np.exp(found), probabilities, atol=3 * FLOOR)
    assert found.min() >= np.log(FLOOR / (1 + 3 * FLOOR)) - 1e-5


def test_a_number_is_told_in_its_unit(data):
    inputs, labels = data
    targets = labels * 40.0 + 7
    found = seen("number", "gradient_boosting", inputs, targets, 1, order(TRAINING, ASKED, inputs))
    scaled = fitting.prepared(inputs, np.arange(len(inputs)), order(TRAINING, ASKED, inputs))
    plain: Any = HistGradientBoostingRegressor
    there = plain(max_iter=10, early_stopping=False, random_state=5)
    there.fit(scaled[TRAINING], targets[TRAINING])
    np.testing.assert_allclose(found[:, 0], there.predict(scaled[ASKED]), rtol=1e-6)


def test_each_label_is_learnt_from_the_cases_that_know_it(data):
    inputs, labels = data
    targets = np.stack([labels == 0, labels == 1, labels == 2], axis=1).astype(np.float32)
    targets[::3, 0] = np.nan
    targets[TRAINING, 2] = np.nan  # nobody knows: as likely as not
    found = seen("labels", "logistic", inputs, targets, 3, order(TRAINING, ASKED, inputs))
    known = TRAINING[np.isfinite(targets[TRAINING, 0])]
    scaled = fitting.prepared(inputs, np.arange(len(inputs)), order(TRAINING, ASKED, inputs))
    there = LogisticRegression(max_iter=2000).fit(scaled[known], targets[known, 0])
    expected = np.clip(there.predict_proba(scaled[ASKED])[:, 1], FLOOR, 1 - FLOOR)
    np.testing.assert_allclose(found[:, 0], logit(expected), atol=1e-2)
    np.testing.assert_array_equal(found[:, 2], 0)


def test_a_class_without_training_cases_is_the_least_likely(data):
    inputs, labels = data
    two = TRAINING[labels[TRAINING] != 1]
    found = np.exp(seen("classes", "logistic", inputs, labels, 3, order(two, ASKED, inputs)))
    assert (found[:, 1] <= FLOOR).all()
    one = TRAINING[labels[TRAINING] == 2]
    found = np.exp(seen("classes", "random_forest", inputs, labels, 3, order(one, ASKED, inputs)))
    assert (found[:, 2] > 1 - 3 * FLOOR).all()


def test_only_a_broken_case_is_without_prediction_and_a_broken_training_case_is_refused(data):
    inputs, labels = data[0].copy(), data[1]
    inputs[ASKED[-1], 2] = np.nan
    found = seen("classes", "random_forest", inputs, labels, 3, order(TRAINING, ASKED, inputs))
    whole = seen("classes", "random_forest", data[0], labels, 3, order(TRAINING, ASKED, data[0]))
    assert np.isnan(found[-1]).all()
    np.testing.assert_array_equal(found[:-1], whole[:-1])
    filled = order(TRAINING, ASKED, inputs, fill=np.zeros(inputs.shape[1], np.float32))
    assert np.isfinite(seen("classes", "random_forest", inputs, labels, 3, filled)).all()
    inputs[TRAINING[0], 0] = np.inf
    with pytest.raises(ValueError, match="no number"):
        seen("classes", "logistic", inputs, labels, 3, order(TRAINING, ASKED, data[0]))


# --- in a pool -----------------------------------------------------------------------------------------


def fit_of(run, architecture: str, left_out: tuple[int, ...], epochs: int | None = None) -> Fit:
    limit = run.limit if epochs is None else EpochLimit(epochs)
    return Fit(hparams(architecture), left_out, run.seed, limit, "cases")


def results(cohort, run, fits: list[Fit]) -> dict[str, Any]:
    pool = LanePool(cohort, tiny.folds(cohort), run)
    try:
        pool.submit(fits)
        found = {}
        while pool.busy or pool.waiting:
            found |= {result.record.fit: result for result in pool.step()}
    finally:
        pool.close()
    return found


class Here:
    """In place of `Processes`: one process, this one, which does with an order what another would do."""

    free = 1

    def __init__(self, count: int, inputs: np.ndarray, targets: np.ndarray, folder: Path):
        self._folder, self._arrays = folder, (inputs, targets)
        self._done: list[tuple[int, np.ndarray | str]] = []

    def send(self, number: int, what: Mapping[str, Any], order: Order) -> None:
        name = self._folder / f"{number:06d}"
        arrays: dict[str, Any] = {name: value for name, value in asdict(order).items() if value is not None}
        np.savez(name.with_suffix(".npz"), **arrays)
        told = json.loads(json.dumps({"number": number, **what}))
        error = worker._fit(self._folder, told, *self._arrays)
        self._done.append((number, error or np.load(name.with_suffix(".npy"))))

    def ended(self, seconds: float) -> list[tuple[int, np.ndarray | str]]:
        done, self._done = self._done, []
        return done

    def close(self) -> None: ...


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fits that differ in their rows alone need no process of their own, which takes seconds to begin."""
    monkeypatch.setattr(lanes, "Processes", functools.partial(Here, folder=tmp_path))


@pytest.fixture(scope="module")
def trained():
    cohort, run = vectors.cohort(), vectors.run_config("random_forest", engine__lanes=1)
    fits = [fit_of(run, name, (0, 1)) for name in NAMES] + [fit_of(run, "random_forest", (2,), 1)]
    return cohort, run, fits


@pytest.fixture(scope="module")
def found(trained) -> dict[str, Any]:
    """Results of all fits, by processes; quick tests leave one kind of estimator to them."""
    cohort, run, fits = trained
    return results(cohort, run, fits if FULLY else fits[1::2])


def test_a_fit_is_one_epoch_with_a_curve_a_fold_and_no_weights(trained, found):
    cohort, run, fits = trained
    assert run.limit.epochs == 1
    for fit in [one for one in fits[:3] if one.id in found]:
        record, payload = found[fit.id].record, found[fit.id].payload
        assert (record.epochs, record.status, list(record.curves)) == (1, "done", [0, 1])
        inner = load(payload["inner.safetensors"])
        for fold, curve in record.curves.items():
            targets = cohort.targets.of(tiny.folds(cohort).cases(fold))
            hits = inner[str(fold)].argmax(axis=1) == targets.values
            recalls = [hits[targets.values == k].mean() for k in range(3)]
            assert curve.score == (pytest.approx(np.mean(recalls)),)
            assert len(curve.loss) == 1
            assert curve.end
    refit = found[fits[3].id]
    assert refit.record.curves == {}
    assert list(refit.payload) == ["logits.safetensors"]
    assert load(refit.payload["logits.safetensors"])["logits"].shape == (24, 3)


@pytest.mark.parametrize(("missing", "impute"), [(0.0, ""), (0.1, "median")])
def test_what_is_left_out_does_not_reach_the_training(trained, in_this_process, missing, impute):
    _, run, fits = trained
    cohort = vectors.cohort(missing, impute)
    clean = results(cohort, run, [fits[0]])
    values = vectors.values_of(cohort).copy()
    values[tiny.folds(cohort).cases(0) | tiny.folds(cohort).cases(1)] += 1e4
    moved = results(vectors.with_values(cohort, values), run, [fits[0]])
    assert moved[fits[0].id].record.training_loss == clean[fits[0].id].record.training_loss


def test_fits_are_told_the_class_weights(trained, in_this_process):
    _, run, _ = trained
    values, labels, subjects, folds = vectors.arrays()
    kept = (labels != 1) | (folds == 0) | (np.arange(len(labels)) % 3 == 0)  # one class is rare
    values, labels, folds = values[kept], labels[kept], folds[kept]
    rare = cohort_from(ArrayCases(values, labels, subjects[kept], folds=folds))
    weighted = {**hparams("logistic"), "class_weight_exponent": 1.0}
    fit = Fit(weighted, (0,), run.seed, EpochLimit(1), "cases")
    logits = load(results(rare, run, [fit])[fit.id].payload["logits.safetensors"])["logits"]
    training, there = folds != 0, make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    weights = compute_sample_weight("balanced", labels[training])
    there.fit(values[training], labels[training], logisticregression__sample_weight=weights)
    np.testing.assert_allclose(np.exp(logits), there.predict_proba(values[~training]), atol=2e-4)


@pytest.mark.thorough
def test_neither_order_nor_number_of_processes_matters(trained):
    cohort, run, fits = trained
    found = results(cohort, run, fits[:3])
    others = vectors.run_config("random_forest", engine__lanes=2)
    again = results(cohort, others, fits[:3][::-1])
    for fit in fits[:3]:
        assert again[fit.id].payload == found[fit.id].payload
        assert again[fit.id].record == found[fit.id].record


def test_the_seed_is_named_by_the_fit(trained):
    _, run, fits = trained
    other = Fit(fits[0].hparams, (0, 2), run.seed, run.limit, "cases")
    longer = Fit(fits[0].hparams, (0, 1), run.seed, EpochLimit(9), "other cases")
    assert lanes.seed(other) != lanes.seed(fits[0]) == lanes.seed(longer)


def test_processes_do_not_wait_for_each_other(trained, in_this_process):
    cohort, _, fits = trained
    run = vectors.run_config("random_forest", engine__lanes=3)
    pool = LanePool(cohort, tiny.folds(cohort), run)
    pool.submit(fits[:2])
    while pool.busy or pool.waiting:
        assert pool.begins_anew == ("estimators" if pool.busy else "")
        pool.step()
    assert pool.spent.lane_epochs == pool.spent.epochs == 2


def test_a_fit_that_scikit_learn_refuses_ends_the_run_with_its_words(trained, in_this_process):
    cohort, run, fits = trained
    values = vectors.values_of(cohort).copy()
    values[tiny.folds(cohort).cases(3)] = np.inf
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(UsageError, match="logistic could not be fitted: an input"),
    ):
        results(vectors.with_values(cohort, values), run, [fits[0]])


def test_a_process_that_is_lost_is_told_and_leaves_nothing_behind(data):
    inputs, labels = data
    processes = Processes(1, inputs, labels)
    what = {
        "architecture": "random_forest",
        "hparams": hparams("random_forest", trees=10_000),
        "seed": 1,
        "outcome": "classes",
        "count": 3,
    }
    processes.send(1, what, order(TRAINING, ASKED, inputs))
    assert processes.ended(0.0) == []
    (process,) = processes._busy.values()
    process.kill()
    with pytest.raises(ProcessError, match="exit status -9.*The same command goes on"):
        processes.ended(60.0)
    assert not processes.folder.exists()


def test_a_process_that_is_lost_between_two_orders_is_told_or_replaced(data):
    processes = Processes(2, *data)
    for _ in range(2):
        processes._free.append(processes._started())
    idle, other = processes._free
    busy = processes._busy
    busy[7] = other  # at work as far as is known here
    processes._free.remove(other)
    idle.kill()
    idle.wait()
    assert processes.ended(60.0) == []
    assert processes._free == []
    assert processes.ended(0.0) == [], "a process that is gone is not heard of again and again"
    processes._free.append(busy.pop(7))
    other.kill()
    other.wait()
    processes.send(8, {"architecture": "logistic"}, order(TRAINING, ASKED, data[0]))
    assert busy[8] not in (idle, other), "the order has gone to another one"
    # One that goes while it is spoken to, with what was said still on its way, is told in words.
    stopped = busy[8]
    stopped.kill()
    stopped.wait()
    assert stopped.stdin is not None
    stopped.stdin.write("what it was told last")
    with pytest.raises(ProcessError, match="exit status -9"):
        raise processes._lost(stopped)
    assert not processes.folder.exists()


@pytest.mark.thorough
def test_files_of_the_working_directory_are_no_modules_and_a_full_disk_is_told(data, tmp_path, monkeypatch):
    for name in ("json", "numpy", "selectors"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user')")
    monkeypatch.chdir(tmp_path)
    processes = Processes(64, *data)  # of which as many start as there are orders at once
    what = {"architecture": "random_forest", "hparams": hparams("random_forest"), "seed": 1, "count": 3}
    try:
        processes.send(1, {**what, "outcome": "classes"}, order(TRAINING, ASKED, data[0]))
        ((_, found),) = processes.ended(60.0)
        assert isinstance(found, np.ndarray)
        assert found.shape == (len(ASKED), 3)
        assert (processes.free, len(processes._free)) == (64, 1)
        (processes.folder / "000002.npy").symlink_to("/dev/full")
        processes.send(2, {**what, "outcome": "classes"}, order(TRAINING, ASKED, data[0]))
        assert (processes.free, len(processes._free)) == (63, 0)
        ((_, found),) = processes.ended(60.0)
        assert "No space left" in found
    finally:
        processes.close()


@pytest.mark.thorough
def test_a_process_ends_with_who_started_it(data):
    processes = Processes(1, *data)
    child = processes._started()
    assert child.stdin is not None
    child.stdin.close()  # as when the parent is killed
    until = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    assert child.returncode == 0
    assert processes.folder.is_dir()
    processes.close()
    assert not processes.folder.exists()


def test_a_full_disk_is_told_with_the_folder_and_the_cure(data, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    processes = Processes(1, *data)
    monkeypatch.setattr("nachos_jax.engine.hosted.crew.np.savez", full)
    with pytest.raises(UsageError, match=rf"{processes.folder}.*No space left.*TMPDIR"):
        processes.send(1, {}, order(np.arange(5), np.arange(5), data[0]))
    assert not processes.folder.exists()
    monkeypatch.setattr("nachos_jax.engine.hosted.crew.np.save", full)
    with pytest.raises(UsageError, match="No space left"):
        Processes(1, *data)
