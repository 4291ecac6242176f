"""What a metric's numbers are made of where folds differ, repeats are many, or the metric is a loss."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nachos_jax.metrics import classification
from nachos_jax.metrics.contract import statistic
from nachos_jax.report.numbers import comparison
from nachos_jax.report.numbers import summary as summaries
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import read
from nachos_jax.statistics.bbc import bbc
from nachos_jax.statistics.bootstrap import Resampling
from tests.report.checklist_runs import flat
from tests.report.rivals import rival
from tests.report.task_cases import LABELS, MASKS, NUMBER


def test_the_corrected_t_takes_the_ratio_of_the_folds_as_they_are(make_run):
    run = make_run(cases=246, inner=False)
    sizes = [len(test.cases) for test in run.tests()]
    assert len(set(sizes)) > 1
    ratio = np.mean([size / (246 - size) for size in sizes])
    assert read(run).ratio == pytest.approx(ratio)
    metric = summaries.summarise(read(run))["metrics"]["accuracy"]
    values = [fold["value"] for fold in metric["folds"].values()]
    half = stats.t(4).ppf(0.975) * math.sqrt(1 / 5 + ratio) * np.std(values, ddof=1)
    interval = metric["intervals"][0]
    assert interval["low"] == pytest.approx(metric["mean"] - half, rel=1e-9)


@pytest.mark.thorough
def test_thresholds_and_comparisons_take_that_ratio_too(make_run):
    run = make_run(cases=246, classes=("benign", "malignant"), trials=1)
    ratio = read(run).ratio
    assert ratio is not None
    assert ratio != pytest.approx(1 / 4, rel=1e-4)
    quantile = stats.t(4).ppf(0.975) * math.sqrt(1 / 5 + ratio)
    found = summaries.summarise(read(run))["decisions"]["rates"]["sensitivity"]
    low = found["mean"] - quantile * found["sd"]
    assert low + 2 * quantile * found["sd"] < 1  # so it stays on the scale of the rate
    assert found["intervals"][1]["low"] == pytest.approx(low, rel=1e-9)
    (pair,) = comparison.compare([str(run.path), str(rival(run, "other", better=0.1).path)])["pairs"]
    assert pair["test"]["low"] == pytest.approx(pair["mean"] - quantile * pair["sd"], rel=1e-9)


def test_folds_of_one_size_have_the_published_ratio(make_run):
    assert read(make_run(inner=False)).ratio == pytest.approx(1 / 4)


@pytest.mark.parametrize(("metric", "sign"), [("log_loss", -1), ("balanced_accuracy", 1)])
def test_the_inner_score_has_the_sign_of_its_metric(make_run, metric, sign):
    run = make_run(metric=metric, inner=False, settings=(("replicates", 200),))
    evidence = read(run)
    evidence.run["config"]["search"]["metric"] = metric
    for row in summaries.summarise(evidence)["outer_folds"]:
        score = evidence.score(row["outer_fold"], row["selected"])
        assert score is not None
        assert row["inner_score"] == sign * score.score


def test_a_loss_of_the_flat_protocol_is_corrected_for_the_choice_of_the_best_trial(make_run):
    """What is selected is the trial of the largest headline, whichever metric is estimated."""
    evidence = read(flat(make_run(tested=(), settings=(("replicates", 200),))))
    estimates, search = Estimates(evidence), evidence.search
    assert search is not None
    (found,) = estimates.metric("log_loss")["intervals"]
    predicted = np.concatenate([search.predictions[fold] for fold in evidence.tests], axis=1)
    losses, recalls = (
        [statistic(classification, name, estimates.truth, one) for one in predicted]
        for name in ("log_loss", "balanced_accuracy")
    )
    cases, wanted = estimates.cases, Resampling(200, 0)
    by_hand = bbc(losses, cases, wanted, 0.95, True, recalls, classification.METRICS["log_loss"].bounds)
    assert found == dataclasses.asdict(by_hand)


def test_the_interval_over_pairs_says_what_it_is_not(make_run):
    accuracy = summaries.summarise(read(make_run(repeats=2, folds=3)))["metrics"]["accuracy"]
    (interval,) = (one for one in accuracy["intervals"] if one["method"] == "bates")
    assert interval["estimate"] == pytest.approx(accuracy["mean"], rel=1e-9)
    note = interval["note"]
    assert note.startswith("around the outer mean, not extrapolated")
    assert "repeats" not in note
    part = summaries.summarise(read(make_run("part", repeats=2, folds=3, tested=(0, 1, 2, 3))))
    found = part["metrics"]["accuracy"]["intervals"]
    note = next(one for one in found if one["method"] == "bates")["note"]
    assert "from 1 of 2 repeats" in note


def test_repeated_predictions_are_not_called_cases(make_run):
    run = make_run(repeats=2, folds=3, cases=240, inner=False)
    assert summaries.summarise(read(run))["calibration"]["predictions"] == 480


@pytest.mark.thorough
def test_very_many_cases_get_fewer_replicates_and_no_bca(make_run, monkeypatch):
    run = make_run(inner=False, settings=(("replicates", 1000),))
    whole = summaries.summarise(read(run))
    assert whole["replicates"] == 1000
    assert "bca" in {i["method"] for i in whole["metrics"]["accuracy"]["intervals"]}
    monkeypatch.setattr("nachos_jax.report.numbers.estimates.DRAWS", 240 * 300)
    bounded = summaries.summarise(read(run))
    assert bounded["replicates"] == 300
    methods = [i["method"] for i in bounded["metrics"]["accuracy"]["intervals"]]
    assert "percentile" in methods
    assert "bca" not in methods
    monkeypatch.setattr("nachos_jax.report.numbers.estimates.DRAWS", 1)
    assert summaries.summarise(read(run))["replicates"] == 200


def _without_words(found: Any) -> Any:
    """Plain JSON without notes, sentences and caveats, which tell how many predictions are no numbers."""
    if isinstance(found, dict):
        kept = found.keys() - {"note", "sentence", "caveats"}
        return {key: _without_words(found[key]) for key in sorted(kept)}
    return [*map(_without_words, found)] if isinstance(found, list) else found


@pytest.mark.parametrize("task", [{}, LABELS, NUMBER, MASKS], ids=["classes", "labels", "number", "masks"])
def test_a_fold_with_some_predictions_that_are_no_numbers_is_in_no_number(make_run, task):
    """Nothing of it is counted anywhere, as if the refit had predicted no case at all."""
    evidence = read(make_run(settings=(("replicates", 200),), inner=False, trials=1, **task))
    test = evidence.tests[2]
    (key,) = {"probabilities", "predictions", "volumes"} & test.arrays.keys()

    def summary(broken: tuple[Any, ...]) -> dict[str, Any]:
        values = test.arrays[key].astype(float)
        values[broken] = np.nan
        arrays = {**test.arrays, key: values}
        tests = {**evidence.tests, 2: dataclasses.replace(test, arrays=arrays)}
        return summaries.summarise(dataclasses.replace(evidence, tests=tests))

    values = test.arrays[key]
    some, whole = summary((0,) * values.ndim), summary((...,))
    assert _without_words(some) == _without_words(whole)
    assert some["caveats"] != summary((slice(0),))["caveats"]
    told = [text for text in some["caveats"] if "are of outer folds with predictions that are not" in text]
    assert len(told) == 1
    assert told[0].startswith(f"{len(values)} predictions are")
