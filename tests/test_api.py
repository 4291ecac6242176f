"""The public face: what it refuses before anything is trained or written."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nachos_jax
from nachos_jax import api
from nachos_jax.config.data_fields import WAIVER
from nachos_jax.records.hold import held
from tests import tiny
from tests.fields import put
from tests.tiers import mostly_thorough

pytestmark = pytest.mark.usefixtures("figures_unpainted")
IDLE: dict[str, tuple[Any, str]] = {
    "source": ("csv", "the cohort holds cases"),
    "path": ("cases.csv", "the cohort holds cases"),
    "image_key": ("x", "the cohort holds cases"),
    "label_key": ("y", "the cohort holds cases"),
    "label_names_key": ("names", "the cohort holds cases"),
    "subject_key": ("patient", "pass `subjects` to cohort_from_arrays"),
    "site_key": ("hospital", "pass `sites` to cohort_from_arrays"),
    "fold_key": ("k", "pass `folds` to cohort_from_arrays"),
    "subject": (WAIVER, "pass one_case_per_subject=True"),
    "target_keys": (("y", "z"), "the cohort holds cases"),
    "classes": (("1", "0", "2"), "pass `classes` to cohort_from_arrays"),
    "volume": ("whole", "pass `volume` to nachos_jax.ArrayCases"),
    "depth": (32, "prepare the images"),
    "height": (32, "prepare the images"),
    "width": (32, "prepare the images"),
    "channels": (1, "prepare the images"),
    "aspect": ("pad", "prepare the images"),
    "clahe": (2, "prepare the images"),
    "facing": ("left", "prepare the images"),
    "external_path": ("b.npz", "pass these cases to nachos_jax.with_external"),
    "subset": (0.5, "pass the arrays of a part"),
    "frame": (3, "prepare the images"),
    "voi": ("lung", "prepare the images"),
    "on_error": ("skip", "drop the images"),
    "cache": ("caches", "the cohort holds cases"),
    "include": (("*",), "the cohort holds cases"),
    "exclude": (("*",), "the cohort holds cases"),
    "features": (("*",), "pass `features` to nachos_jax.ArrayCases"),
    "impute": ("mean", "pass `impute` to nachos_jax.ArrayCases"),
    "case_key": ("id", "the cohort holds cases"),
    "mask_key": ("lesion", "the cohort holds cases"),
    "shape_key": ("sides", "the cohort holds cases"),
    "spacing_key": ("mm", "pass `spacing` to nachos_jax.ArrayCases"),
    "spacing": ("median", "resample images and masks"),
    "spellings": ("join", "pass `spellings` to nachos_jax.ArrayCases"),
}


@mostly_thorough("field", IDLE, kept=tuple(IDLE)[::5])
def test_a_field_that_a_cohort_makes_idle_is_refused(field: str, tmp_path: Path):
    value, cure = IDLE[field]
    config = tiny.config()
    put(config, f"data__{field}", value)
    for call in (nachos_jax.evaluate, nachos_jax.deploy):
        with pytest.raises(nachos_jax.UsageError) as caught:
            call(config, tmp_path / "run", tiny.cohort())
        assert f"config.data.{field} = {value!r} does nothing when a cohort is given: " in str(caught.value)
        assert cure in str(caught.value)
        assert f"set it back to {getattr(nachos_jax.default_config().data, field)!r}." in str(caught.value)
    with pytest.raises(nachos_jax.UsageError, match=f"config.data.{field} = "):
        nachos_jax.fit_lanes(tiny.cohort(), [{}], config)
    assert not (tmp_path / "run").exists()


def test_every_field_of_the_data_either_works_with_a_cohort_or_is_refused():
    assert {*IDLE, *api._WITH_COHORT} == set(nachos_jax.default_config().data.keys())


def test_what_works_with_a_cohort_is_taken():
    for source in ("npz", "arrays"):
        run = api._checked(
            tiny.config(data__source=source, data__window=40, data__residency="stream"), tiny.cohort()
        )
        assert (run.data.source, run.data.window, run.data.residency) == ("arrays", 40, "stream")


def test_features_of_a_backbone_may_be_kept_beside_a_cohort():
    weights = {"backbone__weights": "resnet18.pth", "data__cache": "caches"}
    for named in ({}, {"backbone__name": "resnet18"}):
        assert api._checked(tiny.config(**weights, **named), tiny.cohort()).data.cache == "caches"


def test_names_may_be_arrays():
    images, labels, _ = tiny.arrays()
    subjects = [f"s{row // 2}" for row in range(len(images))]
    order = np.asarray(["2", "0", "1"])
    found = nachos_jax.cohort_from_arrays(images, labels, subjects, classes=order)
    assert found.targets.names == tuple(order)
    ages = np.arange(2.0 * len(images)).reshape(-1, 2)
    cases = nachos_jax.ArrayCases(
        images, labels, subjects, names=order, vectors=ages, features=np.asarray(["a", "b"])
    )
    assert nachos_jax.cohort(cases).targets.names == tuple(order)
    signs = np.stack([labels == 0, labels == 1], axis=1)
    cases = nachos_jax.ArrayCases(images, signs, subjects, names=np.asarray(["stripes", "rows"]))
    inside, away = nachos_jax.cohort(cases, "multilabel"), [f"away-{subject}" for subject in subjects]
    cases = dataclasses.replace(cases, images=255 - images, subjects=away)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
    both = nachos_jax.with_external(inside, cases, pandas.DataFrame({"age": ages[:, 0]}))
    assert both.outside is not None
    assert both.outside.targets.names == ("stripes", "rows")


@pytest.mark.parametrize("call", [nachos_jax.evaluate, nachos_jax.deploy])
def test_a_run_directory_that_is_in_use_is_left_alone(call, tmp_path: Path):
    with held(tmp_path), pytest.raises(nachos_jax.UsageError, match="is in use by process"):
        call(tiny.config(search__trials=1, training__epochs=1), tmp_path, tiny.cohort())
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("call", [nachos_jax.evaluate, nachos_jax.deploy])
def test_what_is_refused_leaves_no_folder(call, tmp_path: Path):
    images, labels, folds = tiny.arrays()
    two = nachos_jax.cohort_from_arrays(images, labels, folds=folds % 2, one_case_per_subject=True)
    for config, cohort in ((tiny.config(search__metric="acc"), tiny.cohort()), (tiny.config(), two)):
        with pytest.raises(nachos_jax.UsageError):
            call(config, tmp_path / "run", cohort)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_a_cohort_of_another_task_is_refused_before_features_are_made(task, tmp_path: Path, monkeypatch):
    """Classes, which are places in a list, would be learnt as numbers."""
    monkeypatch.setattr("nachos_jax.protocol.run.embedding.embedded", lambda *_: pytest.fail("embedded"))
    config, cohort = tiny.config(task__name=task), tiny.cohort()
    message = f"config.task.name = '{task}', and the cohort was made for 'classification'"
    with pytest.raises(nachos_jax.UsageError, match=message):
        nachos_jax.fit_lanes(cohort, [{}], config)
    with pytest.raises(nachos_jax.UsageError, match=message):
        nachos_jax.evaluate(config, tmp_path / "run", cohort)
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_a_finished_run_is_no_longer_held(tmp_path: Path):
    config = tiny.config(folds__scheme="stratified", folds__count=3, search__trials=1, training__epochs=1)
    images, labels, _ = tiny.arrays()
    cohort = nachos_jax.cohort_from_arrays(images, labels, one_case_per_subject=True)
    for _ in range(2):
        assert np.isfinite(
            nachos_jax.evaluate(config, tmp_path / "run", cohort)["metrics"]["accuracy"]["mean"]
        )
    assert (tmp_path / "run" / ".lock").read_text(encoding="utf-8") == ""
