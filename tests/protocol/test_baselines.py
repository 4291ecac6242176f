"""Baselines of scikit-learn in the frame of networks: same folds, records, report; refusals at the door."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.cli import main
from nachos_jax.core.errors import UsageError
from nachos_jax.data.store import Dense
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run import baselines, door
from nachos_jax.records.store import RunDirectory
from tests import tiny, vectors
from tests.protocol.test_leak import OUTER

STEPWISE = {f"search__space__{name}": "" for name in ("learning_rate", "momentum", "weight_decay")}


def images_run(architecture: str = "random_forest", **changes):
    quick = {"model__random_forest__trees": 10, "search__space__random_forest__leaf": "choice(1, 3, 9)"}
    quick |= {"search__policy": "race", "report__gallery": 12, "engine__lanes": 1}
    return tiny.run_config(model__architecture=architecture, **{**STEPWISE, **quick, **changes})


@pytest.fixture(scope="module")
def forest(tmp_path_factory) -> Path:
    """A forest on the pixels of the tiny study, under the race."""
    workdir = tmp_path_factory.mktemp("forest")
    evaluate(images_run(), str(workdir), cohort=tiny.cohort(), quiet=True)
    assert main.main(["nachos", "report", f"--workdir={workdir}"]) == 0
    return workdir


def test_a_baseline_goes_from_images_to_the_report(forest):
    summary = json.loads((forest / "summary.json").read_text())
    assert summary["metrics"]["accuracy"]["mean"] > 0.6
    assert summary["headline"] == "balanced_accuracy"
    page = (forest / "report/index.html").read_text()
    assert "Models of scikit-learn" in page
    assert "Weights start at random" not in page
    assert not (forest / "explanations").exists(), "nothing of a forest is kept that could be looked into"
    assert not (forest / "report/figures/learning.svg").exists()
    files = [path for path in forest.rglob("*") if path.is_file()]
    assert not [path.name for path in files if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert not [path.name for path in files if "weights" in path.name]


def test_a_finished_run_trains_nothing_again(forest):
    records = {path: path.read_bytes() for path in (forest / "records").rglob("*.json")}
    evaluate(images_run(), str(forest), cohort=tiny.cohort(), quiet=True)
    fits = [path for path in records if "fits" in path.parts]
    assert fits
    assert all(path.read_bytes() == records[path] for path in fits)


@pytest.mark.thorough
def test_nothing_of_a_test_fold_reaches_its_study(forest, tmp_path):
    cohort = tiny.cohort("float32")
    run = images_run(data__equal_images="accept")  # all pixels of a fold are NaN
    evaluate(run, str(tmp_path / "clean"), [OUTER], cohort, quiet=True)
    assert isinstance(cohort.store, Dense)
    values, labels = np.array(cohort.store.values), cohort.targets.values.copy()
    inside = tiny.folds(cohort).cases(OUTER)
    values[inside] = np.nan
    labels[inside] = np.random.default_rng(1).permutation(labels[inside])
    targets = dataclasses.replace(cohort.targets, values=labels)
    store = dataclasses.replace(cohort.store, values=values)
    spoilt = dataclasses.replace(cohort, store=store, targets=targets)
    with np.errstate(invalid="ignore"):
        evaluate(run, str(tmp_path / "spoilt"), cohort=spoilt, outer_folds=(OUTER,), quiet=True)
    assert inside_of(tmp_path / "clean") == inside_of(tmp_path / "spoilt")


def inside_of(workdir: Path) -> tuple:
    """All that the study of fold OUTER made: trials, scores, choice, and what its fits predicted inside."""
    store = RunDirectory(workdir)
    outcome = store.outcome(OUTER)
    assert outcome is not None
    records = [record for record in store.fits() if OUTER in record.left_out]
    losses = {record.fit: record.training_loss for record in records}
    own = {fit for ids in outcome.fits for fit in ids}
    inner = {r.fit: load(store.payload(r, "inner.safetensors")) for r in records if r.fit in own}
    told = {fit: {k: v.tolist() for k, v in a.items() if k != str(OUTER)} for fit, a in inner.items()}
    assert len(told) > 3
    return outcome.trials, outcome.scores, outcome.selected, losses, told


def test_a_network_is_compared_with_a_baseline_fold_by_fold(forest, tmp_path, capsys):
    evaluate(tiny.run_config(search__trials=1), str(tmp_path), cohort=tiny.cohort(), quiet=True)
    capsys.readouterr()
    assert main.main(["nachos", "compare", f"--runs={tmp_path},{forest}"]) == 0
    assert "corrected" in capsys.readouterr().out


def test_a_baseline_is_not_deployed(tmp_path):
    with pytest.raises(UsageError, match="random_forest is a baseline.*'linear'"):
        deploy(images_run(), str(tmp_path / "run"), cohort=tiny.cohort(), quiet=True)
    assert not (tmp_path / "run/deploy").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"augmentation__rotation": 10.0}, "config.augmentation.rotation.*nothing is augmented"),
        ({"search__space__weight_decay": "log(0.1, 1.0)"}, "config.search.space.weight_decay.*does nothing"),
        ({"task__classification__loss": "cumulative_link"}, "has a loss of its own"),
        ({"data__residency": "stream"}, "random_forest is fitted to all cases at once; set it to 'auto'"),
        ({"search__rule": "one-se"}, "all trials of random_forest have as many: set it to 'best'"),
    ],
)
def test_what_a_baseline_would_ignore_is_refused(changes, told):
    cohort = tiny.cohort()
    with pytest.raises(UsageError, match=told):
        door.check(images_run(**changes), cohort, tiny.folds(cohort))


def test_the_cheapest_of_what_is_counted_and_what_is_not_is_refused():
    mixed = {"search__space__architecture": "choice('cnn', 'random_forest')", "search__rule": "one-se"}
    cohort = tiny.cohort()
    with pytest.raises(UsageError, match="not counted of random_forest: set it to 'best'"):
        door.check(tiny.run_config(**mixed), cohort, tiny.folds(cohort))


def test_a_baseline_predicts_what_it_can(monkeypatch):
    cohort = vectors.cohort()
    run = vectors.run_config("logistic", task__name="regression")
    with pytest.raises(
        UsageError, match="'logistic': it does not predict.*gradient_boosting and random_forest do"
    ):
        baselines.check(run, cohort)
    monkeypatch.setattr(baselines, "WIDEST", 35)
    with pytest.raises(UsageError, match=r"36 numbers \(6 x 6 x 1\): at most 35.*config.data.height"):
        baselines.check(images_run(), tiny.cohort())
    monkeypatch.setattr(baselines, "WIDEST", 6)
    with pytest.raises(UsageError, match=r"7 numbers \(7\): at most 6.*config.data.exclude"):
        baselines.check(vectors.run_config("logistic"), cohort)


def test_a_plan_counts_fits_and_no_memory(tmp_path, capsys):
    values, labels, subjects, folds = vectors.arrays()
    np.savez(tmp_path / "v.npz", features=values, labels=labels, subjects=subjects, folds=folds)
    words = [f"--config.data.path={tmp_path / 'v.npz'}", "--config.data.source=vectors"]
    words += ["--config.data.subject_key=subjects", "--devices=1"]
    assert main.main(["nachos", "plan", "--config=baseline:gradient_boosting", *words]) == 0
    assert "architecture=gradient_boosting" in capsys.readouterr().out
    assert main.main(["nachos", "plan", "--config=baseline:logistic", *words, "--measure=1"]) == 2
    assert "logistic is fitted on the host" in capsys.readouterr().err
