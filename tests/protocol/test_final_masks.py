"""Final masks: chosen inside each study, applied outside, recorded and shipped; nothing else is changed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import nibabel
import numpy as np
import pytest
from safetensors.numpy import load

import nachos_jax
from nachos_jax.cli.main import main
from nachos_jax.core.errors import UsageError
from nachos_jax.data import nifti
from nachos_jax.data.ragged import Ragged, Volume
from nachos_jax.data.table import Cohort
from nachos_jax.metrics import components, overlap
from nachos_jax.metrics.components import Largest
from nachos_jax.protocol.deploy import deploy, network_fits
from nachos_jax.protocol.design import protocols
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import external, final_masks, tested_masks
from nachos_jax.protocol.model.segmenter import together
from nachos_jax.protocol.plan import fits as plan_fits
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from tests import masks, tiny
from tests.data.test_mask_files import AFFINE
from tests.protocol.test_leak import OUTER
from tests.protocol.test_masks import spoilt

pytestmark = pytest.mark.usefixtures("quick_compilation")

FIRST = 0
"""An outer fold whose number comes before those of its inner folds in all that a fit leaves out."""
FINAL: dict[str, Any] = {
    "task__ensemble": 2,
    "task__largest_component": True,
    # Networks of two sizes, one of which is best and one the next.
    "search__space__segmentation__loss": "",
    "search__space__unet__convolutions": "choice(0, 1)",
    "search__space__learning_rate": "",
    "search__space__weight_decay": "",
    "search__searcher": "grid",
}
ONE_SIZE = {name: FINAL[name] for name in FINAL if not name.endswith(("unet__convolutions", "loss"))}
"""The same with a choice of losses, for which one program is compiled, that of test_masks.py."""


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    given = [dataclasses.replace(pair, image=pair.image.astype(np.float32)) for pair in masks.pairs()]
    return masks.cohort(masks.PLAIN, given, ("left", "right"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cohort: Cohort) -> Path:
    """The run directory of an estimate and its model."""
    workdir = tmp_path_factory.mktemp("final")
    run = checked(masks.config(**FINAL))
    evaluate(run, str(workdir), None, cohort, quiet=True)
    deploy(run, str(workdir), cohort, quiet=True)
    return workdir


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory, cohort: Cohort) -> Path:
    """The run directory of outer fold FIRST, which is tested as those of all are."""
    workdir = tmp_path_factory.mktemp("studied")
    evaluate(checked(masks.config(**ONE_SIZE)), str(workdir), [FIRST], cohort, quiet=True)
    return workdir


def inside(workdir: Path) -> tuple:
    """All that the study of fold OUTER made for its final masks, but ids, which name the case table."""
    store = RunDirectory(workdir)
    choice, outcome = store.mask_choice(OUTER), store.outcome(OUTER)
    assert choice is not None
    assert outcome is not None
    refits = [record for record in store.fits() if record.left_out == (OUTER,)]
    assert len(refits) == 2
    weights = [store.payload(record, "weights.safetensors") for record in refits]
    chosen = (outcome.trials, outcome.scores, outcome.selected, outcome.epochs)
    return (*chosen, dataclasses.replace(choice, inner=()), sorted(weights))


@pytest.mark.thorough
def test_nothing_of_a_test_fold_reaches_its_choice(cohort: Cohort, finished: Path, tmp_path: Path):
    dirty = checked(masks.config(data__equal_images="accept", **FINAL))
    evaluate(dirty, str(tmp_path), [OUTER], spoilt(cohort), quiet=True)
    assert inside(tmp_path) == inside(finished)


def test_the_choice_is_made_on_cases_that_its_fits_did_not_see(cohort: Cohort, studied: Path):
    opened = open_run(checked(masks.config(**ONE_SIZE)), str(studied), "evaluate", cohort)
    store = opened.store
    assert isinstance(cohort.store, Ragged)
    for outer in (FIRST,):
        choice, outcome = store.mask_choice(outer), store.outcome(outer)
        assert choice is not None
        assert outcome is not None
        assert list(choice.trials) == [outcome.selected, 1 - outcome.selected]
        judges = [store.fit(fit) for fit in choice.inner]
        dice = []
        for record, inner in zip(judges, opened.folds.inner(outer), strict=True):
            assert record is not None
            assert record.left_out == tuple(sorted((outer, inner)))
            held = load(store.payload(record, "volumes.safetensors"))["volumes"]
            assert len(held) == opened.folds.cases(inner).sum()
            assert record.limit == outcome.epochs
            assert record.hparams == outcome.trials[outcome.selected].hparams
            mask_of = tested_masks.masks(opened.cohort.store, tested_masks.of_fit(opened, record))
            for row in np.flatnonzero(opened.folds.cases(inner)).tolist():
                ways = components.ways(mask_of(row), 2)
                truth, _ = cohort.store.truth(row)
                dice.append([overlap.dice(overlap.voxels(truth, way, 2)) for way in ways])
        assert choice.cases == len(dice) == np.sum(~opened.folds.cases(outer))
        assert final_masks.kept(choice) == components.chosen(np.array(dice))


def test_the_test_is_of_all_members_with_what_was_chosen(cohort: Cohort, studied: Path):
    opened = open_run(checked(masks.config(**ONE_SIZE)), str(studied), "evaluate", cohort)
    assert isinstance(cohort.store, Ragged)
    assert len(opened.store.tests()) == 1
    for test in opened.store.tests():
        choice, outcome = opened.store.mask_choice(test.outer_fold), opened.store.outcome(test.outer_fold)
        assert choice is not None
        assert outcome is not None
        refits = [record for record in opened.store.fits() if record.left_out == (test.outer_fold,)]
        assert {record.epochs for record in refits} <= {score.epochs for score in outcome.scores}
        assert len({str(record.hparams) for record in refits}) == 2
        whole = together(tested_masks.of_fit(opened, record) for record in refits)
        row = int(np.flatnonzero(cohort.table.names == test.cases[0])[0])
        mask = final_masks.kept(choice).of(tested_masks.masks(opened.cohort.store, whole)(row))
        truth, spacing = cohort.store.truth(row)
        wanted = overlap.voxels(truth, mask, 2) * np.prod(spacing)
        np.testing.assert_allclose(test.arrays["final_volumes"][0], wanted)


def test_the_estimate_of_the_selected_trial_alone_is_what_it_was(
    cohort: Cohort, studied: Path, tmp_path: Path
):
    plain = {name: value for name, value in ONE_SIZE.items() if not name.startswith("task__")}
    evaluate(checked(masks.config(**plain)), str(tmp_path), [FIRST], cohort, quiet=True)
    [test] = RunDirectory(tmp_path).tests()
    [beside] = RunDirectory(studied).tests()
    assert test.fit == beside.fit
    for name, values in test.arrays.items():
        np.testing.assert_array_equal(values, beside.arrays[name])
    assert not [name for name in test.arrays if name.startswith("final")]
    assert RunDirectory(tmp_path).mask_choice(FIRST) is None


@pytest.mark.thorough
def test_the_report_shows_the_final_masks_and_who_chose_them(finished: Path):
    text = page.write(finished).read_text(encoding="utf-8")
    found = json.loads((finished / "summary.json").read_text(encoding="utf-8"))["final_masks"]
    assert "Final masks: mean Dice" in text
    assert "Dice, final" in text
    tests = RunDirectory(finished).tests()
    each = [overlap.dice(test.arrays["final_volumes"]).mean() for test in tests]
    assert found["dice"]["mean"] == pytest.approx(np.mean(each))
    gains = [found["dice"]["folds"][str(k)] - found["alone"]["folds"][str(k)] for k in range(masks.FOLDS)]
    assert found["gain"]["mean"] == pytest.approx(np.mean(gains))
    assert set(found["studies"]) == {"0", "1", "2"}


@pytest.mark.thorough
def test_the_model_segments_with_its_members_and_keeps_what_was_chosen(cohort: Cohort, finished: Path):
    told = json.loads((finished / "deploy/model.json").read_text(encoding="utf-8"))
    assert [len(told["weights"]), len(told["members"])] == [2, 2]
    assert {one["hparams"]["unet.convolutions"] for one in told["members"]} == {0, 1}
    model = nachos_jax.load(finished / "deploy")
    assert model.segmenter is not None
    assert isinstance(cohort.store, Ragged)
    images = [cohort.store.one(row) for row in range(3)]
    # A model that keeps all gives what the other one keeps the largest of.
    kept = Largest(told["largest_component"]["together"], tuple(told["largest_component"]["classes"]))
    whole = nachos_jax.load(finished / "deploy")
    whole.description["largest_component"] |= {"together": False, "classes": []}  # pyrefly: ignore[unsupported-operation]
    for number, (mask, found) in enumerate(zip(whole.segment(images), model.segment(images), strict=True)):
        np.testing.assert_array_equal(kept.of(mask), found, err_msg=str(number))
    model.description["largest_component"] |= {"together": True, "classes": []}  # pyrefly: ignore[unsupported-operation]
    for mask, found in zip(whole.segment(images), model.segment(images), strict=True):
        np.testing.assert_array_equal(components.keep_largest_foreground(mask), found)


@pytest.mark.thorough
def test_predicted_files_hold_the_final_masks(cohort: Cohort, finished: Path, tmp_path: Path):
    """By the command: members together, the components that were chosen, on the grid of each file."""
    model = nachos_jax.load(finished / "deploy")
    assert isinstance(cohort.store, Ragged)
    images = [cohort.store.one(row)[..., 0] for row in range(3)]
    for number, image in enumerate(images):
        nifti.write(tmp_path / f"c{number}.nii.gz", image, AFFINE)
    output = tmp_path.parent / f"{tmp_path.name}_masks"
    words = [f"--model={finished / 'deploy'}", f"--input={tmp_path}", f"--output={output}"]
    assert main(["nachos", "predict", *words]) == 0
    assert model.segmenter is not None
    told = model.description["largest_component"]
    keep = Largest(told["together"], tuple(told["classes"]))
    for number, image in enumerate(images):
        mask = model.segment(image)
        found = nibabel.load(output / f"c{number}.nii.gz")
        np.testing.assert_array_equal(np.asarray(found.dataobj), mask)  # pyrefly: ignore[missing-attribute]
        np.testing.assert_array_equal(found.affine, AFFINE)  # pyrefly: ignore[missing-attribute]
        # The mean over the networks of both configurations, and of it what was chosen.
        volume = Volume(image[..., None], np.zeros(image.shape, np.uint8), (2.0, 1.0, 1.0))
        each = [
            dataclasses.replace(model.segmenter, members=(member,)).probabilities(volume, (16, 16, 16))
            for member in model.segmenter.members
        ]
        np.testing.assert_array_equal(keep.of(np.argmax(np.mean(each, axis=0), axis=-1)), mask)


@pytest.mark.thorough
def test_external_cases_meet_the_model_as_it_ships(cohort: Cohort, finished: Path, tmp_path: Path):
    opened = open_run(
        checked(masks.config(**FINAL)), str(shutil.copytree(finished, tmp_path / "run")), "deploy", cohort
    )
    opened = dataclasses.replace(opened, cohort=dataclasses.replace(cohort, outside=cohort))
    outcome, choice = opened.store.outcome(None), opened.store.mask_choice(None)
    assert outcome is not None
    assert choice is not None
    study = protocols.of(opened.config).deployment(opened.folds, opened.cases, opened.config)
    records = [record for fit in network_fits(study, outcome) if (record := opened.store.fit(fit.id))]
    assert len({record.hparams["unet.convolutions"] for record in records}) == 2
    external.test_deployed(opened, records, Largest(True, ()))
    [test] = opened.store.external_tests()
    model = nachos_jax.load(finished / "deploy")
    model.description["largest_component"] = {"together": True, "classes": []}  # pyrefly: ignore[unsupported-operation]
    assert isinstance(cohort.store, Ragged)
    for row, mask in enumerate(model.segment([cohort.store.one(row) for row in range(len(cohort.table))])):
        truth, spacing = cohort.store.truth(row)
        expected = overlap.voxels(truth, mask, 2) * np.prod(spacing)
        np.testing.assert_allclose(test.arrays["window_volumes"][row], expected, err_msg=str(row))
    external.test_deployed(opened, records[:1], Largest(True, ()))
    [alone] = [test for test in opened.store.external_tests() if len(test.fits) == 1]
    for test_of in (test, alone):
        np.testing.assert_array_equal(test_of.arrays["volumes"], test_of.arrays["window_volumes"])


@pytest.mark.thorough
def test_a_killed_run_goes_on_to_the_same_choice(cohort: Cohort, finished: Path, tmp_path: Path):
    run = checked(masks.config(**FINAL))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "commit_test", _killed)
        with pytest.raises(KeyboardInterrupt):
            evaluate(run, str(tmp_path), [OUTER], cohort, quiet=True)
    assert RunDirectory(tmp_path).mask_choice(OUTER) is not None
    assert not RunDirectory(tmp_path).tests()
    evaluate(run, str(tmp_path), [OUTER], cohort, quiet=True)
    assert inside(tmp_path) == inside(finished)
    [test] = RunDirectory(tmp_path).tests()
    for name, values in RunDirectory(finished).tests()[OUTER].arrays.items():
        np.testing.assert_array_equal(values, test.arrays[name])


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.thorough
@pytest.mark.parametrize(("members", "count"), [("one", 2 + masks.FOLDS), ("folds", 2 * masks.FOLDS)])
def test_fold_models_judge_the_masks_of_their_model(members: str, count: int, cohort: Cohort, finished: Path):
    run = checked(masks.config(deploy__members=members, **FINAL))
    opened = open_run(run, str(finished), "deploy", cohort)
    outcome = opened.store.outcome(None)
    assert outcome is not None
    study = protocols.of(run).deployment(opened.folds, opened.cases, run)
    fits = [*network_fits(study, outcome), *study.judges(outcome)]
    assert len({fit.id for fit in fits}) == count == len(plan_fits.networks(study))
    assert sorted(set(plan_fits.networks(study))) == sorted({fit.left_out for fit in fits})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol": "flat", "training__early_stopping": False}, "the flat protocol refits nothing"),
        ({"search__policy": "race"}, "set it to 'full'"),
        ({"task__ensemble": 3}, "a study has 2 trials"),
    ],
)
def test_what_no_final_mask_can_be_made_of_is_refused(
    changes: dict[str, Any], words: str, cohort: Cohort, tmp_path: Path
):
    with pytest.raises(UsageError, match=words):
        evaluate(checked(masks.config(**{**FINAL, **changes})), str(tmp_path), None, cohort, quiet=True)


def test_what_is_of_masks_is_refused_without_any(tmp_path: Path):
    with pytest.raises(UsageError, match=r"config.task.ensemble = 2 is of masks: leave it out"):
        evaluate(tiny.run_config(task__ensemble=2), str(tmp_path), None, tiny.cohort(), quiet=True)


@pytest.mark.thorough
def test_one_device_chooses_and_tests_as_eight_do(
    cohort: Cohort, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    alone = jax.devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: alone)
    evaluate(checked(masks.config(**FINAL)), str(tmp_path), [OUTER], cohort, quiet=True)
    *one, _ = inside(tmp_path)
    *eight, _ = inside(finished)
    assert one == eight
    [test] = RunDirectory(tmp_path).tests()
    for name, values in RunDirectory(finished).tests()[OUTER].arrays.items():
        np.testing.assert_allclose(values, test.arrays[name], rtol=1e-3)
