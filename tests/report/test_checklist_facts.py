"""Facts of the checklists under configs that are not the default's: what was done, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import pytest

from nachos_jax.report.checklists.facts import Facts
from tests.report.checklist_runs import FEW, told
from tests.report.rivals import edit_run
from tests.report.task_cases import LABELS, MASKS, NUMBER

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


def test_masks_of_files_that_were_turned_are_told_so(fact):
    found = fact(
        "preparation.inputs",
        run={"preparation": {**OF_MASKS, "codes": "RAS", "turned": ["LPS", "PIR"]}},
        **MASKS,
    )
    assert ", those whose axes pointed to LPS or PIR turned to RAS by their headers, not resampled" in found
    assert "turned" not in fact(
        "preparation.inputs", run={"preparation": {**OF_MASKS, "codes": "RAS"}}, **MASKS
    )


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
            "to 2 x 1 x 1 mm by linear interpolation, then cut or filled up with black about their middle to "
            "this",
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


def test_cases_that_are_drawn_anew_are_told(fact):
    weighted = {"class_weight_exponent": 0.5}
    drawn = fact("task.imbalance", hparams={**weighted, "balanced_sampling": 0.25})
    assert "5 of 5 selected trials draw cases anew in every epoch, those of a class of n cases" in drawn
    assert "n^-b times as often, with b 0.25" in drawn
    assert "weight classes in the loss" in drawn
    assert "not resampled" not in drawn
    alone = fact("task.imbalance", hparams={"class_weight_exponent": 0.0, "balanced_sampling": 1.0})
    assert "The selected trials weight no class. 5 of 5 selected trials draw" in alone
    assert "cases are not resampled" in fact("task.imbalance", hparams=weighted)


@pytest.mark.parametrize("task", [{}, LABELS, NUMBER], ids=["classes", "labels", "number"])
def test_estimators_are_not_called_networks(fact, task):
    for name in ("model.model", "results.predicted"):
        found = fact(name, hparams={"architecture": "random_forest"}, **task)
        assert not re.search("network|softmax|sigmoid", found), found
        assert "estimator" in found or name == "model.model"
        assert re.search("network|softmax|sigmoid", fact(name, **task)) or (name, task) == (
            "model.model",
            NUMBER,
        )


def test_a_cumulative_link_is_no_softmax(fact):
    ordered = {"classification.loss": "cumulative_link"}
    assert "softmax" not in fact("model.model", hparams=ordered)
    assert "cumulative logit link, classes in order" in fact("model.model", hparams=ordered)
    assert "as the probabilities that a cumulative logit link makes of" in fact(
        "results.predicted", hparams=ordered
    )
    assert "cross-entropy of the probabilities that a cumulative link gives" in fact(
        "model.training", hparams=ordered
    )
    assert "as softmax of the network's output;" in fact("results.predicted")
    plain = fact("results.predicted", hparams={"classification.loss": "cross_entropy"})
    assert "as softmax of the network's output;" in plain


def test_a_linear_model_is_no_network(fact):
    found = fact("results.predicted", hparams={"architecture": "linear"})
    assert "as softmax of the linear model's output;" in found


def test_models_of_several_kinds_are_told_one_by_one(make_run):
    evidence, summary = told(make_run(settings=FEW))
    kinds = ["cnn", "random_forest", "cnn", "random_forest", "cnn"]
    outcomes = {
        fold: dataclasses.replace(
            outcome,
            trials=tuple(
                dataclasses.replace(trial, hparams={**trial.hparams, "architecture": kind})
                for trial in outcome.trials
            ),
        )
        for (fold, outcome), kind in zip(evidence.outcomes.items(), kinds, strict=True)
    }
    found = Facts(dataclasses.replace(evidence, outcomes=outcomes), summary).of("results.predicted").text
    assert "as softmax of the network's output or the probabilities of the estimator;" in found


def test_a_space_that_no_trial_reaches_is_not_told_as_searched(fact):
    space: dict[str, Any] = {
        "search.space": {"beta2": "uniform(0.9, 0.99)", "learning_rate": "log(0.001, 0.1)", "clahe": ""}
    }
    assert fact("model.search", config=space).endswith("Searched: learning_rate: log(0.001, 0.1).")
    space["search.space"] |= {"clahe": "choice(0, 2)", "mlp": {"width": "choice(4, 8)"}}
    assert "Searched: clahe: choice(0, 2); learning_rate" in fact(
        "model.search", config={**space, "data.clahe": 0}
    )
    assert "mlp.width: choice(4, 8)" in fact("model.search", config=space, hparams={"mlp.width": 4})


def test_images_that_are_skipped_do_not_stop_the_run(fact):
    stops = fact("task.missing", run={"preparation": IMAGES})
    assert stops.startswith(
        "The program drops no case and imputes nothing: an image that cannot be read or a "
    )
    found = fact(
        "task.missing",
        config={"data.on_error": "skip"},
        run={"preparation": IMAGES, "skipped": [["a.png", "damaged"]]},
    )
    assert "drops no case" not in found
    assert "An image that cannot be read is left out before folds are made (1 here)" in found
    assert "a case without a label stops the run before training" in found
    assert "imputes nothing" in found


def test_cases_outside_of_the_folds_are_counted_as_that(fact):
    assert fact("data.subset").startswith("All 240 cases of the case table lie in a fold; 240 of them")
    for config, run, said in (
        (
            {"data.subset": 0.5},
            {},
            "config.data.subset takes 50\N{NO-BREAK SPACE}% of the subjects, drawn from the seed",
        ),
        ({"data.on_error": "skip"}, {"skipped": [["a.png", "damaged"]]}, "1 image could not be read"),
        (
            {"data.external": ["b", "c"]},
            {},
            "The cases of sites b and c are kept outside (config.data.external)",
        ),
    ):
        found = fact("data.subset", config=config, run=run)
        assert found.startswith("240 cases of the case table lie in a fold; 240 of them are tested."), found
        assert said in found


FINAL = {
    "dice": {"mean": 0.8, "interval": {"low": 0.7, "high": 0.9}},
    "alone": {"mean": 0.75, "interval": {"low": 0.6, "high": 0.85}},
    "gain": {"mean": 0.05, "interval": {"low": None, "high": None}},
}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_external_tests_and_deployed_models_are_known_to_all_facts(make_run, count: int):
    evidence, summary = told(make_run(settings=FEW))
    tests = [{"model": "fold_00", "fits": ["a"]}, *[{"model": "deploy", "fits": ["b"]}] * count]
    facts = Facts(evidence, {**summary, "external": {"cases": 40, "tested_by": tests}})
    aim, before = (of.of("model.aim").text for of in (facts, Facts(evidence, summary)))
    assert aim.endswith("on the same data, and externally, on 40 cases that were kept out of everything.")
    assert before.endswith("by nested cross-validation on the same data.")
    text = facts.of("model.availability").text
    assert ("does not know whether that was done" in text) == (count == 0)
    said = {
        1: "1 model of it was tested on 40 external cases",
        2: "2 models of it were tested on 40 external",
    }
    assert said.get(count, "this report does not know") in text


def test_hypotheses_that_are_not_tested_are_those_on_performance(fact):
    """The page of a grid has p values of its hyperparameters."""
    assert "No hypotheses on performance are tested here;" in fact("results.uncertainty")


def test_a_deployed_mean_of_folds_is_not_called_a_model_on_all_cases(fact):
    found = fact("model.availability", config={"deploy.members": "folds"})
    assert "trains a model for each fold, on all cases but that fold, and writes them to deploy/" in found
    assert "trains a model on all cases and" in fact("model.availability", config={"deploy.members": "one"})


def ensembles(make_run, final: Any, deployed: list[dict[str, Any]], members: str = "one") -> Any:
    directory = make_run(f"run-{len(deployed)}", settings=FEW)
    edit_run(directory.path, lambda run: run["config"].update(deploy={"members": members}))
    evidence, summary = told(directory)
    beyond = {"cases": 40, "tested_by": deployed, "deployed": [{} for _ in deployed]}
    further = ({"final_masks": final} if final else {}) | ({"external": beyond} if deployed else {})
    return Facts(evidence, {**summary, **further}).of("model.ensemble")


@pytest.mark.parametrize(("trials", "said"), [([3, 1, 0], True), ([3], False)])
def test_final_masks_of_several_networks_are_an_ensemble(make_run, trials: list[int], said: bool):
    studies = {str(fold): {"trials": trials, "largest": ""} for fold in range(5)}
    found = ensembles(make_run, {**FINAL, "studies": studies}, [])
    assert ("3 networks together" in found.text) == said
    assert ("mean Dice 0.800 (interval 0.700 to 0.900)" in found.text) == said
    assert found.applies == said


@pytest.mark.parametrize("members", ["one", "folds"])
def test_a_deployed_ensemble_that_external_cases_tested_is_not_called_untested(make_run, members: str):
    several = {"model": "deploy", "fits": ["a", "b", "c"]}
    found = ensembles(make_run, None, [several, {"model": "fold_00", "fits": ["d"]}], members)
    assert "A deployed model that averages 3 networks was tested on 40 external cases" in found.text
    assert "untested" not in found.text
    assert found.applies
    alone = ensembles(make_run, None, [{"model": "deploy", "fits": ["a"]}], "one")
    assert not alone.applies
