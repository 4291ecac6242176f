"""Volumes from the cohort to a model: every task, neighbours that harm nothing, predictions and maps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import nachos_jax
from nachos_jax.core.errors import UsageError
from nachos_jax.data.table import Cohort
from tests import tiny
from tests.inputs import dense
from tests.records.seals import edit

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return tiny.volumes()


@pytest.fixture(scope="module")
def place(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes") / "run"
    nachos_jax.deploy(tiny.config(search__trials=1, training__epochs=2), folder, cohort)
    return folder / "deploy"


@pytest.mark.thorough
def test_a_volume_beside_others_trains_as_it_does_alone(cohort: Cohort):
    run = tiny.run_config(training__epochs=2, augmentation__rotation=20.0, augmentation__flip_depth=0.5)
    fits = [tiny.fit(run), tiny.fit(run, learning_rate=100.0, weight_decay=10.0), tiny.fit(run, (0, 2))]
    alone, of_alone, _ = tiny.train(fits[:1], run, cohort)
    beside, of_beside, pool = tiny.train(fits, run, cohort)
    assert set(pool.traces.values()) == {1}
    for name, record in alone.items():
        assert beside[name].training_loss == record.training_loss
        assert beside[name].curves == record.curves
        assert of_beside[name] == of_alone[name]


@pytest.mark.thorough
@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_other_tasks_take_volumes(task: str, cohort: Cohort):
    labels = np.asarray(cohort.targets.values)
    targets = np.eye(3)[labels] if task == "multilabel" else labels + 0.5
    cases = nachos_jax.ArrayCases(
        dense(cohort), targets, cohort.table.subjects, folds=cohort.table.folds, volume="whole"
    )
    found = nachos_jax.cohort(cases, task)
    config = tiny.config(task__name=task, training__epochs=1, search__metric="")
    [fit] = nachos_jax.fit_lanes(found, [{}], config)
    assert fit.status == "done"


@pytest.mark.thorough
def test_a_projection_is_an_image(cohort: Cohort):
    labels = np.asarray(cohort.targets.values)
    cases = nachos_jax.ArrayCases(dense(cohort)[..., 0], labels, one_case_per_subject=True, volume="max")
    flat = nachos_jax.cohort(cases)
    np.testing.assert_array_equal(dense(flat), dense(cohort).max(axis=1))
    assert flat.preparation["volume"] == "max"
    with pytest.raises(UsageError, match="volume = 'min': must be '' or one of 'whole', 'middle'"):
        nachos_jax.cohort(dataclasses.replace(cases, volume="min"))
    with pytest.raises(UsageError, match=r"a stack of volumes: .*ArrayCases\(..., volume='whole'\)"):
        nachos_jax.cohort_from_arrays(dense(cohort)[:, :2, ..., 0], labels, one_case_per_subject=True)


@pytest.mark.thorough
def test_a_model_predicts_and_explains_volumes(place: Path, cohort: Cohort):
    model, volumes = nachos_jax.load(place), dense(cohort)[:5]
    assert (model.description["preparation"]["volume"], model.predicted.shape) == ("whole", (3, 6, 6, 1))
    chances = model.probabilities(volumes)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(model.probabilities(volumes[..., 0]), chances)
    for method in ("gradcam", "occlusion"):
        maps, peaks = model.explain(volumes, chances.argmax(axis=1), method)
        assert maps.shape == (5, 3, 6, 6)
        assert peaks.shape == (5,)
    with pytest.raises(UsageError, match=r"takes \[N, 3, 6, 6, 1\]"):
        model.probabilities(volumes[:, 0])


@pytest.mark.thorough
@pytest.mark.parametrize("channels", [2, 4])
def test_images_of_volumes_of_several_channels_are_predicted(channels: int, cohort: Cohort, tmp_path: Path):
    volumes = np.repeat(dense(cohort), channels, axis=-1)
    labels = np.asarray(cohort.targets.values)
    folds, subjects = cohort.table.folds, cohort.table.subjects
    cases = nachos_jax.ArrayCases(volumes, labels, subjects, folds=folds, volume="max")
    nachos_jax.deploy(tiny.config(search__trials=1, training__epochs=1), tmp_path, nachos_jax.cohort(cases))
    model = nachos_jax.load(tmp_path / "deploy")
    assert model.predicted.shape == (6, 6, channels)
    chances = model.probabilities(volumes.max(axis=1)[:5])
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, rtol=1e-5)
    with pytest.raises(UsageError, match="values of type"):
        model.probabilities(volumes.max(axis=1)[:5].astype(complex))


@pytest.mark.parametrize("change", [{"volume": "side"}, {"volume": "max"}, {"depth": 0}])
def test_a_description_that_contradicts_itself_is_refused(change: dict, place: Path, tmp_path: Path):
    for file in place.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    preparation = nachos_jax.load(place).description["preparation"]
    edit(tmp_path / "model.json", preparation={**preparation, **change})
    with pytest.raises(UsageError, match="model.json is damaged"):
        nachos_jax.load(tmp_path)


def test_depths_of_images_are_not_mirrored(tmp_path: Path):
    config = tiny.config(augmentation__flip_depth=0.5)
    with pytest.raises(
        UsageError, match="flip_depth mirrors the depth of volumes, and these cases are images"
    ):
        nachos_jax.evaluate(config, tmp_path / "run", tiny.cohort())


@pytest.mark.parametrize("architecture", ["linear", "mlp"])
def test_networks_that_read_no_volumes_say_so(architecture: str, cohort: Cohort, tmp_path: Path):
    config = tiny.config(model__architecture=architecture)
    with pytest.raises(UsageError, match=rf"{architecture!r} takes vectors .* set config.model.architecture"):
        nachos_jax.evaluate(config, tmp_path / "run", cohort)
