"""Deep supervision in a study: trained so where the config says it, shipped, unseen in what is predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import nachos_jax
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.data.ragged import Volume
from nachos_jax.engine.buckets import bucket_of
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.model.networks import Predicted
from nachos_jax.protocol.model.segmenter import segmenter
from nachos_jax.protocol.plan import memory
from nachos_jax.protocol.run import door
from nachos_jax.protocol.run.configure import checked
from nachos_jax.search.searcher import SearchSetting
from tests import masks, tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAME = "unet.deep_supervision"
FOUR_LEVELS: dict[str, Any] = {
    "model__unet__depth": 4,
    "task__segmentation__patch_height": 16,
    "task__segmentation__patch_width": 16,
    "search__space__segmentation__loss": "",
    "search__trials": 1,
}
HEAD = 3 * (16 + 1)
"""Parameters of a head of two classes and the background on the 16 channels of level 1."""


def run(deep: bool, **changes: Any):
    return checked(masks.config(**{**FOUR_LEVELS, "model__unet__deep_supervision": deep, **changes}))


@pytest.fixture(scope="module")
def cohort():
    return masks.cohort()


@pytest.mark.thorough
def test_coarser_levels_are_learnt_from_where_the_config_says_so(cohort):
    records, sizes = [], []
    for deep in (False, True):
        own = run(deep)
        fit = Fit(SearchSetting.of(own, None).given[0].hparams, (0, 1), own.seed, EpochLimit(2), "cases")
        assert (NAME in fit.hparams) == deep  # so that fits without it keep the ids that they had
        records.append(tiny.train([fit], own, cohort)[0][fit.id])
        sizes.append(memory.network(own, bucket_of(fit, own.table), cohort))
    assert [record.status for record in records] == ["done", "done"]
    assert records[0].training_loss != records[1].training_loss
    assert [record.parameters for record in records] == [size.parameters for size in sizes]
    assert sizes[1].parameters - sizes[0].parameters == HEAD
    assert sizes[1].params - sizes[0].params == 4 * HEAD


@pytest.mark.thorough
def test_a_model_predicts_with_its_finest_level_alone(cohort, tmp_path: Path):
    folder = deploy(run(True), str(tmp_path), cohort, quiet=True)
    model = nachos_jax.load(folder)
    hparams, of = model.description["hparams"], model.segmenter
    assert hparams[NAME] is True
    assert of is not None
    image = masks.pairs()[0].image
    volume = Volume(image, np.zeros(image.shape[:-1], np.uint8), (2.0, 1.0, 1.0))
    own = of.probabilities(volume)
    assert model.segment(image).shape == image.shape[:-1]
    arrays = load_file(next(folder.glob("*.safetensors")))
    coarser = [name for name in arrays if "coarser" in name]
    assert sum(arrays[name].size for name in coarser) == HEAD
    told = Predicted("segmentation", model.classes, (*model.description["patch"], 1))
    for spoilt, seen in ((coarser, False), ([name for name in arrays if "last" in name], True)):
        other = {name: value * np.float32(-9) if name in spoilt else value for name, value in arrays.items()}
        found = segmenter(hparams, told, "float32", [other]).probabilities(volume)
        assert np.array_equal(found, own) != seen


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"model__unet__depth": 3},
            r"config\.model\.unet\.deep_supervision does nothing beside unet.depth = 3",
        ),
        (
            {"model__unet__depth": 3, "search__space__unet__depth": "choice(2, 3)"},
            "acts with 4, 5, 6, 7, 8",
        ),
        (
            {"model__unet__convolutions": 0, "search__space__unet__residual": "choice(True, False)"},
            r"config\.search\.space\.unet\.residual does nothing beside unet.convolutions = 0",
        ),
    ],
)
def test_what_could_not_act_is_refused(changes: dict[str, Any], told: str, cohort):
    with pytest.raises(UsageError, match=told):
        door.check(run(True, **changes), cohort, tiny.folds(cohort))


def test_it_acts_in_the_trials_that_are_deep_enough(cohort):
    own = run(True, model__unet__depth=3, search__space__unet__depth="choice(3, 4)", search__trials=2)
    door.check(own, cohort, tiny.folds(cohort))
    grid = list(SearchSetting.of(own, None).grid())
    assert [(found["unet.depth"], found.get(NAME)) for found in grid] == [(3, None), (4, True)]


def test_a_depth_that_some_searched_patch_does_not_allow_is_refused(cohort):
    deep = {"search__space__unet__depth": "choice(3, 4)", "model__unet__depth": 3}
    both = {"search__space__segmentation__dimensions": "choice(2, 3)", "task__segmentation__patch_depth": 8}
    door.check(run(False, **deep), cohort, tiny.folds(cohort))
    door.check(run(False, **both, model__unet__depth=2), cohort, tiny.folds(cohort))
    with pytest.raises(UsageError, match=r"unet.depth = 4: patches of 8 x 16 x 16 pixels"):
        door.check(run(False, **deep, **both), cohort, tiny.folds(cohort))
    flat = {"task__segmentation__dimensions": 2}
    door.check(run(False, **deep, **both, **flat), cohort, tiny.folds(cohort), begun=True)
