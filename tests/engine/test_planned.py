"""What a config leaves open is planned from the cases; what it sets stays; what cannot be planned is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nachos_jax import default_config
from nachos_jax.config.run_config import RunConfig
from nachos_jax.configs import segmentation
from nachos_jax.core.errors import UsageError
from nachos_jax.data.table import Cohort
from nachos_jax.engine import planned
from nachos_jax.engine.planned import applied
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import begin, open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.search.searcher import SearchSetting
from tests import masks
from tests.fields import put

OPEN = {"unet.depth": 2, "unet.width": 16, "unet.flat_levels": 1, "batch_size": 2, "segmentation.patches": 1}
GIVEN: dict[str, Any] = {
    "model__unet__depth": 2,
    "model__unet__width": 8,
    "model__unet__flat_levels": 0,
    "training__batch_size": 2,
    "task__segmentation__patches": 1,
}
PATCH = {"segmentation.patch_depth": 7, "segmentation.patch_height": 8, "segmentation.patch_width": 8}


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return masks.cohort()


def run(**changes: object) -> RunConfig:
    values: Any = segmentation.get_config()
    values.data.source = "arrays"
    for name, value in changes.items():
        put(values, name, value)
    return checked(values)


def test_all_that_is_open_is_planned_and_told(cohort: Cohort) -> None:
    found = applied(run(), cohort)
    assert {name: found.defaults[name] for name in OPEN | PATCH} == OPEN | PATCH
    assert SearchSetting.of(found, None).given[0].hparams["unet.depth"] == 2
    (told,) = found.planned
    assert told.startswith("planned from 12 cases of 7 x 7.5 x 7.5 voxels of 2 x 1 x 1 mm (medians")
    assert "patch = 7 x 8 x 8, unet.depth = 2" in told
    assert "2 GB a fit" in told


def test_what_the_config_sets_stays(cohort: Cohort) -> None:
    given = run(model__unet__depth=3, task__segmentation__patch_height=16, training__batch_size=4)
    found = applied(given, cohort)
    assert found.defaults["unet.depth"] == 3
    assert found.defaults["segmentation.patch_height"] == 16
    assert found.defaults["batch_size"] == 4
    assert found.defaults["unet.width"] == 16
    assert "depth = 3" not in found.planned[0]
    assert "batch_size" not in found.planned[0]


def test_patches_make_up_for_the_batch_that_is_given_and_too_many_are_told(cohort: Cohort) -> None:
    few = applied(run(training__batch_size=1), cohort)
    assert few.defaults["segmentation.patches"] == 2
    assert len(few.planned) == 1
    many = applied(run(training__batch_size=64), cohort)
    assert many.defaults["segmentation.patches"] == 1
    assert many.planned[1].startswith("a step sees 64 patches")


def test_another_architecture_is_left_to_the_door(cohort: Cohort) -> None:
    values = run(model__architecture="cnn")
    assert applied(values, cohort) is values


def test_a_run_goes_on_with_the_plan_that_it_began_with(cohort: Cohort, tmp_path: Path) -> None:
    given = run(folds__scheme="predefined")
    begin(open_run(given, str(tmp_path), "evaluate", cohort))
    again = open_run(given, str(tmp_path), "evaluate", cohort).config
    assert again.planned == applied(given, cohort).planned
    known = RunDirectory(tmp_path).run()
    assert known is not None
    assert known["planned"] == list(again.planned)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planned, "_sentence", lambda *_: "otherwise")
        with pytest.raises(UsageError, match=r"(?s)began with another plan.*now: otherwise"):
            open_run(given, str(tmp_path), "evaluate", cohort)
    older = {key: value for key, value in known.items() if key != "planned"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "run", lambda _: older)
        sides = run(**{**GIVEN, "folds__scheme": "predefined"})
        patch.setitem(older, "config", sides.raw)
        found = open_run(sides, str(tmp_path), "evaluate", cohort).config
        assert [found.defaults[name] for name in PATCH] == [0, 0, 0], (
            "what an older version planned is as it was"
        )


def test_a_config_that_leaves_nothing_open_is_as_it_was(cohort: Cohort) -> None:
    whole = checked(masks.config())
    assert applied(whole, cohort) == whole
    with pytest.raises(UsageError, match=r"plan_memory = 4 does nothing here: nothing is left to a plan"):
        applied(checked(masks.config(task__plan_memory=4.0)), cohort)


@pytest.mark.parametrize(
    ("space", "value"), [("choice(3, 4)", 3), ("integer(3, 5)", 3), ("choice(2, 5)", 2), ("integer(2, 4)", 2)]
)
def test_what_is_searched_too_begins_in_the_space(cohort: Cohort, space: str, value: int) -> None:
    found = applied(run(search__space__unet__depth=space), cohort)
    assert found.defaults["unet.depth"] == value
    moved = [f"unet.depth: 2 planned, {value} is the nearest in config.search.space.unet.depth"]
    assert list(found.planned[1:]) == (moved if value != 2 else [])


def test_sides_stay_open_where_both_dimensions_are_tried(cohort: Cohort) -> None:
    found = applied(run(search__space__segmentation__dimensions="choice(2, 3)"), cohort)
    assert {found.defaults[name] for name in PATCH} == {0}
    assert found.defaults["unet.depth"] == 2


def test_the_plan_follows_from_shapes_and_spacings_alone(cohort: Cohort) -> None:
    store: Any = cohort.store
    other = replace(store, voxels=np.zeros_like(store.voxels), labels=np.zeros_like(store.labels))
    assert applied(run(), replace(cohort, store=other)) == applied(run(), cohort)


@pytest.mark.parametrize("field", ["training.batch_size", "model.unet.depth"])
def test_what_nothing_can_plan_is_refused(field: str) -> None:
    values: Any = default_config()
    values.data.source = "digits"
    put(values, field.replace(".", "__"), 0)
    values.model.architecture = "unet" if "unet" in field else "cnn"
    digits = Cohort(None, None, None, {}, "")  # pyrefly: ignore[bad-argument-type]
    with pytest.raises(UsageError, match=rf"config.{field} = 0: it is planned .* alone; set a number from"):
        applied(checked(values), digits)


@pytest.mark.parametrize("text", ["choice(0, 2)", "integer(0, 4)"])
def test_no_trial_is_left_open(text: str) -> None:
    with pytest.raises(UsageError, match=r"0 leaves unet.depth to the plan of the cases, .* numbers from 2"):
        run(search__space__unet__depth=text)
    with pytest.raises(UsageError, match=r"0 leaves unet.width to the plan"):
        run(search__priors=({"unet.width": 0},), search__space__unet__width="choice(8, 16)")
