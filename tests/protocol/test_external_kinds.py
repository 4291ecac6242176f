"""External cases of masks, of baselines, and of what a backbone gives."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.data.ragged import Ragged
from nachos_jax.data.table import Cohort
from nachos_jax.engine.hosted import again
from nachos_jax.models.zoo import registry
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import external, external_baselines
from nachos_jax.protocol.run import embedding, outside
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks import segmentation
from tests import masks, pretrained, tiny
from tests.inputs import dense
from tests.protocol.test_baselines import STEPWISE
from tests.protocol.test_external import EXTERNAL, content, spoilt, whole

MORE = 6
"""External cases with masks."""


def sees_what_was_recorded(run: Run) -> None:
    """The way of external cases gives those of an outer fold what lanes recorded of them."""
    test = run.store.tests()[0]
    record, kind = run.store.fit(test.fit), tasks.of(run.config.task).kind
    assert record is not None
    known = load(run.store.payload(record, f"{kind}.safetensors"))[kind]
    found = external._seen(run, run.cohort, record)[run.folds.cases(test.outer_fold)]
    np.testing.assert_allclose(found, known, rtol=2e-3, atol=2e-3)


def masked() -> Cohort:
    """The cohort of masks, and larger cases of another site behind it."""
    more = [
        dataclasses.replace(pair, image=pair.image + np.uint8(20)) for pair in masks.pairs(3, MORE, seed=3)
    ]
    of = masks.cohort(masks.PLAIN, [*masks.pairs(), *more], ("left", "right"))
    sites = np.where(np.arange(masks.CASES + MORE) < masks.CASES, "home", "away")
    return dataclasses.replace(of, table=dataclasses.replace(of.table, sites=sites))


@pytest.mark.thorough
@pytest.mark.usefixtures("quick_compilation")
def test_masks_are_tested_case_by_case_and_change_nothing_inside(tmp_path: Path, all_unpainted: None):
    of, run = masked(), checked(masks.config(search__trials=1, report__replicates=200, **EXTERNAL))
    sees_what_was_recorded(evaluate(run, str(tmp_path / "run"), None, of, quiet=True))
    rows = np.arange(masks.CASES)
    alone = of.take(rows, segmentation.TASK.part(of.targets, rows))
    evaluate(
        checked(masks.config(search__trials=1, report__replicates=200)),
        str(tmp_path / "alone"),
        None,
        alone,
        quiet=True,
    )
    assert content(tmp_path / "run") == content(tmp_path / "alone")

    tests = RunDirectory(tmp_path / "run").external_tests()
    assert [test.model for test in tests] == [f"fold_{fold:02d}" for fold in range(masks.FOLDS)]
    for test in tests:
        np.testing.assert_allclose(test.arrays["reference"], of.targets.values[masks.CASES :])
        for name in ("volumes", "window_volumes"):
            parts = test.arrays[name]
            np.testing.assert_allclose(parts[..., 0] + parts[..., 2], test.arrays["reference"], rtol=1e-4)
        assert (test.arrays["hd95"] >= 0).all()

    together = checked(masks.config(search__trials=1, deploy__members="folds", **EXTERNAL))
    deploy(dataclasses.replace(together, raw=run.raw), str(tmp_path / "run"), of, quiet=True)
    (deployed,) = RunDirectory(tmp_path / "run", "deploy").external_tests()
    assert len(deployed.fits) == masks.FOLDS
    np.testing.assert_array_equal(deployed.arrays["volumes"], deployed.arrays["window_volumes"])

    shown = page.write(tmp_path / "run").read_text()
    beyond = json.loads((tmp_path / "run/summary.json").read_text())["external"]
    metric = beyond["metrics"]["mean_dice"]
    assert metric["together"]["value"] is None
    values = [metric["models"][str(fold)]["value"] for fold in range(masks.FOLDS)]
    assert np.isclose(metric["mean"], np.mean(values))
    made = np.stack([test.arrays["volumes"] for test in tests])
    dice = 2 * made[..., 0] / (2 * made[..., 0] + made[..., 1] + made[..., 2])
    assert np.isclose(metric["mean"], dice.mean())
    large = beyond["shift"]["calibration_in_the_large"]["external"]
    truth = of.targets.values[masks.CASES :]
    np.testing.assert_allclose(large, (made[..., 0] + made[..., 1]).mean((0, 1)) - truth.mean(0), rtol=1e-6)
    assert f"Mean Dice is {metric['mean']:.3f} on average over the models" in shown
    assert "mean prediction</th>" not in shown


def test_the_size_in_the_middle_is_that_of_the_masks_inside():
    of = masked()
    assert isinstance(of.store, Ragged)
    found = outside.parted(checked(masks.config(**EXTERNAL)), of)
    assert isinstance(found.store, Ragged)
    sides = np.median(of.store.sides[: masks.CASES], axis=0).astype(int).tolist()
    assert [found.preparation[name] for name in ("depth", "height", "width")] == sides


@pytest.fixture(scope="module")
def logistic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("logistic")
    evaluate(baseline(**EXTERNAL), str(workdir), None, whole(), quiet=True)
    return workdir


def baseline(**fields):
    quick = {"search__trials": 1, "engine__lanes": 1, "report__gallery": 0, **STEPWISE}
    return tiny.run_config(model__architecture="logistic", **quick, **fields)


@pytest.mark.thorough
def test_baselines_are_fitted_again_for_external_cases_and_change_nothing_inside(
    logistic: Path, tmp_path: Path
):
    evaluate(baseline(**EXTERNAL), str(tmp_path), None, spoilt(whole()), quiet=True)
    assert content(logistic) == content(tmp_path)
    store = RunDirectory(logistic)
    tests = store.external_tests()
    assert [test.fits for test in tests] == [(test.fit,) for test in store.tests()]
    right = [np.mean(test.arrays["probabilities"].argmax(1) == test.arrays["labels"]) for test in tests]
    assert min(right) > 0.6
    assert np.isnan(RunDirectory(tmp_path).external_tests()[0].arrays["probabilities"]).all()


@pytest.mark.thorough
def test_a_baseline_is_fitted_again_under_the_normalisation_that_it_had(tmp_path: Path):
    """Under another one it would not predict its outer fold as recorded, and be refused."""
    evaluate(baseline(**EXTERNAL, data__normalisation="min_max"), str(tmp_path), [0], whole(), quiet=True)
    [test] = RunDirectory(tmp_path).external_tests()
    assert np.isfinite(test.arrays["probabilities"]).all()


@pytest.mark.thorough
def test_a_baseline_that_predicts_otherwise_than_it_did_is_refused(tmp_path: Path, monkeypatch):
    run = evaluate(baseline(**EXTERNAL), str(tmp_path), [0], whole(), quiet=True)
    record = run.store.fit(run.store.tests()[0].fit)
    assert record is not None
    assert run.cohort.outside is not None
    held, _ = again.fitted(
        tasks.of("classification"),
        run.cohort,
        run.folds,
        Fit(record.hparams, record.left_out, run.config.seed, EpochLimit(1), run.cases),
        run.cohort.outside,
    )
    kept = load(run.store.payload(record, "logits.safetensors"))["logits"]
    np.testing.assert_allclose(held, kept, atol=1e-5)
    monkeypatch.setattr(again, "fitted", lambda *_: (held + 0.1, held))
    with pytest.raises(UsageError, match="does not predict its outer fold as it did"):
        external_baselines.seen(run, run.cohort.outside, record)


@pytest.mark.thorough
@pytest.mark.parametrize("tune", ["", "mid"])
def test_a_backbone_embeds_external_cases_by_the_same_weights(tune: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(registry, "_networks", lambda: {"small": pretrained.SMALL})
    monkeypatch.chdir(tmp_path)
    pretrained.write(tmp_path)
    draw, labels = np.random.default_rng(0), np.arange(60) % 2
    images = (draw.integers(0, 120, (60, 20, 24)) + 60 * labels[:, None, None]).astype(np.uint8)
    arrays = {"images": images, "labels": labels, "subject": np.arange(60)}
    sites = np.where(np.arange(60) < 48, "home", "away")
    np.savez("images.npz", **arrays, site=sites)
    home: dict[str, Any] = {name: value[:48] for name, value in arrays.items()}
    np.savez("home.npz", **home, site=sites[:48])
    fields = {"data__cache": "cache", "backbone__name": "small", "backbone__weights": "w.safetensors"}
    fields |= {"backbone__tune": tune, "model__architecture": "tuned" if tune else "linear"}
    fields |= {"data__source": "npz", "folds__count": 3, "folds__scheme": "stratified", "search__trials": 1}
    fields |= {"training__epochs": 2, "training__patience": 2, "training__batch_size": 8}
    fields |= dict(STEPWISE)
    run = tiny.run_config(data__path="images.npz", **EXTERNAL, **fields)
    cohort = embedding.load(run)
    alone = embedding.load(tiny.run_config(data__path="home.npz", **fields))
    assert cohort.hash == alone.hash
    assert cohort.outside is not None
    every = embedding.load(tiny.run_config(data__path="images.npz", **fields))
    np.testing.assert_array_equal(dense(cohort.outside), dense(every)[48:])
    opened = evaluate(run, "run", None, cohort, quiet=True)
    sees_what_was_recorded(opened)
    tests = RunDirectory("run").external_tests()
    assert [len(test.arrays["labels"]) for test in tests] == [12] * 3
    if not tune:
        right = [np.mean(test.arrays["probabilities"].argmax(1) == test.arrays["labels"]) for test in tests]
        assert min(right) > 0.7
    found = RunDirectory("run").external_cases()
    assert found is not None
    assert not found.intensity, "of features there are no pixels"
