"""The flat protocol from end to end: one search, nothing refitted, and a corrected estimate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit
from nachos_jax.metrics.classification import evaluate as metric
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run.status import describe
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from nachos_jax.tasks.classification import TASK
from tests import tiny

pytestmark = pytest.mark.usefixtures("figures_unpainted")
FLAT = {"protocol": "flat", "training__early_stopping": False, "report__replicates": 200, "search__trials": 3}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "flat"
    evaluate(tiny.run_config(**FLAT), str(folder), None, tiny.cohort(), quiet=True)
    page.write(folder)
    return folder


def test_every_trial_is_trained_once_a_fold_and_nothing_else(finished: Path):
    store = RunDirectory(finished)
    fits = list(store.fits())
    assert sorted(fit.left_out for fit in fits) == [(fold,) for fold in range(4) for _ in range(3)]
    assert {fit.epochs for fit in fits} == {4}
    assert store.tests() == []


def test_scores_and_predictions_are_those_of_the_last_epoch(finished: Path):
    store, cohort = RunDirectory(finished), tiny.cohort()
    outcome = store.outcome(None)
    assert outcome is not None
    for ids, score in zip(outcome.fits, outcome.scores, strict=True):
        by_fold = {}
        for name in ids:
            record = store.fit(name)
            assert record is not None
            ((fold, curve),) = record.curves.items()
            logits = load(store.payload(record, "inner.safetensors"))[str(fold)]
            labels = cohort.targets.values[cohort.table.folds == fold]
            value = metric("balanced_accuracy", labels, TASK.predicted(logits), cohort.targets.names).value
            assert curve.score[-1] == value
            by_fold[fold] = value
        assert score.by_fold == by_fold
        assert score.score == pytest.approx(np.mean(np.asarray(list(by_fold.values()), float)))
        assert score.epochs == 4


@pytest.mark.thorough
def test_the_same_fits_as_those_that_run_all_epochs_unwatched(finished: Path):
    run, cohort = tiny.run_config(**FLAT), tiny.cohort()
    store = RunDirectory(finished)
    fit = next(iter(store.fits()))
    alone = tiny.fit(run, fit.left_out, epochs=4, **fit.hparams)
    assert alone.limit == EpochLimit(4)
    logits = load(tiny.train([alone], run, cohort)[1][alone.id]["logits.safetensors"])["logits"]
    kept = load(store.payload(fit, "inner.safetensors"))[str(fit.left_out[0])]
    np.testing.assert_array_equal(kept, logits)


def test_the_summary_quotes_the_corrected_estimate(finished: Path):
    summary = json.loads((finished / "summary.json").read_text())
    found = summary["metrics"]["balanced_accuracy"]
    (interval,) = found["intervals"]
    assert interval["method"] == "bbc"
    assert found["estimate"] == interval["estimate"] != found["mean"]
    assert summary["sentence"].startswith(f"Balanced accuracy {interval['estimate']:.3f} (95 % interval")
    assert "flat 4-fold cross-validation of 3 trials" in summary["sentence"]
    assert "the whole procedure" not in summary["sentence"]
    assert f"{found['mean']:.3f}, is optimistic" in summary["caveats"][0]
    assert "deploy" not in [path.name for path in (finished / "records/evaluate/studies").iterdir()]
    assert "estimate, flat: tested with trial" in describe(str(finished))


def test_it_resumes_to_nothing_and_deploys_by_the_same_rule(finished: Path):
    before = {path: path.read_bytes() for path in (finished / "records/evaluate").rglob("*.json")}
    evaluate(tiny.run_config(**FLAT), str(finished), None, tiny.cohort(), quiet=True)
    assert {p: p.read_bytes() for p in (finished / "records/evaluate").rglob("*.json")} == before
    deploy(tiny.run_config(**FLAT), str(finished), tiny.cohort(), quiet=True)
    model, search = RunDirectory(finished, "deploy").outcome(None), RunDirectory(finished).outcome(None)
    assert model == search
    told = json.loads((finished / "deploy/model.json").read_text())["estimate"]
    assert told.startswith("The estimate in summary.json is that of flat cross-validation")


def test_it_is_searching_until_it_has_an_outcome(finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "copy")
    RunDirectory(tmp_path / "copy").outcome_path(None).unlink()
    assert "estimate, flat: searching, 3 of 3 trials asked" in describe(str(tmp_path / "copy"))


@pytest.mark.thorough
def test_a_lost_search_fit_is_trained_again_by_the_same_command(finished: Path, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    lost = sorted((folder / "records/evaluate/fits").glob("*.json"))[0]
    before = lost.read_bytes()
    lost.unlink()
    evaluate(tiny.run_config(**FLAT), str(folder), None, tiny.cohort(), quiet=True)
    assert lost.read_bytes() == before
    page.write(folder)


@pytest.mark.parametrize(
    ("changes", "cure"),
    [
        ({"search__searcher": "ax"}, "use 'sobol'"),
        ({"search__rule": "one-se"}, "set it to 'best'"),
        ({"training__early_stopping": True}, "config.training.early_stopping = False"),
        ({"folds__repeats": 2, "folds__scheme": "stratified"}, "set it to 1"),
    ],
)
def test_what_the_correction_cannot_stand_is_refused(tmp_path, changes, cure):
    with pytest.raises(UsageError, match=cure):
        evaluate(tiny.run_config(**{**FLAT, **changes}), str(tmp_path), None, tiny.cohort(), quiet=True)
    assert not list(tmp_path.iterdir())


def test_outer_folds_have_no_meaning(tmp_path):
    with pytest.raises(UsageError, match="leave the flag out"):
        evaluate(tiny.run_config(**FLAT), str(tmp_path), [0], tiny.cohort(), quiet=True)
