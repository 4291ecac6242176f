"""Views of each image: made once and named, drawn from in training, never seen in a test."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load
from sklearn.linear_model import LogisticRegression

import nachos_jax
from nachos_jax.cli import main
from nachos_jax.core.errors import UsageError
from nachos_jax.data import views
from nachos_jax.data.views import Viewed
from nachos_jax.models.zoo import backbone, registry
from nachos_jax.protocol.run import embedding
from nachos_jax.tasks import classification
from nachos_jax.tasks.task import Cases, Told
from tests import pretrained, tiny, vectors
from tests.fields import put

QUICK = ("search.trials=1", "search.searcher=random", "folds.count=3", "report.replicates=200")
QUICK += ("engine.checkpoint_epochs=1000", "engine.lanes=2")
COUNT = 4


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for w.safetensors of the only network there is, and the cache."""
    monkeypatch.setattr(registry, "_networks", lambda: {"small": pretrained.SMALL})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pretrained.write(tmp_path)
    return tmp_path


def config(count: int = COUNT, **changes):
    given = {"augmentation__brightness": 0.5, "augmentation__flip_horizontal": 0.5} if count > 1 else {}
    values = tiny.config(model__architecture="mlp", model__mlp__width=6, **given)
    values.backbone.name, values.backbone.weights, values.backbone.views = "small", "w.safetensors", count
    for name, value in changes.items():
        put(values, name, value)
    return values


def run_config(count: int = COUNT, **changes):
    from nachos_jax.protocol.run.configure import checked

    return checked(config(count, **changes))


def embedded(count: int = COUNT, rows: np.ndarray | None = None, **changes) -> np.ndarray:
    """[N, K, D]: the views of the tiny cohort, or of some of its cases in another order."""
    images, labels, folds = tiny.arrays()
    rows = np.arange(len(images)) if rows is None else rows
    cases = nachos_jax.ArrayCases(
        images[rows], labels[rows], [f"s{i}" for i in rows], folds=folds[rows], names="012"
    )
    store = embedding.embedded(run_config(count, **changes), nachos_jax.cohort(cases)).store
    return store.values if isinstance(store, Viewed) else store.rows(np.arange(len(rows)))[:, None]


@pytest.mark.thorough
def test_external_cases_have_the_plain_view_alone(place: Path):
    images, labels, folds = tiny.arrays()
    subjects, sites = (
        [f"s{i}" for i in range(len(images))],
        np.where(np.arange(len(images)) < 72, "home", "away"),
    )
    cases = nachos_jax.ArrayCases(images, labels, subjects, sites, folds=folds, names="012")
    run = run_config(data__external=("away",))
    cohort = embedding.embedded(run, nachos_jax.cohort(cases))
    assert isinstance(cohort.store, Viewed)
    assert cohort.store.values.shape[:2] == (72, COUNT)
    assert cohort.outside is not None
    rows = cohort.outside.store.rows(np.arange(24))
    np.testing.assert_array_equal(rows, embedded(1)[72:, 0])


@pytest.mark.thorough
def test_one_view_is_what_there_was(place: Path):
    run, plain = run_config(1), embedded(1)
    images = tiny.cohort().store.rows(np.arange(tiny.CASES))
    expected = backbone.load(run.backbone).features(images).astype(np.float32)
    assert plain[:, 0].tobytes() == expected.tobytes()
    assert embedded()[:, 0].tobytes() == expected.tobytes(), "the first of several is the plain one"
    cohorts = [embedding.embedded(run_config(count), tiny.cohort()) for count in (1, COUNT)]
    assert "views" not in cohorts[0].preparation
    assert cohorts[0].hash != cohorts[1].hash


def test_a_view_follows_from_the_image_alone(place: Path):
    found = embedded()
    turned = np.arange(tiny.CASES)[::-1]
    np.testing.assert_allclose(embedded(rows=turned), found[turned], atol=2e-3)
    part = np.arange(20, 60)
    np.testing.assert_allclose(embedded(rows=part), found[part], atol=2e-3)
    apart = np.abs(found[:, :, None] - found[:, None]).max((0, 3))
    assert (apart[~np.eye(COUNT, dtype=bool)] > 0.05).all(), "views differ from one another"
    stronger = embedded(augmentation__brightness=1.5)
    np.testing.assert_array_equal(stronger[:, 0], found[:, 0])
    assert np.abs(stronger[:, 1:] - found[:, 1:]).max() > 0.05


@pytest.mark.thorough
def test_more_views_cost_only_those_that_are_new(place: Path, monkeypatch: pytest.MonkeyPatch):
    made = []
    compute = backbone.Backbone.features

    def counted(self, images, out=None, progress=None, view=None):
        made.append(view and view.number)
        return compute(self, images, out, progress, view)

    monkeypatch.setattr(backbone.Backbone, "features", counted)
    few = embedded(2)
    more = embedded(4)
    embedded(4, seed=7)
    assert made == [None, 1, 2, 3]
    np.testing.assert_array_equal(more[:, :2], few)


def test_a_step_draws_views_by_its_key_and_tests_see_the_plain_one():
    device = classification.TASK.device(("a", "b"), {})
    values = np.arange(5 * COUNT, dtype=np.float32).reshape(5, COUNT, 1)
    cases = Cases(views.Views(jnp.asarray(values)), jnp.zeros(5, jnp.int32))
    told = Told(jnp.zeros(1), jnp.ones(1), {}, {}, None)
    rows = jnp.asarray([3, 1, 1, 4] * 50)
    drawn = [
        np.asarray(device.batch(cases, rows, told, jax.random.key(seed), frozenset())[0])[:, 0].astype(int)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    np.testing.assert_array_equal(drawn[0] // COUNT, rows)
    assert np.bincount(drawn[0] % COUNT, minlength=COUNT).min() > 25, "all views alike"
    seen = device.observe(lambda x: jnp.concatenate([x, x], 1), cases, rows, told)
    np.testing.assert_array_equal(seen[:, 0], values[np.asarray(rows), 0, 0])


@pytest.mark.thorough
def test_neither_lanes_nor_neighbours_nor_held_cases_change_what_is_drawn(place: Path):
    run = run_config(engine__lanes=2)
    cohort = embedding.embedded(run, tiny.cohort())
    fits = [tiny.fit(run, (1,), epochs=3, learning_rate=rate) for rate in (0.02, 0.1)]
    _, expected, _ = tiny.train(fits, run, cohort)
    _, alone, _ = tiny.train(fits[1:], run, cohort)
    assert alone[fits[1].id] == expected[fits[1].id]
    _, spread, _ = tiny.train(fits[::-1], run, cohort, devices=2)
    for fit, payload in expected.items():
        for name, values in load(payload["weights.safetensors"]).items():
            ours = load(spread[fit]["weights.safetensors"])[name]
            np.testing.assert_allclose(ours, values, rtol=1e-4, atol=1e-5)
    assert cohort.table.folds is not None
    held = cohort.table.folds == 1
    assert isinstance(cohort.store, Viewed)

    def weights(payloads: dict) -> list[bytes]:
        return [payloads[fit.id]["weights.safetensors"] for fit in fits]

    def spoilt(rows: np.ndarray, view: slice) -> list[bytes]:
        values = np.array(cohort.store.values)
        values[rows, view] += 7
        other = dataclasses.replace(cohort, store=views.of(values, ""))
        return weights(tiny.train(fits, run, other)[1])

    assert spoilt(held, slice(None)) == weights(expected)
    assert spoilt(~held, slice(1, None)) != weights(expected), "training sees its views"


def test_linear_learns_from_the_mean_loss_over_views():
    """Scikit-learn's logistic regression on all views as cases, each with 1 / K of the weight."""
    draw, cohort = np.random.default_rng(1), vectors.cohort()
    plain = vectors.values_of(cohort)
    values = np.stack([plain, *(plain * draw.normal(1, 0.3, plain.shape) for _ in range(2))], axis=1)
    store = views.of(values.astype(np.float32), "")
    run = vectors.run_config()
    fit = tiny.fit(run, (1,), epochs=1, **{"linear.c": 0.5})
    _, payloads, _ = tiny.train([fit], run, dataclasses.replace(cohort, store=store))
    found = load(payloads[fit.id]["weights.safetensors"])
    training = cohort.table.folds != 1
    mean, sd = plain[training].mean(0), plain[training].std(0)
    rows = ((values - mean) / sd)[training].reshape(-1, vectors.FEATURES)
    labels = np.repeat(cohort.targets.values[training], 3)
    model = LogisticRegression(C=0.5 / 3, tol=1e-10, max_iter=10_000).fit(rows, labels)
    kernel = found["params/kernel"] - found["params/kernel"].mean(1, keepdims=True)
    np.testing.assert_allclose(kernel, model.coef_.T - model.coef_.T.mean(1, keepdims=True), atol=2e-3)


@pytest.mark.thorough
def test_embedded_at_the_door_or_read_from_a_file_is_the_same(place: Path, capsys):
    images, labels, _ = tiny.arrays()
    np.savez("images.npz", images=images, labels=labels, subject=np.arange(tiny.CASES) // 2)
    words = ["--config=pretrained", "--config.backbone.name=small", "--config.backbone.views=3"]
    words += ["--config.backbone.weights=w.safetensors", "--config.augmentation.brightness=0.5"]
    assert nachos("embed", *words, "--output=features.npz") == 0
    assert "8 features of layer 'pool' of 3 views" in capsys.readouterr().out
    with np.load("features.npz") as file:
        assert file["views"].shape == (tiny.CASES, 3, 8)
        np.testing.assert_array_equal(file["views"][:, 0], file["features"])
    assert nachos("plan", *words, "--devices=1") == 0
    assert "vectors of 8 features in 3 views as float32" in capsys.readouterr().out
    assert nachos("evaluate", *words, "--workdir=a") == 0
    read = ["--config=vectors", "--config.data.path=features.npz", "--workdir=b"]
    assert nachos("evaluate", *read) == 0
    metrics = [json.loads(Path(run, "summary.json").read_text())["metrics"] for run in "ab"]
    assert metrics[0] == metrics[1]
    for run in "ab":
        page = Path(run, "report", "index.html").read_text(encoding="utf-8")
        assert "Features are of 3 views of each image: as it is, and augmented copies (brightness)" in page
        assert "Training takes the mean loss over them" in page


def nachos(command: str, *words: str) -> int:
    quick = [f"--config.{field}" for field in QUICK] if command != "embed" else []
    return main.main(["nachos", command, *words, *quick])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"augmentation__brightness": 0.0, "augmentation__flip_horizontal": 0.0}, "nothing makes one view"),
        ({"search__space__brightness": "uniform(0.1, 0.5)"}, "set config.search.space.brightness to ''"),
        ({"augmentation__flip_depth": 0.5}, "mirrors volumes, not images"),
        ({"backbone__tune": "mid", "model__architecture": "tuned"}, "sees images augmented anew in every"),
        ({"model__architecture": "logistic"}, "logistic is fitted once to one vector a case"),
        ({"backbone__name": "", "backbone__weights": ""}, "views = 4 does nothing without a backbone"),
    ],
)
def test_views_that_cannot_be_are_refused(place: Path, changes: dict, told: str):
    if changes.get("model__architecture") == "logistic":
        changes |= {f"search__space__{name}": "" for name in ("learning_rate", "momentum", "weight_decay")}
    with pytest.raises(UsageError, match=told):
        nachos_jax.evaluate(config(**changes), place / "run", tiny.cohort())
