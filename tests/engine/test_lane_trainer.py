"""The sharded lane trainer alone, as a program calls it: nachos_jax.fit_lanes."""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

import nachos_jax
from nachos_jax import UsageError
from nachos_jax.core.hparams import AUGMENTATION
from nachos_jax.data.store import Dense
from nachos_jax.engine import lane
from nachos_jax.engine.bucket_lanes import named
from nachos_jax.engine.lane_trainer import LaneFit
from nachos_jax.models import registry
from nachos_jax.models.blocks import evaluation
from tests import tiny, vectors
from tests.inputs import dense

CONFIGURATIONS = [
    {"learning_rate": 0.05},
    {"optimizer": "adam", "learning_rate": 0.01},
    {},
    {"learning_rate": 100.0, "weight_decay": 10.0},
    {"learning_rate": 0.05},
    {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
    {"learning_rate": 0.01, "schedule": "cosine", "label_smoothing": 0.1},
]
DUPLICATES, DIVERGES = (0, 4), 3


@pytest.fixture(scope="module")
def cohort():
    return tiny.cohort()


@pytest.fixture(scope="module")
def validation(cohort):
    """[N] bool: fold 2."""
    return tiny.folds(cohort).cases(2)


@pytest.fixture(scope="module")
def watched(cohort, validation) -> tuple[list[LaneFit], list[tuple[int, LaneFit]]]:
    """All configurations with validation, and the calls of on_fit."""
    told: list[tuple[int, LaneFit]] = []
    fits = nachos_jax.fit_lanes(
        cohort, CONFIGURATIONS, tiny.config(), validation, lambda place, fit: told.append((place, fit))
    )
    return fits, told


@pytest.fixture(scope="module")
def unwatched(cohort) -> list[LaneFit]:
    return nachos_jax.fit_lanes(cohort, CONFIGURATIONS[:4], tiny.config())


def test_results_come_in_the_order_of_the_configurations(watched):
    fits, _ = watched
    assert len(fits) == len(CONFIGURATIONS)
    for fit, configuration in zip(fits, CONFIGURATIONS, strict=True):
        assert configuration.items() <= fit.hparams.items()
        assert fit.hparams["batch_size"] == 16, "what a configuration does not say comes from the config"
        assert fit.weights == {}


def test_every_configuration_is_told_once_as_soon_as_it_has_ended(watched):
    fits, told = watched
    assert sorted(place for place, _ in told) == list(range(len(CONFIGURATIONS)))
    assert all(fits[place] is fit for place, fit in told)
    assert [place for place, _ in told][0] == DIVERGES, "it ends first and is told first"


def test_duplicates_share_one_training(watched):
    fits, _ = watched
    first, second = (fits[place] for place in DUPLICATES)
    assert dataclasses.asdict(first) == dataclasses.asdict(second)
    distinct = {fit.training_loss for place, fit in enumerate(fits) if place != DIVERGES}
    assert len(distinct) == len(fits) - 2


def test_one_that_diverges_is_told_so_and_harms_no_other(watched):
    fits, _ = watched
    assert [fit.status for fit in fits] == ["diverged" if i == DIVERGES else "done" for i in range(len(fits))]
    broken = fits[DIVERGES]
    assert (broken.best_epoch, broken.training_loss[-1], broken.validation_loss[-1]) == (None, None, None)


def test_curves_are_those_of_the_validation_cases(watched):
    fits, _ = watched
    for place, fit in enumerate(fits):
        if place == DIVERGES:
            continue
        epochs = len(fit.training_loss)
        assert 1 <= epochs <= 4
        assert len(fit.validation_loss) == len(fit.validation_score) == epochs
        losses = [loss for loss in fit.validation_loss if loss is not None]
        assert fit.best_epoch == 1 + int(np.argmin(losses))
        assert all(score is not None and 0 <= score <= 1 for score in fit.validation_score)
        assert epochs == 4 or epochs - fit.best_epoch >= 2, "patience is 2"


@pytest.mark.thorough
def test_a_configuration_beside_others_gives_what_it_gives_alone(watched, unwatched, cohort, validation):
    fits, _ = watched
    for place in (0, 6):
        alone = nachos_jax.fit_lanes(cohort, [CONFIGURATIONS[place]], tiny.config(), validation)[0]
        assert dataclasses.asdict(alone) == dataclasses.asdict(fits[place])
    alone = nachos_jax.fit_lanes(cohort, [CONFIGURATIONS[1]], tiny.config())[0]
    assert alone.training_loss == unwatched[1].training_loss
    for name, weight in unwatched[1].weights.items():
        np.testing.assert_array_equal(alone.weights[name], weight)


def test_without_validation_a_fit_runs_all_epochs_on_all_cases_and_keeps_its_weights(unwatched, cohort):
    for fit in unwatched[:3]:
        assert len(fit.training_loss) == 4
        assert (fit.validation_loss, fit.validation_score, fit.best_epoch) == ((), (), None)
        assert {name.partition("/")[0] for name in fit.weights} == {
            "params",
            "stats",
            "pixel_mean",
            "pixel_sd",
        }
        assert all(np.isfinite(weight).all() for weight in fit.weights.values())
        np.testing.assert_allclose(fit.weights["pixel_mean"], dense(cohort).mean(), rtol=1e-6)
        np.testing.assert_allclose(fit.weights["pixel_sd"], dense(cohort).std(), rtol=1e-6)
    assert unwatched[3].status == "diverged"
    assert unwatched[3].weights == {}


def test_the_weights_predict_what_training_says(unwatched, cohort):
    """Loaded into a fresh network, they separate the classes that they were trained on."""
    fit = unwatched[0]
    network = registry.build(fit.hparams, cohort.shape, 3, jnp.float32, "lax", nnx.Rngs(0))
    graph = lane.graph(lambda rngs: registry.build(fit.hparams, cohort.shape, 3, jnp.float32, "lax", rngs))
    params, stats, _ = lane.parts(network)
    filled = []
    for prefix, tree in (("params", params), ("stats", stats)):
        leaves = [fit.weights[name] for name in named(prefix, tree)]
        filled.append(jax.tree.unflatten(jax.tree.structure(tree), [jnp.asarray(leaf) for leaf in leaves]))
    trained = nnx.merge(graph, *filled, {})
    pixels = (dense(cohort).astype(np.float32) - fit.weights["pixel_mean"]) / fit.weights["pixel_sd"]
    predicted = np.argmax(trained(jnp.asarray(pixels), evaluation({})), axis=1)
    assert np.mean(predicted == cohort.targets.values) > 0.5, "a third by chance"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "configuration",
    [{"dropout": 0.5}, {"flip_horizontal": 1.0, "noise": 0.5}, {"optimizer": "adam", "beta1": 0.3}],
    ids=lambda configuration: "+".join(configuration),
)
def test_a_configuration_does_what_the_same_values_do_in_the_config(cohort, configuration):
    """Dropout and augmentations are compiled in only when something uses them."""
    places = {name: "augmentation" if name in AUGMENTATION else "training" for name in configuration}
    changes = {f"{places[name]}__{name}": value for name, value in configuration.items()}
    ours = nachos_jax.fit_lanes(cohort, [configuration], tiny.config())[0]
    theirs = nachos_jax.fit_lanes(cohort, [{}], tiny.config(**changes))[0]
    assert ours.hparams == theirs.hparams
    assert ours.training_loss == pytest.approx(theirs.training_loss, rel=1e-5)


@pytest.mark.parametrize("mask", [None, np.arange(vectors.CASES) // 6 % 4 == 2], ids=["unwatched", "watched"])
def test_a_network_gets_all_epochs_beside_a_config_of_one_that_is_solved(mask):
    """And one that is solved gets one, as alone; the schedule ends with the last epoch."""
    network = {"architecture": "mlp", "learning_rate": 0.01, "schedule": "cosine"}
    solved, beside = nachos_jax.fit_lanes(vectors.cohort(), [{}, network], vectors.config(), mask)
    alone = nachos_jax.fit_lanes(vectors.cohort(), [network], vectors.config("mlp"), mask)[0]
    assert (len(solved.training_loss), len(beside.training_loss)) == (1, 4)
    assert beside.training_loss == alone.training_loss


def test_nothing_to_do_gives_nothing(cohort):
    assert nachos_jax.fit_lanes(cohort, [], tiny.config()) == []


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"learning_rat": 0.1}, r"configurations\[1\]: .*'learning_rat'.* batch_size"),
        ({"learning_rate": -1.0}, r"\['learning_rate'\] = -1.0: must be a number from 1e-08"),
        ({"learning_rate": math.nan}, r"\['learning_rate'\] = nan: must be a number"),
        ({"batch_size": math.nan}, r"\['batch_size'\] = nan: must be a whole number"),
        ({"optimizer": "lion"}, r"\['optimizer'\] = 'lion': must be one of 'sgd'"),
        ({"batch_size": 97}, r"configurations\[1\]: batch_size 97 and .*96 training cases: lower it"),
        ({"cnn.stages": 6}, "stages"),
        ({"epochs": 3}, "no hyperparameter 'epochs'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(cohort, configuration, message):
    told: list[int] = []
    with pytest.raises(UsageError, match=message):
        nachos_jax.fit_lanes(
            cohort, [{}, configuration], tiny.config(), on_fit=lambda place, _: told.append(place)
        )
    assert told == []


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"rotation": 10.0}, "config.augmentation.rotation changes images"),
        ({"noise": 0.1}, "config.augmentation.noise changes images"),
        ({"architecture": "unet"}, "'unet' does not suit config.task.name = 'classification'"),
        ({"architecture": "tuned"}, "trains a pretrained network on"),
        ({"architecture": "cnn"}, "vectors"),
        ({"spacing": "mean"}, "no store was prepared with config.data.spacing"),
    ],
    ids=lambda value: "+".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_what_a_run_refuses_of_a_configuration_is_refused_before_anything_is_trained(configuration, message):
    told: list[int] = []
    with pytest.raises(UsageError, match=rf"configurations\[1\]: .*{message}"):
        nachos_jax.fit_lanes(
            vectors.cohort(),
            [{}, configuration],
            vectors.config(),
            on_fit=lambda place, _: told.append(place),
        )
    assert told == []


def test_a_metric_that_is_unknown_is_refused_before_anything_is_trained(cohort, validation):
    with pytest.raises(UsageError, match="config.search.metric = 'acc': must be one of accuracy"):
        nachos_jax.fit_lanes(cohort, [{}], tiny.config(search__metric="acc"), validation)


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros(tiny.CASES, bool),
        np.ones(tiny.CASES, bool),
        np.ones(tiny.CASES - 1, bool),
        np.arange(5),
        np.zeros((tiny.CASES, 1), bool),
    ],
    ids=["nobody", "everybody", "too few", "indices", "a column"],
)
def test_a_validation_mask_that_is_none_is_refused(cohort, mask):
    with pytest.raises(UsageError, match=r"validation of shape .* must be \[96\] bool with some cases True"):
        nachos_jax.fit_lanes(cohort, [{}], tiny.config(), mask)


def test_validation_cases_are_not_trained_on(watched, cohort, validation):
    """Their pixels may be anything: training sees none of them."""
    images = dense(cohort).astype(np.float32)
    images[validation] = np.nan
    spoilt = dataclasses.replace(cohort, store=Dense(images))
    fit = nachos_jax.fit_lanes(spoilt, [CONFIGURATIONS[2]], tiny.config(), validation)[0]
    assert (fit.validation_loss, fit.best_epoch, fit.status) == ((None,), None, "done")
    clean, _ = watched
    np.testing.assert_allclose(np.asarray(fit.training_loss, float), clean[2].training_loss[0], rtol=1e-5)
