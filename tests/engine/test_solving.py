"""`linear` is scikit-learn's solution, alone and beside others, and reads its training cases only."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load
from scipy.special import softmax
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nachos_jax import ArrayCases
from nachos_jax import cohort as cohort_from
from nachos_jax.core.errors import UsageError
from nachos_jax.engine import quasi_newton
from tests import tiny, vectors
from tests.tiers import mostly_thorough

pytestmark = pytest.mark.usefixtures("quick_compilation")

RUN = vectors.run_config()


def solved(cohort, run=RUN, left_out=(0,), **hparams):
    """Weights and what was seen of the held cases of one fit, and its record."""
    fit = tiny.fit(run, left_out, epochs=1, **hparams)
    records, payloads, _ = tiny.train([fit], run, cohort)
    payload = payloads[fit.id]
    weights = load(payload["weights.safetensors"])
    (seen,) = (load(data) for name, data in payload.items() if name != "weights.safetensors")
    return weights, next(iter(seen.values())), records[fit.id]


def halves(cohort):
    """Training and held rows of the fits of `solved`."""
    held = cohort.table.folds == 0
    return ~held, held


@mostly_thorough("c", [pytest.param(1e-3, marks=pytest.mark.thorough), 1.0, 1e2], kept=(100.0,))
@mostly_thorough(("missing", "impute"), [(0.0, ""), (0.1, "median"), (0.1, "mean")], kept=(0.1,))
def test_classes_are_those_of_logistic_regression(c, missing, impute):
    cohort = vectors.cohort(missing, impute)
    training, held = halves(cohort)
    x, y = vectors.values_of(cohort).astype(np.float64), cohort.targets.values
    imputer = [SimpleImputer(strategy=impute)] if impute else []
    oracle = make_pipeline(
        *imputer, StandardScaler(), LogisticRegression(C=c, tol=1e-9, solver="newton-cholesky")
    )
    oracle.fit(x[training], y[training])
    _, logits, record = solved(cohort, **{"linear.c": c})
    probabilities = softmax(logits.astype(np.float64), axis=1)
    wanted = oracle.predict_proba(x[held])
    assert abs(log_loss(y[held], probabilities) - log_loss(y[held], wanted)) < 1e-3
    np.testing.assert_allclose(probabilities, wanted, atol=2e-3)
    assert (record.epochs, record.status) == (1, "done")


@mostly_thorough("c", [1e-3, 1.0, 1e2], kept=(1.0,))
def test_more_features_than_cases(c):
    _, y, subjects, folds = vectors.arrays()
    draw = np.random.default_rng(8)
    x = draw.normal(size=(len(y), 150)) @ draw.normal(size=(150, 150)) / 12 + 0.4 * y[:, None]
    wide = cohort_from(ArrayCases(x.astype(np.float32), y, subjects, folds=folds))
    _, logits, record = solved(wide, RUN, **{"linear.c": c})
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=c, tol=1e-9, max_iter=10_000))
    wanted = oracle.fit(x[folds != 0].astype(np.float32).astype(np.float64), y[folds != 0])
    wanted = wanted.predict_proba(x[folds == 0])
    probabilities = softmax(logits.astype(np.float64), axis=1)
    assert abs(log_loss(y[folds == 0], probabilities) - log_loss(y[folds == 0], wanted)) < 1e-3
    assert record.status == "done"


def test_what_is_too_wide_to_be_rotated_has_the_same_solution(monkeypatch):
    monkeypatch.setattr("nachos_jax.engine.curvature.WIDEST", 5)
    _, y, subjects, folds = vectors.arrays()
    x = np.random.default_rng(8).normal(size=(len(y), 11)).astype(np.float32) + 0.4 * y[:, None]
    x = x.astype(np.float32)  # no other test has 11 features, for which bases are compiled here
    wide = cohort_from(ArrayCases(x, y, subjects, folds=folds))
    _, logits, _ = solved(wide, RUN, **{"linear.c": 1.0})
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-9))
    wanted = oracle.fit(x[folds != 0].astype(np.float64), y[folds != 0]).predict_proba(x[folds == 0])
    np.testing.assert_allclose(softmax(logits.astype(np.float64), axis=1), wanted, atol=2e-3)


def test_a_fit_that_is_not_solved_to_the_end_is_told(monkeypatch, caplog):
    solved(vectors.cohort())
    assert "not solved to the end" not in caplog.text
    monkeypatch.setattr(quasi_newton, "STEPS", 1)
    values, labels, subjects, folds = vectors.arrays()
    # A shape of its own, since tests share the programs of equal shapes.
    narrow = cohort_from(ArrayCases(values[:, :5], labels, subjects, folds=folds))
    solved(narrow, RUN, **{"linear.c": 100.0})
    assert "is not solved to the end" in caplog.text
    assert "{'linear.c': 100.0}" in caplog.text


@pytest.mark.thorough
def test_class_weights_are_those_of_scikit_learn():
    x, y, subjects, folds = vectors.arrays()
    kept = (y != 1) | (folds == 0) | (np.arange(len(y)) % 3 == 0)  # one class is rare
    x, y, folds = x[kept].astype(np.float64), y[kept], folds[kept]
    rare = cohort_from(ArrayCases(x, y, subjects[kept], folds=folds))
    _, logits, _ = solved(rare, class_weight_exponent=1.0)
    oracle = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", tol=1e-9))
    wanted = oracle.fit(x[folds != 0], y[folds != 0]).predict_proba(x[folds == 0])
    np.testing.assert_allclose(softmax(logits.astype(np.float64), axis=1), wanted, atol=2e-3)


def test_a_number_is_predicted_by_ridge_regression():
    values, labels, subjects, folds = vectors.arrays()
    number = values @ np.arange(vectors.FEATURES) * 1e-3 + labels
    cohort = cohort_from(ArrayCases(values, number, subjects, folds=folds), task="regression")
    training, held = folds != 0, folds == 0
    _, predicted, _ = solved(cohort, vectors.run_config(task__name="regression"), **{"linear.c": 0.1})
    scaler = StandardScaler().fit(values[training].astype(np.float64))
    mean, sd = number[training].mean(), number[training].std()
    oracle = Ridge(alpha=1 / (2 * 0.1)).fit(
        scaler.transform(values[training]), (number[training] - mean) / sd
    )
    wanted = oracle.predict(scaler.transform(values[held])) * sd + mean
    np.testing.assert_allclose(predicted[:, 0], wanted, rtol=1e-3, atol=1e-3 * sd)


def test_labels_are_solved_one_by_one_where_they_are_known():
    values, labels, subjects, folds = vectors.arrays()
    several = np.stack([labels == 0, labels == 1], axis=1).astype(np.float64)
    several[::7, 0] = np.nan
    case = ArrayCases(values, several, subjects, folds=folds)
    _, logits, _ = solved(cohort_from(case, task="multilabel"), vectors.run_config(task__name="multilabel"))
    for label in (0, 1):
        known = (folds != 0) & ~np.isnan(several[:, label])
        oracle = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-9))
        oracle.fit(values[known].astype(np.float64), several[known, label])
        # Features are standardised by all training cases, also by those whose label is unknown.
        oracle[0].fit(values[folds != 0].astype(np.float64))
        oracle[1].fit(oracle[0].transform(values[known]), several[known, label])
        wanted = oracle.decision_function(values[folds == 0].astype(np.float64))
        np.testing.assert_allclose(logits[:, label], wanted, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize(("factor", "closeness"), [(2.0**20, 0.0), (0.0037, 1e-5)])
def test_the_scale_of_a_column_changes_nothing(factor, closeness):
    cohort = vectors.cohort()
    values = vectors.values_of(cohort).copy()
    values[:, 2] *= np.float32(factor)
    _, logits, _ = solved(cohort)
    _, scaled, _ = solved(vectors.with_values(cohort, values))
    np.testing.assert_allclose(
        softmax(scaled, axis=1), softmax(logits, axis=1), rtol=0, atol=closeness, strict=True
    )


@mostly_thorough("architecture", ["linear", "mlp"], kept=("linear",))
def test_a_fit_reads_its_training_cases_alone(architecture):
    run = vectors.run_config(architecture)
    cohort = vectors.cohort(0.1, "median")
    _, held = halves(cohort)
    clean, *_ = solved(cohort, run)
    for spoil in (np.nan, np.inf, -3e38):
        values = vectors.values_of(cohort).copy()
        values[held] = spoil
        spoilt, *_ = solved(vectors.with_values(cohort, values), run)
        for name, array in clean.items():
            np.testing.assert_array_equal(spoilt[name], array, err_msg=name)
    training, _ = halves(cohort)
    values = vectors.values_of(cohort).copy()
    values[np.flatnonzero(training)[0]] *= 2
    other, *_ = solved(vectors.with_values(cohort, values), run)
    assert any(not np.array_equal(other[name], array) for name, array in clean.items())


def test_a_training_case_that_is_not_finite_ends_the_fit():
    cohort = vectors.cohort()
    values = vectors.values_of(cohort).copy()
    values[~halves(cohort)[1].nonzero()[0][:1]] = np.nan
    fit = tiny.fit(RUN, (0,), epochs=1)
    records, payloads, _ = tiny.train([fit], RUN, vectors.with_values(cohort, values))
    assert records[fit.id].status == "diverged"
    assert payloads[fit.id] == {}


@pytest.mark.thorough
def test_lanes_share_inputs_and_change_no_bit_of_each_other():
    cohort = vectors.cohort(0.05, "mean")
    run = vectors.run_config(engine__lanes=3)
    fits = [tiny.fit(run, (k,), epochs=1, **{"linear.c": c}) for k, c in ((0, 0.1), (1, 1.0), (2, 100.0))]
    others = [tiny.fit(run, (k,), epochs=1, **{"linear.c": c}) for k, c in ((2, 1e-3), (3, 5.0))]
    _, together, pool = tiny.train(fits, run, cohort)
    _, beside, _ = tiny.train([fits[0], *others], run, cohort)
    assert together[fits[0].id] == beside[fits[0].id]
    assert list(pool.traces.values()) == [1]


@pytest.mark.thorough
def test_a_second_epoch_changes_nothing_and_the_first_is_the_best():
    run = vectors.run_config(search__space__architecture="choice('linear', 'mlp')")
    assert run.limit.epochs == 4
    fit = tiny.fit(run, (0, 1))
    records, _, _ = tiny.train([fit], run, vectors.cohort())
    curve = records[fit.id].curves[0]
    assert len(curve.loss) == 1 + (run.limit.patience or 0)
    assert len(set(curve.loss)) == 1
    assert RUN.limit.epochs == 1, "a run that only solves needs no second epoch"


def test_what_does_nothing_is_no_part_of_a_fit():
    one = tiny.fit(RUN, (0,), learning_rate=0.5, batch_size=8, momentum=0.1)
    assert one.id == tiny.fit(RUN, (0,)).id
    assert set(one.hparams) == {"architecture", "linear.c", "label_smoothing", "class_weight_exponent"}


def test_cases_that_do_not_fit_are_refused(monkeypatch):
    from nachos_jax.engine import memory

    monkeypatch.setattr(memory, "stays", lambda *_: False)
    with pytest.raises(UsageError, match="linear is solved over all cases at once, and they do not fit"):
        tiny.train([tiny.fit(RUN, (0,))], RUN, vectors.cohort())


@pytest.mark.thorough
def test_streamed_vectors_train_as_resident_ones_do():
    cohort, found = vectors.cohort(0.1, "median"), []
    for residency in ("resident", "stream"):
        run = vectors.run_config("mlp", data__residency=residency, data__window=40)
        fit = tiny.fit(run, (0, 1), dropout=0.0)
        records, _, pool = tiny.train([fit], run, cohort)
        assert pool.streams == (residency == "stream")
        found.append(records[fit.id])
    np.testing.assert_allclose(found[0].training_loss, found[1].training_loss, rtol=1e-5)
    for fold, curve in found[0].curves.items():
        np.testing.assert_allclose(found[1].curves[fold].loss, curve.loss, rtol=1e-4)


@pytest.mark.parametrize("c", [1e4, 1e6])
def test_a_weak_penalty_is_followed_to_its_end(c, caplog):
    """The classes overlap, so there is a minimum; most cases are certain there."""
    cohort = vectors.cohort()
    training, held = halves(cohort)
    x, y = vectors.values_of(cohort).astype(np.float64), cohort.targets.values
    oracle = make_pipeline(
        StandardScaler(), LogisticRegression(C=c, tol=1e-9, solver="newton-cholesky", max_iter=1000)
    )
    oracle.fit(x[training], y[training])
    _, logits, _ = solved(cohort, **{"linear.c": c})
    wanted = oracle.predict_proba(x[held])
    found = log_loss(y[held], softmax(logits.astype(np.float64), axis=1))
    assert abs(found - log_loss(y[held], wanted)) < 1e-3
