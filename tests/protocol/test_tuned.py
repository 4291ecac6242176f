"""Fine-tuning from the file of weights to prediction; nothing of a test fold reaches its study."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

import nachos_jax
from nachos_jax.cli import main
from nachos_jax.core.errors import UsageError
from nachos_jax.data.constant import Constant
from nachos_jax.data.table import Cohort
from nachos_jax.models.zoo import registry
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run import embedding
from nachos_jax.records.store import RunDirectory
from tests import pretrained, tiny
from tests.inputs import dense
from tests.protocol.test_leak import OUTER, seen_from_inside

CASES = 48
QUICK = (
    "search.trials=1",
    "search.searcher=random",
    "folds.count=3",
    "report.replicates=200",
    "engine.lanes=2",
)
QUICK += ("engine.checkpoint_epochs=1000", "training.batch_size=8", "training.epochs=3")
CONFIG = (
    "--config=pretrained:tune",
    "--config.backbone.name=small",
    "--config.backbone.weights=w.safetensors",
)
CONFIG += ("--config.backbone.tune=mid", "--config.data.cache=cache")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images.npz and w.safetensors of the only network there is."""
    monkeypatch.setattr(registry, "_networks", lambda: {"small": pretrained.SMALL})
    monkeypatch.chdir(tmp_path)
    pretrained.write(tmp_path)
    draw, labels = np.random.default_rng(0), np.arange(CASES) % 2
    images = draw.integers(0, 120, (CASES, 20, 24)) + 60 * labels[:, None, None]
    names = np.asarray(["no", "yes"])[labels]
    np.savez("images.npz", images=images.astype(np.uint8), labels=names, subject=np.arange(CASES))
    return tmp_path


def nachos(command: str, *words: str) -> int:
    quick = [f"--config.{field}" for field in QUICK] if command in ("evaluate", "deploy", "plan") else []
    return main.main(["nachos", command, *words, *quick])


@pytest.mark.thorough
@pytest.mark.parametrize("inputs", ["activations", "pixels"])
def test_a_deployed_model_predicts_from_pixels_what_lanes_recorded(inputs: str, place: Path, capsys):
    more = ["--config.deploy.members=folds", "--workdir=a"]
    more += ["--config.augmentation.brightness=0.1"] if inputs == "pixels" else []
    assert nachos("deploy", *CONFIG, *more) == 0
    (place / "w.safetensors").unlink()  # the folder holds what it needs
    assert (place / "a/deploy/backbone.safetensors").exists() == (inputs == "activations")
    model, store = nachos_jax.load("a/deploy"), RunDirectory("a", "deploy")
    with np.load("images.npz") as file:
        for row, image in enumerate(file["images"]):
            Image.fromarray(image).save(f"{row:02d}.png")
    _, images = model.read([f"{row:02d}.png" for row in range(CASES)])
    assert model.description["preparation"]["backbone"]["inputs"] == inputs
    cases = store.cases()
    assert cases is not None
    given = model._fitting(images)
    for network, name in zip(model._networks, model.description["fits"], strict=True):
        record = store.fit(name)
        assert record is not None
        assert len(record.first) == 64
        held = np.flatnonzero(cases.folds.cases(record.left_out[0]))
        seen = load(store.payload(record, "logits.safetensors"))["logits"]
        np.testing.assert_allclose(network.apply(given[held]), seen, rtol=2e-4, atol=2e-4)
        assert np.ptp(seen) > 1e-3
    words = [f"--model={place / 'a/deploy'}", "--output=p.csv"]
    assert nachos("predict", *words, "--input=00.png,01.png", "--explain=maps") == 0
    assert len(list((place / "maps").glob("*.png"))) == 2
    if inputs == "activations":
        (place / "a/deploy/backbone.safetensors").write_bytes(b"")
        with pytest.raises(
            UsageError, match=r"backbone.safetensors is missing or damaged: run `nachos deploy`"
        ):
            nachos_jax.load("a/deploy")


@pytest.mark.thorough
def test_nothing_of_a_test_fold_reaches_its_study(place: Path):
    run = pretrained.run_config(place, data__equal_images="accept", search__trials=2, training__epochs=2)
    clean = pretrained.cohort(run)
    evaluate(run, "clean", [OUTER], clean, quiet=True)
    with pytest.raises(UsageError, match="Outer fold 0 could not be finished"):
        evaluate(run, "spoilt", None, spoilt(clean), quiet=True)
    assert seen_from_inside(place / "clean") == seen_from_inside(place / "spoilt")
    store = RunDirectory("spoilt")
    assert len({record.first for record in store.fits()}) == 1, "every fit starts from the same weights"
    assert nachos("report", "--workdir=clean") == 0
    page = (place / "clean/report/index.html").read_text(encoding="utf-8")
    assert "Every fit starts from small up to layer" in page
    assert "constants of its pretraining, the same for every fit" in page
    assert "training cases, channel by channel" not in page
    assert "pretrained and frozen" not in page


def spoilt(cohort: Cohort) -> Cohort:
    """Fold OUTER's activations are NaN and its labels are shuffled."""
    assert cohort.table.folds is not None
    assert isinstance(cohort.store, Constant)
    fold = np.flatnonzero(cohort.table.folds == OUTER)
    values, labels = np.array(dense(cohort)), np.array(cohort.targets.values)
    values[fold], labels[fold] = np.nan, np.roll(labels[fold], 3)
    strata = dataclasses.replace(cohort.targets.strata, numbers=labels)
    has = np.eye(len(cohort.targets.names), dtype=bool)[labels]
    targets = dataclasses.replace(cohort.targets, values=labels, strata=strata, has=has)
    store = dataclasses.replace(cohort.store, values=values)
    return dataclasses.replace(cohort, store=store, targets=targets, hash="spoilt")


@pytest.mark.thorough
def test_what_is_kept_depends_on_weights_and_freeze_point(place: Path):
    cohorts = [
        pretrained.cohort(pretrained.run_config(place, **one))
        for one in ({}, {"backbone__tune": "last"}, {"backbone__tune": "all"}, {"augmentation__noise": 0.1})
    ]
    pretrained.write(place, 1)
    cohorts.append(pretrained.cohort(pretrained.run_config(place)))
    assert len({cohort.hash for cohort in cohorts}) == len(cohorts)
    assert [cohort.shape for cohort in cohorts[:4]] == [(8, 8, 6), (4, 4, 8), (32, 32, 1), (32, 32, 1)]
    assert [str(cohort.store.dtype) for cohort in cohorts[:3]] == ["float16", "float16", "uint8"]


@pytest.mark.thorough
def test_deep_images_mean_the_same_in_every_mode(place: Path):
    images = tiny.arrays()[0].astype(np.int16) * 16 - 1000
    cohort = nachos_jax.cohort_from_arrays(images, tiny.arrays()[1], subjects=np.arange(tiny.CASES))
    run = pretrained.run_config(place, augmentation__noise=0.1)
    found = embedding.embedded(run, cohort)
    mean, sd = found.store.sums().mean_sd(np.ones(tiny.CASES, bool))
    values = dense(found)
    assert (values.dtype, float(values.min()), float(values.max())) == (np.float16, 0.0, 1.0)
    np.testing.assert_allclose(
        (mean, sd), [[np.mean((0.485, 0.456, 0.406))], [np.mean((0.229, 0.224, 0.225))]]
    )


@pytest.mark.thorough
def test_a_plan_foretells_what_lanes_take(place: Path, capsys):
    assert nachos("plan", *CONFIG, "--devices=1") == 0
    out = capsys.readouterr().out
    assert "tuned" in out
    assert "538" in out  # middle 432 + 16, last 64 + 8, head 16 + 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--config.backbone.tune=top"],
            "config.backbone.tune = 'top': must be one of all, stem, mid, last, pool",
        ),
        (["--config.backbone.tune=pool"], "no layer from there on to 'pool' has weights to train"),
        (
            ["--config.backbone.tune="],
            "'tuned' trains a pretrained network on: name it in",
        ),
        (["--config.backbone.name="], "name the network in config.backbone.name, since the file is"),
        (
            ["--config.data.source=vectors", "--config.data.cache="],
            "which config.data.source = 'vectors' has no use for",
        ),
        (["--config.task.name=segmentation"], "which config.task.name = 'segmentation' has no use for"),
        (
            ["--config.model.architecture=cnn"],
            "which 'cnn' does not: set config.model.architecture = 'tuned'",
        ),
        (["--config.model.architecture=logistic"], "which 'logistic' does not"),
        (["--config.training.precision=bfloat16"], "pretrained layers are trained in float32 alone"),
        (["--config.model.tuned.backbone_rate=-1"], "must be a number from 0"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], told: str, place: Path, capsys):
    kept = [word for word in CONFIG if word.split("=")[0] not in {w.split("=")[0] for w in words}]
    assert nachos("evaluate", *kept, "--config.data.path=images.npz", *words, "--workdir=a") == 2
    assert told in capsys.readouterr().err
    assert not (place / "a" / "records" / "run.json").exists()


def test_features_of_frozen_weights_are_no_business_of_tuning(place: Path, capsys):
    assert nachos("embed", *CONFIG, "--output=features.npz") == 2
    assert "nachos embed writes the features of frozen weights" in capsys.readouterr().err
