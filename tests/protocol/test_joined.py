"""Studies of images with columns beside them, from the table to report, model and prediction."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

import nachos_jax
from nachos_jax.cli import main
from nachos_jax.core.errors import UsageError
from nachos_jax.models.zoo import registry
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import columns, external_baselines
from nachos_jax.records.store import RunDirectory
from tests import joined, pretrained, tiny
from tests.protocol.test_leak import OUTER, seen_from_inside

CASES = 48
QUICK = ("search.trials=1", "search.searcher=random", "folds.count=3", "report.replicates=200")
QUICK += ("engine.checkpoint_epochs=1000", "engine.lanes=2", "training.batch_size=8", "training.epochs=3")
DATA = ("--config.data.source=csv", "--config.data.path=t.csv", "--config.data.features=('age', 'size')")
DATA += ("--config.data.impute=median", "--config.data.cache=cache")
SPACE = [f"search__space__{name}" for name in ("learning_rate", "momentum", "weight_decay")]
BACKBONE = ("--config.backbone.name=small", "--config.backbone.weights=w.safetensors")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with t.csv, its images and w.safetensors of the only network there is."""
    monkeypatch.setattr(registry, "_networks", lambda: {"small": pretrained.SMALL})
    monkeypatch.chdir(tmp_path)
    pretrained.write(tmp_path)
    draw, labels = np.random.default_rng(0), np.arange(CASES) % 2
    images = (draw.integers(0, 120, (CASES, 20, 24)) + 60 * labels[:, None, None]).astype(np.uint8)
    rows = []
    for row, image in enumerate(images):
        Image.fromarray(image).save(f"{row:02d}.png")
        age, size = f"{50 + 8 * labels[row] + draw.normal():.2f}", f"{draw.normal():.3f}" if row % 9 else ""
        rows.append([f"{row:02d}.png", ("no", "yes")[labels[row]], f"s{row}", age, size])
    with open("t.csv", "w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "subject", "age", "size"], *rows])
    return tmp_path


def nachos(command: str, *words: str) -> int:
    quick = [f"--config.{field}" for field in QUICK] if command in ("evaluate", "deploy", "plan") else []
    return main.main(["nachos", command, *words, *quick])


def report(run: str) -> str:
    return Path(run, "report", "index.html").read_text(encoding="utf-8")


@pytest.mark.thorough
def test_columns_join_the_features_of_a_frozen_backbone(place: Path, capsys):
    config = ["--config=pretrained", *BACKBONE, *DATA]
    assert nachos("evaluate", *config, "--workdir=a") == 0
    assert "All but the last 2 are the output of a frozen network" in report("a")
    assert "Beside each image the case table gives 2 columns: age and size." in report("a")
    assert nachos("embed", *config, "--output=f.npz") == 0
    with np.load("f.npz") as file:
        assert file["features"].dtype == np.float32
        assert [str(name) for name in file["feature_names"][-2:]] == ["age", "size"]
    read = ["--config=vectors", "--config.data.path=f.npz", "--config.data.impute=median", "--workdir=b"]
    assert nachos("evaluate", *read) == 0
    metrics = [json.loads(Path(run, "summary.json").read_text())["metrics"] for run in "ab"]
    assert metrics[0] == metrics[1]
    assert nachos("deploy", *config, "--workdir=a") == 0
    table = Path("a/deploy/coefficients_00.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table[-2:]] == ["age", "size"]
    predicts_the_training_table(place)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "way",
    [
        "linear",
        pytest.param("logistic", marks=pytest.mark.thorough),
        pytest.param("views", marks=pytest.mark.thorough),
    ],
)
def test_what_columns_add_after_frozen_features(way: str, place: Path):
    """Age tells the class, size nothing; an estimator, of which nothing is kept, says so too."""
    config = {
        "linear": ["--config=pretrained"],
        "logistic": ["--config=baseline:logistic"],
        "views": ["--config=pretrained", "--config.backbone.views=2", "--config.augmentation.brightness=0.1"],
    }[way]
    assert nachos("evaluate", *config, *BACKBONE, *DATA, "--workdir=a") == 0
    summary = json.loads(Path("a/summary.json").read_text())
    of_test = summary["metrics"][summary["headline"]]["folds"]
    age, size = summary["columns"]["rows"]
    assert {fold: value["plain"] for fold, value in age["folds"].items()} == {
        fold: pytest.approx(value["value"]) for fold, value in of_test.items()
    }
    assert age["worse_by"] > max(0.02, 3 * abs(size["worse_by"]))
    assert summary["columns"]["together"]["worse_by"] > 0.02


@pytest.mark.thorough
def test_an_estimator_is_fitted_again_once_a_fold(place: Path, monkeypatch: pytest.MonkeyPatch):
    """More often only where all versions of the cases together want more than the room there is."""
    calls, fitted = [], external_baselines.again.fitted

    def counted(*told):
        calls.append(len(told[-1].table))
        return fitted(*told)

    monkeypatch.setattr(external_baselines.again, "fitted", counted)
    words = ["--config=baseline:logistic", *BACKBONE, *DATA, "--workdir=a"]
    assert nachos("evaluate", *words) == 0
    versions = 1 + (2 + 1) * columns.REPEATS
    assert sum(calls) == versions * CASES
    assert len(calls) == 3
    path = Path("a/records/evaluate/columns/fold_00.json")
    before = json.loads(path.read_text())
    path.unlink()
    calls.clear()
    monkeypatch.setattr(columns, "ROOM", 11 * CASES)  # less than one version: each has a fit of its own
    monkeypatch.setattr(columns, "REPEATS", 1)
    assert nachos("evaluate", *words) == 0
    assert len(calls) == 1 + 2 + 1
    after = json.loads(path.read_text())
    assert after["plain"] == pytest.approx(before["plain"])
    assert after["together"] == pytest.approx(before["together"][:1])


def predicts_the_training_table(place: Path) -> None:
    """From the table with columns in any order, and from arrays; without a column it is refused by name."""
    words = ["--model=a/deploy", "--output=p.csv"]
    assert nachos("predict", *words, "--input=t.csv") == 0
    with open("p.csv", newline="") as file:
        found = [row["predicted"] for row in csv.DictReader(file)]
    assert np.mean([name == ("no", "yes")[row % 2] for row, name in enumerate(found)]) > 0.9
    model = nachos_jax.load("a/deploy")
    _, cases = model.read(["t.csv"])
    first = model.predictions((cases.images, cases.vectors))
    older = cases.vectors + np.asarray([200.0, 0.0], np.float32)
    assert np.abs(model.predictions((cases.images, older)) - first).max() > 0.1, "the column counts"
    for given in (cases.images, (cases.images, cases.vectors[:, :1]), (cases.images, cases.vectors[:1])):
        with pytest.raises(
            UsageError, match=r"pair \(images, vectors\)|vectors of shape|48 images and 1 vec"
        ):
            model.predictions(given)
    assert nachos("predict", *words, "--input=00.png") == 2
    (place / "short.csv").write_text("path,age\n00.png,50\n")
    assert nachos("predict", *words, "--input=short.csv") == 2


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["cnn", "activations", "pixels"])
def test_columns_join_before_the_last_layer(way: str, place: Path, capsys):
    config = ["--config=csv", "--config.model.cnn.stages=1", "--config.model.cnn.width=4"]
    if way != "cnn":
        config = ["--config=pretrained:tune", *BACKBONE, "--config.backbone.tune=mid"]
        config += ["--config.augmentation.brightness=0.1"] if way == "pixels" else []
    config += [*DATA, "--config.training.learning_rate=0.05"]
    assert nachos("deploy", *config, "--config.deploy.members=folds", "--workdir=a") == 0
    (place / "w.safetensors").unlink()
    lines = Path("a/deploy/coefficients_00.csv").read_text().splitlines()
    assert lines[0] == "feature,no,no_per_sd,yes,yes_per_sd"
    assert [line.split(",")[0] for line in lines[1:]] == ["age", "size"]
    store, model = RunDirectory("a", "deploy"), nachos_jax.load("a/deploy")
    cases, (_, images) = store.cases(), model.read(["t.csv"])
    assert cases is not None
    given = model._fitting(images)
    for network, name in zip(model._networks, model.description["fits"], strict=True):
        record = store.fit(name)
        assert record is not None
        held = np.flatnonzero(cases.folds.cases(record.left_out[0]))
        seen = load(store.payload(record, "logits.safetensors"))["logits"]
        part = type(given)(*(values[held] for values in given))
        np.testing.assert_allclose(network.apply(part), seen, rtol=2e-4, atol=2e-4)
        assert np.ptp(seen) > 1e-3
    predicts_the_training_table(place)
    Path("two.csv").write_text("path,age,size\n00.png,50,\n01.png,60,1\n")
    assert nachos("predict", "--model=a/deploy", "--output=p.csv", "--input=two.csv", "--explain=maps") == 0
    assert len(list(Path("maps").glob("*.png"))) == 2


@pytest.mark.thorough
def test_nothing_of_a_test_fold_reaches_its_study(tmp_path: Path):
    run = tiny.run_config(training__epochs=3, report__gallery=2)
    clean, values = joined.cohort(), joined.columns()
    values[clean.table.folds == OUTER] = np.nan  # imputed, so that nothing stops
    values[np.flatnonzero(clean.table.folds == OUTER)[0]] = 1e6
    evaluate(run, str(tmp_path / "clean"), [OUTER], clean, quiet=True)
    evaluate(run, str(tmp_path / "spoilt"), [OUTER], joined.with_columns(clean, values), quiet=True)
    assert seen_from_inside(tmp_path / "clean") == seen_from_inside(tmp_path / "spoilt")
    tests = [RunDirectory(tmp_path / name).tests()[0].arrays for name in ("clean", "spoilt")]
    assert not np.array_equal(tests[0]["probabilities"], tests[1]["probabilities"]), "the test reads them"


@pytest.mark.thorough
def test_the_report_shows_maps_of_errors_and_says_what_went_in(tmp_path: Path):
    config = tiny.config(training__epochs=2, search__trials=1, report__gallery=2)
    nachos_jax.evaluate(config, tmp_path / "run", joined.cohort(), [0, 1])
    page = report(str(tmp_path / "run"))
    assert "The model is given the pixels of the image and 3 columns of the case table" in page
    assert "pixels and columns by the mean and standard deviation of its own training cases" in page
    assert "join its features before the last layer" in page
    assert list((tmp_path / "run" / "explanations").glob("*.png"))


def test_baselines_of_images_are_given_no_columns(tmp_path: Path):
    config = tiny.config(model__architecture="logistic", **dict.fromkeys(SPACE, ""))
    with pytest.raises(UsageError, match="logistic is given images or vectors, not both: name a backbone"):
        nachos_jax.evaluate(config, tmp_path / "run", joined.cohort())


@pytest.mark.thorough
def test_images_with_columns_are_normalised_by_the_training_cases_alone(place: Path, capsys):
    words = ["--config=csv", *DATA, "--config.data.height=20", "--config.data.width=24", "--workdir=run"]
    assert nachos("evaluate", *words, "--config.data.normalisation=z_score") == 2
    assert "columns of the table stand beside the images" in capsys.readouterr().err
    assert not Path("run").exists()
