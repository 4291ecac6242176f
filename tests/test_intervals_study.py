"""The simulation study of intervals: its truth is true, its folds and choices are what they claim to be."""

from __future__ import annotations

import importlib
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats


def module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.statistics.{name}")


@pytest.fixture
def script() -> Any:
    return module("intervals")


def drawn(count: int = 3, **changed: Any) -> tuple[Any, Any, Any]:
    """The world, a setting and its cases."""
    world = module("intervals_world")
    setting = world.Setting(**{"cases": 60, "folds": 3, **changed})
    return world, setting, world.draw(setting, count, np.random.default_rng(0))


# --- the world -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leak", [False, True])
def test_folds_hold_whole_subjects_unless_these_leak(leak: bool) -> None:
    _, _, sample = drawn(cluster=4, leak=leak)
    assert sample.labels.shape == sample.subjects.shape == (3, 3, 20)
    for labels, subjects in zip(sample.labels, sample.subjects, strict=True):
        assert sorted(np.bincount(subjects.ravel())) == [4] * 15
        shared = [set(a) & set(b) for a, b in ((subjects[0], subjects[1]), (subjects[1], subjects[2]))]
        assert any(shared) == leak
        assert np.ptp(labels.sum(axis=1)) <= (1 if leak else 4)
        for subject in range(15):
            assert len(set(labels[subjects == subject])) == 1


def test_cases_have_the_moments_that_the_truth_assumes() -> None:
    _, setting, sample = drawn(100, cases=240, cluster=4, prevalence=0.3)
    own = sample.inputs - sample.labels[..., None] * setting.shift
    np.testing.assert_allclose(own.reshape(-1, 20).mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(own.reshape(-1, 20).T), np.eye(20), atol=0.08)
    assert sample.labels.mean() == pytest.approx(0.3, abs=0.03)
    order = np.argsort(sample.subjects.reshape(100, 240), axis=1, kind="stable")
    feature = np.take_along_axis(own[..., 0].reshape(100, 240), order, axis=1).reshape(100, 60, 4)
    assert np.corrcoef(feature[..., 0].ravel(), feature[..., 1].ravel())[0, 1] == pytest.approx(0.5, abs=0.05)


def test_a_fit_is_the_discriminant_of_its_training_cases() -> None:
    world, setting, sample = drawn(2, trials=5)
    trials = world.configurations(setting, np.random.default_rng(1))
    told = world.moments(sample)
    models = world.fits_without_pairs(told, trials)
    x, y = sample.inputs[1, 1], sample.labels[1, 1]
    means = np.stack([x[y == c].mean(axis=0) for c in (0, 1)])
    centred = x - means[y]
    covariance = centred.T @ centred / (len(y) - 2)
    shift, sd = means[1] - means[0], np.sqrt(np.diag(covariance))
    for t in range(5):
        allowed = np.flatnonzero(trials.allowed[t])
        best = allowed[np.argsort(-(np.abs(shift) / sd)[allowed])][: trials.kept[t]]
        amount = trials.shrinkage[t]
        system = (1 - amount) * covariance + amount * np.mean(sd**2) * np.eye(20)
        weights = np.zeros(20)
        weights[best] = np.linalg.solve(system[np.ix_(best, best)], shift[best])
        offset = np.log(np.sum(y == 1) / np.sum(y == 0)) - weights @ means.mean(axis=0)
        np.testing.assert_allclose(models.weights[1, 0, 2, t], weights, atol=1e-9)
        np.testing.assert_allclose(models.weights[1, 2, 0, t], weights, atol=1e-9)
        assert models.offsets[1, 0, 2, t] == pytest.approx(offset)


@pytest.mark.thorough
def test_the_true_performance_is_that_on_very_many_new_cases() -> None:
    world, setting, sample = drawn(1, prevalence=0.3)
    trials = world.configurations(setting, np.random.default_rng(1))
    models = world.fits_without_a_fold(world.moments(sample), trials).take(0, 0, 0)
    generator = np.random.default_rng(2)
    labels = (generator.random(200_000) < 0.3).astype(int)
    scores = models.scores(generator.normal(size=(200_000, 20)) + labels[:, None] * setting.shift)
    assert world.true_accuracy(setting, models) == pytest.approx(
        np.mean((scores > 0) == (labels == 1)), abs=4e-3
    )
    positive = scores[labels == 1]
    area = (
        stats.mannwhitneyu(positive, scores[labels == 0]).statistic
        / len(positive)
        / (200_000 - len(positive))
    )
    assert world.true_auc(setting, models) == pytest.approx(area, abs=4e-3)


# --- studies ---------------------------------------------------------------------------------------------


def test_nested_choices_equal_a_plain_loop() -> None:
    world, study = module("intervals_world"), module("intervals_study")
    setting = world.Setting(60, 3, trials=6)
    generator = np.random.default_rng(5)
    sample, trials = world.draw(setting, 4, generator), world.configurations(setting, generator)
    told = world.moments(sample)
    for s, one in enumerate(study.studies(setting, 4, 5)):
        np.testing.assert_array_equal(one.labels, sample.labels[s])
        for i in range(3):
            right = np.zeros(6)
            for j in {0, 1, 2} - {i}:
                models = world.fit(told.without(i, j), trials)
                for t in range(6):
                    scores = models.take(s, t).scores(sample.inputs[s, j])
                    right[t] += np.mean((scores > 0) == sample.labels[s, j])
            chosen = int(np.argmax(right))
            model = world.fit(told.without(i), trials).take(s, chosen)
            np.testing.assert_allclose(one.scores[i], model.scores(sample.inputs[s, i]))
            assert one.accuracies[i] == pytest.approx(world.true_accuracy(setting, model))
            for j in {0, 1, 2} - {i}:
                inner = world.fit(told.without(i, j), trials).take(s, chosen)
                np.testing.assert_allclose(one.inner[i, j], inner.scores(sample.inputs[s, j]))
        flat = [np.mean((scores > 0) == one.labels) for scores in one.flat]
        assert one.best == np.argmax(flat)


@pytest.mark.thorough
def test_every_interval_of_every_study_is_counted() -> None:
    world, study = module("intervals_world"), module("intervals_study")
    found = study.measure_setting(world.Setting(60, 3, cluster=2, trials=3), 4, 0, 50)
    assert set(found["accuracy"]) == {m for m in study.METHODS if m != "auc_influence"}
    assert found["auc"]["auc_influence"]["studies"] == 4
    for methods in found.values():
        for one in methods.values():
            assert 0 <= one["covered_models"] <= one["defined"] <= one["studies"] == 4
    assert found["accuracy"]["percentile"]["width"] > found["accuracy"]["percentile_cases"]["width"]
    assert found["accuracy"]["corrected_t"]["width"] > found["accuracy"]["naive_t"]["width"]


def test_a_summary_counts_what_is_covered() -> None:
    rows = np.array(
        [[0.8, 0.7, 0.9, 0.75, 0.95], [0.8, 0.78, 0.82, 0.85, 0.8], [0.8, np.nan, np.nan, 0.8, 0.8]]
    )
    found = module("intervals_study")._summary(rows)
    assert (found["studies"], found["defined"]) == (3, 2)
    assert (found["covered_models"], found["covered_procedure"], found["covered_deployed"]) == (1, 2, 1)
    assert found["width"] == pytest.approx(0.12)
    assert found["bias"] == pytest.approx(0.0)
    assert found["truth"] == pytest.approx(0.8)


@pytest.mark.thorough
def test_the_practices_are_biased_as_expected() -> None:
    practices, world = module("intervals_practices"), module("intervals_world")
    nothing = practices.tuning(world.Setting(50, 5, trials=16, distance=0.0), 40, 0, 0)
    assert nothing["same folds"]["bias"] > 0.05
    assert abs(nothing["nested"]["bias"]) < 0.05
    assert nothing["BBC"]["bias"] < nothing["same folds"]["bias"] - 0.03
    one = practices.held_out(world.Setting(200, 5), 60, 0, 0)
    assert one["one held-out set"]["sd"] > 1.5 * one["all folds"]["sd"]
    shared = {"cluster": 4, "trials": 4, "shared": 0.8}
    leaking, whole = (
        practices.leak(world.Setting(200, 5, **shared, leak=leak), 40, 0, 0)["accuracy"]["bias"]
        for leak in (True, False)
    )
    assert leaking > 0.05 > abs(whole)


# --- the script ------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_all_parts_are_stored_drawn_and_not_computed_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], script: Any
) -> None:
    world = module("intervals_world")
    plain = [world.Setting(200, 4), world.Setting(60, 3, trials=2), world.Setting(50, 5)]
    monkeypatch.setattr(script, "interval_settings", lambda: plain)
    flags = ["--studies=3", "--replicates=30", f"--out={tmp_path / 'out'}", f"--workdir={tmp_path / 'work'}"]
    monkeypatch.setattr(
        sys, "argv", ["benchmarks/statistics/intervals.py", "--parts=intervals,held_out", *flags]
    )
    script.main()
    first = capsys.readouterr()
    assert first.err.count("n 200, K 4") == 1
    stored = json.loads((tmp_path / "out/intervals_accuracy.json").read_text())
    assert [row[0] for row in stored["table"]["rows"]] == ["n 200, K 4", "n 60, K 3, 2 trials", "n 50, K 5"]
    assert "Corrected t, n >= 200, 20 features" in stored["notes"][1]
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        *("intervals_accuracy_width.json", "intervals_auc.json", "intervals_held_out.json", "intervals.svg"),
    }
    figure = tmp_path / "out/intervals.svg"
    ElementTree.parse(figure)
    assert figure.stat().st_size < 60_000
    drawn_first = figure.read_bytes()
    script.main()
    assert "n 200, K 4" not in capsys.readouterr().err
    assert figure.read_bytes() == drawn_first


def test_the_figure_marks_k_5_and_10_and_tells_what_lies_below() -> None:
    figure = module("intervals_figure")
    assert 'class="k5"' in figure._mark(10, 5, 450, 500)[0]
    assert 'class="k10"' in figure._mark(10, 10, 450, 500)[0]
    assert "0.50" in figure._mark(10, 5, 250, 500)[0]
    found = figure.wilson(450, 500)
    expected = stats.binomtest(450, 500).proportion_ci(method="wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-4)


@pytest.mark.parametrize(
    ("flag", "message"), [("--parts=none", "there is no none"), ("--studies=1", "at least 2")]
)
def test_wrong_flags_are_refused(
    monkeypatch: pytest.MonkeyPatch, script: Any, flag: str, message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks/statistics/intervals.py", flag])
    with pytest.raises(SystemExit, match=message):
        script.main()


def test_the_verdict_tells_each_learner_apart_and_names_what_covers_too_little(script: Any) -> None:
    world = module("intervals_world")
    settings = [world.Setting(200, 5), world.Setting(500, 5), world.Setting(200, 5, features=100)]
    settings += [world.Setting(100, 5)]  # not asked of so few cases
    found = [
        {"auc": {"corrected_t": {f"covered_{g}": n for g in ("models", "procedure", "deployed")}}}
        for n in (99, 96, 91, 50)
    ]
    for one in found:
        one["auc"]["corrected_t"]["defined"] = 100
    stable, grown = script.verdict(settings, found, "auc").split("half as many features as cases")
    assert "models 0.960 (n 500, K 5) to 0.990 (n 200, K 5), below in 0 and above in 1 of 2" in stable
    assert "below in 1 and above in 0 of 1 settings (below: n 200, K 5, 100 features)" in grown
