"""Nested cross-validation from end to end on the tiny study."""

from __future__ import annotations

import csv
import html
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load
from scipy.special import softmax

import nachos_jax
from nachos_jax.core.errors import UsageError
from nachos_jax.engine import pool as pools
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run import environment
from nachos_jax.protocol.run.status import describe
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from tests import tiny
from tests.records import seals

pytestmark = pytest.mark.usefixtures("all_unpainted")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "tiny"
    evaluate(tiny.run_config(), str(folder), None, tiny.cohort(), quiet=True)
    page.write(folder)
    return folder


def test_every_case_is_tested_once_by_a_model_that_did_not_see_its_subject(finished: Path):
    store = RunDirectory(finished)
    cohort = tiny.cohort()
    tests = store.tests()
    assert sorted(name for test in tests for name in test.cases) == sorted(cohort.table.names)
    refits = {record.fit: record for record in store.fits()}
    for test in tests:
        assert refits[test.fit].left_out == (test.outer_fold,)
        assert refits[test.fit].epochs == store.outcome(test.outer_fold).epochs  # pyrefly: ignore[missing-attribute]
        np.testing.assert_allclose(test.arrays["probabilities"].sum(axis=1), 1.0, rtol=1e-5)


def test_predictions_are_not_rounded_so_that_confident_cases_do_not_tie(finished: Path):
    store = RunDirectory(finished)
    refits = {record.fit: record for record in store.fits()}
    for test in store.tests():
        logits = load(store.payload(refits[test.fit], "logits.safetensors"))["logits"]
        wanted = softmax(logits.astype(np.float64), axis=1)
        np.testing.assert_allclose(test.arrays["probabilities"], wanted, rtol=1e-12)


def test_shared_trials_are_trained_once_a_pair(finished: Path):
    fits = list(RunDirectory(finished).fits())
    searched = [fit for fit in fits if len(fit.left_out) == 2]
    assert len(searched) == 3 * 6, "3 trials x K(K-1)/2 pairs, not K(K-1)"
    assert len(fits) == len(searched) + 4
    outcomes = [RunDirectory(finished).outcome(fold) for fold in range(4)]
    assert len({tuple(map(str, outcome.trials[1].hparams.values())) for outcome in outcomes if outcome}) == 1


def test_outcomes_follow_from_the_fit_records_by_the_rule(finished: Path):
    """A direct reading of DESIGN 3.1, from the records alone."""
    store = RunDirectory(finished)
    records = {record.fit: record for record in store.fits()}
    for outer in range(4):
        outcome = store.outcome(outer)
        assert outcome is not None
        scores, epochs = [], []
        for fits in outcome.fits:
            best = []
            for fit in fits:
                (inner,) = set(records[fit].left_out) - {outer}
                curve = records[fit].curves[inner]
                loss = [np.inf if x is None else x for x in curve.loss]
                best.append((curve.score[int(np.argmin(loss))], int(np.argmin(loss)) + 1))
            reached = np.asarray([b[0] for b in best], float)
            scores.append((np.mean(reached), -np.std(reached, ddof=1)))
            epochs.append(round(float(np.mean([b[1] for b in best]))))
        for found, (mean, spread), epoch in zip(outcome.scores, scores, epochs, strict=True):
            assert found.score == pytest.approx(mean, abs=1e-12)
            assert found.spread == pytest.approx(-spread, abs=1e-12)
            assert found.epochs == epoch
        chosen = max(range(len(scores)), key=lambda number: (*np.round(scores[number], 12), -number))
        assert (outcome.selected, outcome.epochs) == (chosen, epochs[chosen])


def test_the_default_configuration_is_always_a_trial(finished: Path):
    for outer in range(4):
        first = RunDirectory(finished).trials(outer)[0]
        assert first.origin == "default"
        assert first.hparams["learning_rate"] == tiny.run_config().defaults["learning_rate"]


def test_a_finished_run_is_not_trained_again(finished: Path, monkeypatch):
    before = {path: path.read_bytes() for path in (finished / "records").rglob("*.json")}
    monkeypatch.setattr(pools.LanePool, "step", lambda _: pytest.fail("a finished fit was trained again"))
    evaluate(tiny.run_config(), str(finished), None, tiny.cohort(), quiet=True)
    assert {path: path.read_bytes() for path in (finished / "records").rglob("*.json")} == before


def test_nothing_is_left_over_once_nothing_is_left_to_train(finished: Path, tmp_path: Path):
    assert not (finished / "checkpoints").exists()
    run = shutil.copytree(finished, tmp_path / "run")
    old = run / "checkpoints" / "evaluate" / "20260101T000000-0a0b0c0d-p0" / ("0" * 16)
    for path in (
        old / "state",
        run / "checkpoints" / "mine",
        run / ".tmp-abcd_123",
        run / "report" / ".tmp-abcdefgh",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    evaluate(tiny.run_config(), str(run), None, tiny.cohort(), quiet=True)
    left = {str(path.relative_to(run)) for path in run.rglob("*")} - {
        str(path.relative_to(finished)) for path in finished.rglob("*")
    }
    assert left == {"checkpoints", "checkpoints/mine"}


@pytest.mark.thorough
def test_other_versions_of_packages_are_told_with_both(finished: Path, tmp_path: Path, caplog):
    run = shutil.copytree(finished, tmp_path / "run")
    now = environment.versions()["jax"]
    command = ["nachos", "evaluate", "--config.search.space.dropout=uniform(0.0, 0.5)", "--workdir=my runs"]
    versions = {**environment.versions(), "jax": "0.0.1"}
    seals.edit(run / "records" / "run.json", versions=versions, command=command)
    evaluate(tiny.run_config(), str(run), None, tiny.cohort(), quiet=True)
    assert f"began with jax 0.0.1 and goes on with {now}" in caplog.text
    told = json.loads((run / "environment.json").read_text())
    assert (told["versions_before"], told["versions"]["jax"]) == ({"jax": "0.0.1"}, now)
    page.write(run)
    text = html.unescape((run / "report" / "index.html").read_text())
    assert f"0.0.1, then {now}" in text
    assert shlex.join(command) in text, "it can be pasted into a shell"


def test_deleted_tests_and_outcomes_are_rebuilt_from_fits(finished: Path, monkeypatch):
    store = RunDirectory(finished)
    lost = [store.folder / "tests" / "fold_01.json", store.folder / "studies" / "fold_02" / "outcome.json"]
    lost.append(store.folder / "tests" / "fold_02.json")
    before = {path: path.read_bytes() for path in lost}
    for path in lost:
        path.unlink()
    monkeypatch.setattr(pools.LanePool, "step", lambda _: pytest.fail("a finished fit was trained again"))
    evaluate(tiny.run_config(), str(finished), None, tiny.cohort(), quiet=True)
    assert {path: path.read_bytes() for path in lost} == before


def readable(workdir: Path) -> dict[str, bytes]:
    """What a report depends on the records for: every file outside of records/ that is not a log of times."""
    skipped = ("records", "checkpoints", "logs")
    files = (path for path in workdir.rglob("*") if path.is_file())
    found = {path.relative_to(workdir): path.read_bytes() for path in files}
    return {str(name): data for name, data in found.items() if name.parts[0] not in skipped}


def test_all_but_the_records_can_be_deleted_and_comes_back_byte_by_byte(finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")

    def again() -> dict[str, bytes]:
        evaluate(tiny.run_config(), str(run), None, tiny.cohort(), quiet=True)
        page.write(run)
        return readable(run)

    before = again()
    assert {"folds.csv", "predictions.csv", "trials.csv", "summary.json", "subgroups.csv"} <= before.keys()
    for path in run.iterdir():
        if path.name != "records":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "4 of 4 outer folds tested" in describe(str(run))
    page.write(run)  # needs nothing but records
    assert readable(run).items() <= before.items()
    assert again() == before


@pytest.mark.thorough
def test_a_run_of_an_older_version_keeps_its_folds_in_folds_csv_alone(finished: Path, tmp_path: Path):
    run, whole = (shutil.copytree(finished, tmp_path / name) for name in ("run", "whole"))
    seals.remove(run)
    seals.remove(whole)
    page.write(run)
    assert "without digests" in (run / "report" / "index.html").read_text()
    assert "without digests" in describe(str(run))
    (run / "records" / "cases.json").unlink()
    (run / "records" / "groups.json").unlink()
    before = readable(run)
    page.write(run)
    assert readable(run) == before
    evaluate(tiny.run_config(), str(run), None, tiny.cohort(), quiet=True)
    for name in ("cases.json", "groups.json"):
        assert (run / "records" / name).read_bytes() == (whole / "records" / name).read_bytes()
    (run / "records" / "cases.json").unlink()
    (run / "folds.csv").unlink()
    with pytest.raises(UsageError, match=r"folds\.csv is missing"):
        page.write(run)


@pytest.mark.thorough
def test_outer_folds_one_after_the_other_give_the_same_predictions(finished: Path, tmp_path: Path):
    run, cohort = tiny.run_config(), tiny.cohort()
    evaluate(run, str(tmp_path), [3, 0], cohort, quiet=True)
    page.write(tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["progress"] != {}
    evaluate(run, str(tmp_path), [1], cohort, quiet=True)
    evaluate(run, str(tmp_path), None, cohort, quiet=True)
    page.write(tmp_path)
    for name in ("predictions.csv", "folds.csv", "trials.csv"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_a_changed_config_is_refused_with_the_difference(finished: Path):
    before = sorted(path.name for path in finished.rglob("*"))
    other = tiny.run_config(training__epochs=5)
    with pytest.raises(UsageError, match=r"training.epochs: 4 -> 5"):
        evaluate(other, str(finished), None, tiny.cohort(), quiet=True)
    assert sorted(path.name for path in finished.rglob("*")) == before


def test_engine_settings_may_change(finished: Path):
    evaluate(tiny.run_config(engine__lanes=3), str(finished), None, tiny.cohort(), quiet=True)


def test_status_tells_where_the_run_stands(finished: Path, tmp_path: Path):
    text = describe(str(finished))
    assert "4 of 4 outer folds tested" in text
    assert "22 fits" in text
    with pytest.raises(UsageError, match="holds no run"):
        describe(str(tmp_path))


@pytest.mark.thorough
def test_repeats_divide_the_cases_anew(tmp_path: Path):
    images, labels, _ = tiny.arrays()
    cohort = nachos_jax.cohort_from_arrays(images, labels, one_case_per_subject=True)
    config = tiny.config(folds__scheme="stratified", folds__count=3, folds__repeats=2, search__trials=1)
    config.training.epochs = 1
    summary = nachos_jax.evaluate(config, tmp_path, cohort)
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    assert len(rows) == 2 * len(labels)
    assert {row["repeat"] for row in rows} == {"1", "2"}
    assert {row["outer_fold"] for row in rows} == set("012345")
    assert len(summary["metrics"]["accuracy"]["folds"]) == 6


@pytest.mark.thorough
def test_leave_one_site_out_with_single_class_sites(tmp_path: Path):
    images, labels, _ = tiny.arrays()
    sites = np.asarray(["ABCD"[case // 2 % 4] for case in range(len(labels))])
    sites[labels == 2] = "C"
    keep = (sites != "A") | (labels == 0)
    cohort = nachos_jax.cohort_from_arrays(
        images[keep], labels[keep], sites=sites[keep], one_case_per_subject=True
    )
    config = tiny.config(folds__scheme="site", search__trials=1, training__epochs=1)
    config.training.batch_size = 4
    summary = nachos_jax.evaluate(config, tmp_path, cohort)
    auc = summary["metrics"]["auc"]["folds"]
    assert auc["0"]["value"] is None
    assert "class" in auc["0"]["note"] or "no case" in auc["0"]["note"]
    with pytest.raises(UsageError, match=r"'auc' is undefined on fold 0"):
        nachos_jax.evaluate(tiny.config(folds__scheme="site", search__metric="auc"), tmp_path / "b", cohort)
