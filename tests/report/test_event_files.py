"""Event files, read back by TensorBoard itself, against the records."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit, Trial, TrialScore
from nachos_jax.records.schema import Curve, FitRecord, Outcome
from nachos_jax.records.store import RunDirectory, study_name
from nachos_jax.report.tracking import event_files
from tests.report.rivals import edit_run

Points = dict[str, list[tuple[int, float]]]


def accumulated(path: Path, *sizes: Any) -> Any:
    """What TensorBoard, which takes a second to import, reads of an event file or its folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: Any = EventAccumulator(str(path), *sizes)
    found.Reload()
    return found


def read(folder: Path) -> Points:
    """Points of all tags of an event file, (step, value)."""
    assert [path.name for path in folder.iterdir() if path.is_file()] == [event_files.FILE]
    found = accumulated(folder, {"scalars": 0})
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def hyperparameters(folder: Path) -> dict[str, object]:
    """What the hparams plugin gets of an event file."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    found = accumulated(folder)
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    told = vars(plugin_data_pb2)["HParamsPluginData"].FromString(content).session_start_info.hparams
    return {name: getattr(value, str(value.WhichOneof("kind"))) for name, value in told.items()}


def expected(values) -> list[tuple[int, float]]:
    """One point an epoch from 1, in the precision of event files."""
    return [(epoch, float(np.float32(math.nan if v is None else v))) for epoch, v in enumerate(values, 1)]


def same(found: list[tuple[int, float]], wanted: list[tuple[int, float]]) -> bool:
    return [step for step, _ in found] == [step for step, _ in wanted] and np.array_equal(
        [value for _, value in found], [value for _, value in wanted], equal_nan=True
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_point_of_every_fit(make_run, tmp_path):
    directory = make_run(folds=3, trials=3, failed=((1, 2),), inner=False)
    written, total = event_files.write(directory.path, tmp_path / "events")
    fits, seen = {fit.fit: fit for fit in directory.fits()}, set()
    folders = 0
    for study in range(3):
        outcome = directory.outcome(study)
        assert outcome is not None
        for trial, ids in zip(outcome.trials, outcome.fits, strict=True):
            for fit in map(fits.__getitem__, ids):
                (inner,) = (fold for fold in fit.left_out if fold != study)
                points = read(
                    tmp_path
                    / "events"
                    / f"fold_{study:02d}"
                    / f"trial_{trial.number:04d}"
                    / f"inner_{inner:02d}"
                )
                assert set(points) == {"loss/training", "loss/inner_fold", "score/inner_fold"}
                assert same(points["loss/training"], expected(fit.training_loss))
                assert same(points["loss/inner_fold"], expected(fit.curves[inner].loss))
                assert same(points["score/inner_fold"], expected(fit.curves[inner].score))
                seen.add(fit.fit)
                folders += 1
    for test in directory.tests():
        points = read(tmp_path / "events" / study_name(test.outer_fold) / "refit")
        assert set(points) == {"loss/training"}
        assert same(points["loss/training"], expected(test.training_loss))
        seen.add(test.fit)
        folders += 1
    assert seen == set(fits)
    trials = 3 * 3
    assert written == total == folders + trials
    assert len(list((tmp_path / "events").rglob(event_files.FILE))) == total


def test_trials_have_hyperparameters_and_scores(make_run, tmp_path):
    directory = make_run(folds=3, trials=3, failed=((1, 2),), inner=False)
    event_files.write(directory.path, tmp_path)
    for study in range(3):
        outcome = directory.outcome(study)
        assert outcome is not None
        for trial, score in zip(outcome.trials, outcome.scores, strict=True):
            folder = tmp_path / f"fold_{study:02d}" / f"trial_{trial.number:04d}"
            points = accumulated(folder / event_files.FILE)
            found = {
                tag: [(e.step, e.value) for e in points.Scalars(tag)] for tag in points.Tags()["scalars"]
            }
            for name in ("score", "spread"):
                value = getattr(score, name)
                wanted = (score.epochs or 0, float(np.float32(math.nan if value is None else value)))
                assert same(found[f"trial/{name}"], [wanted])
            assert found["trial/selected"][0][1] == float(trial.number == outcome.selected)
            assert hyperparameters(folder / event_files.FILE) == dict(trial.hparams)
        refit = tmp_path / f"fold_{study:02d}" / "refit"
        assert hyperparameters(refit) == dict(outcome.trials[outcome.selected].hparams)


def test_writing_again_changes_no_byte(make_run, tmp_path):
    directory = make_run(folds=3, trials=2, inner=False)
    _, total = event_files.write(directory.path, tmp_path)
    before = contents(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert event_files.write(directory.path, tmp_path) == (0, total)
    assert contents(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_a_run_on_its_way_is_extended(make_run, tmp_path):
    directory = make_run(folds=3, trials=2, inner=False)
    event_files.write(directory.path, tmp_path / "whole")
    hidden = [
        directory.folder / "studies" / "fold_02" / "outcome.json",
        directory.folder / "tests" / "fold_02.json",
    ]
    test = directory.tests()[2]
    hidden += [directory.folder / "fits" / f"{test.fit}.json"]
    kept = {path: path.read_bytes() for path in hidden}
    for path in hidden:
        path.unlink()
    _, total = event_files.write(directory.path, tmp_path / "part")
    part = contents(tmp_path / "part")
    assert not (tmp_path / "part" / "fold_02" / "refit").exists()
    assert read(tmp_path / "part" / "fold_02" / "trial_0001" / "inner_00")["loss/training"]
    for path, data in kept.items():
        path.write_bytes(data)
    assert event_files.write(directory.path, tmp_path / "part") == (3, total + 1)  # two trials and a refit
    whole = contents(tmp_path / "whole")
    assert contents(tmp_path / "part") == whole
    for name, data in part.items():
        assert whole[name].startswith(data)


def test_a_refit_that_is_not_tested_yet(make_run, tmp_path):
    directory = make_run(folds=3, trials=2, inner=False)
    (directory.folder / "tests" / "fold_01.json").unlink()
    event_files.write(directory.path, tmp_path)
    assert read(tmp_path / "fold_01" / "refit")["loss/training"]
    assert not (tmp_path / "fits").exists()


def test_repeats_stay_apart(make_run, tmp_path):
    directory = make_run(folds=3, repeats=2, trials=1, inner=False)
    event_files.write(directory.path, tmp_path)
    assert {path.name for path in (tmp_path / "fold_04" / "trial_0000").iterdir() if path.is_dir()} == {
        "inner_03",
        "inner_05",
    }


def test_a_fit_of_no_study_is_shown_too(make_run, tmp_path):
    directory = make_run(folds=3, trials=1, inner=False)
    lone = next(fit for fit in directory.fits() if fit.curves)
    odd = dataclasses.replace(lone, fit="0123456789abcdef", hparams={"learning_rate": 0.5}, payload={})
    directory.commit_fit(odd, {})
    event_files.write(directory.path, tmp_path)
    points = read(tmp_path / "fits" / odd.fit)
    for fold, curve in odd.curves.items():
        assert same(points[f"loss/fold_{fold:02d}"], expected(curve.loss))
    assert hyperparameters(tmp_path / "fits" / odd.fit) == {"learning_rate": 0.5}


def test_the_deployment_is_included(make_run, tmp_path):
    path = make_run(folds=3, trials=1, inner=False).path
    store = RunDirectory(path, "deploy")
    trial = Trial(None, 0, {"learning_rate": 0.1, "nesterov": True}, "default")
    store.commit_trial(trial)
    ids = []
    for fold in range(3):
        fit = Fit(trial.hparams, (fold,), 0, EpochLimit(9), "cases")
        curve = Curve((1.0, None), (0.5, None), "nan")
        store.commit_fit(
            FitRecord(fit.id, (fold,), trial.hparams, 9, "done", 2, 5, (1.0, 0.5), {fold: curve}), {}
        )
        ids.append(fit.id)
    score = TrialScore(0.5, 0.1, 2, 5, "done", {0: 0.5, 1: 0.4, 2: 0.6})
    store.commit_outcome(Outcome(None, "accuracy", "best", (trial,), (score,), (tuple(ids),), 0, 2))
    final = Fit(trial.hparams, (), 0, EpochLimit(2), "cases")
    store.commit_fit(FitRecord(final.id, (), trial.hparams, 2, "done", 2, 5, (0.9, 0.4)), {})
    event_files.write(path, tmp_path / "events")
    deploy = tmp_path / "events" / "deploy"
    for fold in range(3):
        points = read(deploy / "trial_0000" / f"inner_{fold:02d}")
        assert same(points["score/inner_fold"], [(1, 0.5), (2, math.nan)])
    assert same(read(deploy / "refit")["loss/training"], expected((0.9, 0.4)))
    assert hyperparameters(deploy / "refit") == {"learning_rate": 0.1, "nesterov": True}


def test_the_one_study_of_the_flat_protocol(make_run, tmp_path):
    directory = make_run(folds=3, tested=(), inner=False)
    edit_run(directory.path, lambda run: run["config"].update(protocol="flat"))
    trial = Trial(None, 0, {"learning_rate": 0.1}, "default")
    directory.commit_trial(trial)
    records = []
    for fold in range(3):
        fit = Fit(trial.hparams, (fold,), 0, EpochLimit(2), "cases")
        curve = Curve((1.0, 0.5 + fold), (0.5, 0.25), "limit")
        records.append(FitRecord(fit.id, (fold,), trial.hparams, 2, "done", 2, 5, (1.0, 0.5), {fold: curve}))
        directory.commit_fit(records[-1], {})
    assert event_files.write(directory.path, tmp_path / "events") == (4, 4)
    for fold, record in enumerate(records):
        points = read(tmp_path / "events" / "flat" / "trial_0000" / f"inner_{fold:02d}")
        assert same(points["loss/inner_fold"], expected(record.curves[fold].loss))


def test_the_folder_of_another_run_is_refused(make_run, tmp_path):
    directory = make_run(folds=3, trials=1, inner=False)
    event_files.write(directory.path, tmp_path / "events")
    edit_run(directory.path, lambda run: run["config"].update(seed=5))
    before = contents(tmp_path / "events")
    with pytest.raises(UsageError, match="holds the event files of another run"):
        event_files.write(directory.path, tmp_path / "events")
    assert contents(tmp_path / "events") == before
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        event_files.write(directory.path, tmp_path / "file")
    with pytest.raises(UsageError, match="holds no run"):
        event_files.write(tmp_path, tmp_path / "events")


def test_without_the_package_the_cure_is_told(make_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(UsageError, match=r"pip install 'nachos_jax\[tracking\]'"):
        event_files.write(make_run(tested=()).path, tmp_path / "events")
    assert not (tmp_path / "events").exists()
