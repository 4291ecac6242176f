"""Facts of the checklists under configs that are not the default's: what was done, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from nachos_jax.report.checklists.facts import Facts
from tests.report.checklist_runs import FEW, told
from tests.report.rivals import edit_run
from tests.report.task_cases import MASKS

IMAGES = {"height": 64, "width": 48, "channels": 1, "dtype": "int16", "resized": True, "aspect": "stretch"}
"""A preparation of images."""
OF_MASKS = {
    **IMAGES,
    "depth": 20,
    "resized": False,
    "axes": [2, 0, 1],
    "unit": "mm\N{SUPERSCRIPT THREE}",
}
WHOLE = {**IMAGES, "depth": 32, "volume": "whole"}


@pytest.fixture
def fact(make_run):
    """The text of a fact of a run, whose records, config by dotted names and trials are changed."""

    def find(
        name: str,
        config: Mapping[str, Any] | None = None,
        hparams: Mapping[str, Any] | None = None,
        run: Mapping[str, Any] | None = None,
        **fake: Any,
    ) -> str:
        directory = make_run(settings=FEW, name=f"run-{len(made)}", **fake)
        made.append(directory)

        def record(value: dict[str, Any]) -> None:
            value.update(run or {})
            for dotted, new in (config or {}).items():
                *path, last = dotted.split(".")
                place = value["config"]
                for key in path:
                    place = place.setdefault(key, {})
                place[last] = new

        edit_run(directory.path, record)
        evidence, summary = told(directory)

        def changed(trials):
            return tuple(
                dataclasses.replace(trial, hparams={**trial.hparams, **(hparams or {})}) for trial in trials
            )

        evidence = dataclasses.replace(
            evidence,
            outcomes={
                fold: dataclasses.replace(outcome, trials=changed(outcome.trials))
                for fold, outcome in evidence.outcomes.items()
            },
            trials={study: changed(each) for study, each in evidence.trials.items()},
        )
        return Facts(evidence, summary).of(name).text

    made: list[Any] = []
    return find


def test_masks_are_told_with_many_sizes_and_their_own_normalisation(fact):
    found = fact(
        "preparation.inputs",
        hparams={"segmentation.normalisation": "z_score"},
        run={"preparation": OF_MASKS},
        **MASKS,
    )
    assert "Volumes of different sizes, 20 x 64 x 48 voxels in the median (depth x height x width)" in found
    assert "not resampled" in found
    assert "z_score (by mean and standard deviation of the case)" in found
    assert "training cases" not in found
    assert "Images of" not in found


def test_masks_that_were_resampled_are_told_so(fact):
    found = fact(
        "preparation.inputs",
        config={"data.spacing": "median"},
        hparams={"segmentation.normalisation": "ct"},
        run={"preparation": {**OF_MASKS, "spacing": [2.5, 0.75, 0.75]}},
        **MASKS,
    )
    assert "resampled to 2.5 x 0.75 x 0.75 mm" in found
    assert "not resampled" not in found
    assert "foreground of the fit's own training cases" in found


def test_masks_of_two_dimensions_are_images(fact):
    flat = {**OF_MASKS, "depth": 1, "axes": [0, 1], "unit": "voxels"}
    found = fact("preparation.inputs", run={"preparation": flat}, **MASKS)
    assert "Images of different sizes, 64 x 48 pixels in the median" in found


@pytest.mark.parametrize(
    ("preparation", "wanted", "unwanted"),
    [
        (
            {**WHOLE, "aspect": "window", "spacing": [2.0, 1.0, 1.0]},
            "Volumes of 32 x 64 x 48 voxels (depth x height x width) and 1 channel, held as int16, resampled "
            "to 2 x 1 x 1 mm by linear interpolation, then cut or filled up with black about their middle to this",
            "stretched",
        ),
        (WHOLE, "each axis resized by itself", "black"),
        ({**WHOLE, "aspect": "fit"}, "by one factor and filled up with black", "stretched"),
        ({**WHOLE, "resized": False}, "not resized", "black"),
        ({**IMAGES, "volume": "max"}, "each the maximum along the depth of a volume", "voxels"),
        ({**IMAGES, "voi": "(40, 400)"}, "values from \N{MINUS SIGN}160 to 240 shown as 0 to 255", "volume"),
        ({**IMAGES, "voi": "file"}, "the VOI LUT or window of its DICOM header", "volume"),
        ({**IMAGES, "facing": "left"}, "mirrored where the brighter half was not on the left", "volume"),
        ({**IMAGES, "frame": 2}, "frame 2 (counted from 0)", "volume"),
        ({**IMAGES, "interpolation": "bicubic"}, "stretched where their ratio differed (bicubic)", "volume"),
    ],
)
def test_how_images_and_volumes_were_prepared(fact, preparation, wanted: str, unwanted: str):
    found = fact("preparation.inputs", run={"preparation": preparation})
    assert wanted in found
    assert unwanted not in found
    assert "Every fit standardises pixels by the mean" in found


@pytest.mark.parametrize("architecture", ["logistic", "cnn"])
def test_a_normalisation_by_the_case_is_not_called_one_by_training_cases(fact, architecture: str):
    given = {"normalisation": "z_score", "architecture": architecture}
    for name in ("preparation.inputs", "model.training"):
        found = fact(name, hparams=given, run={"preparation": IMAGES})
        assert "tandardise" not in found, name
    assert "(z_score)" in fact("model.training", hparams={**given, "architecture": "logistic"})
    ours = fact("model.training", hparams={"architecture": "logistic"})
    assert "Inputs are standardised by the training cases of each fit" in ours
