"""A frozen backbone from the file of weights to report and prediction, at the door and by `nachos embed`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import nachos_jax
from nachos_jax.cli import commands, main, parsing
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.models.zoo import backbone, registry
from nachos_jax.models.zoo.layers import biased_conv
from nachos_jax.models.zoo.network import Expected, Network
from nachos_jax.protocol.run import embedding
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import begin, open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading import evidence
from nachos_jax.tasks import registry as tasks

CHANNELS, SIDE, CASES = 8, 32, 48
STAGES = (
    ("map", lambda w, x: biased_conv(w / "conv", x, CHANNELS, 3)),
    ("pool", lambda _, x: x.mean((1, 2))),
)
SMALL = Network(STAGES, "fc", Expected(size=SIDE))
QUICK = ("search.trials=1", "search.searcher=random", "folds.count=3", "report.replicates=200")
QUICK += ("engine.checkpoint_epochs=1000", "engine.lanes=2")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images.npz and w.safetensors of the only network there is."""
    monkeypatch.setattr(registry, "_networks", lambda: {"small": SMALL})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_weights(tmp_path / "w.safetensors", 0)
    rng = np.random.default_rng(0)
    labels = np.arange(CASES) % 2
    images = rng.integers(0, 120, (CASES, 20, 24)) + 60 * labels[:, None, None]
    np.savez(
        tmp_path / "images.npz",
        images=images.astype(np.uint8),
        labels=np.asarray(["no", "yes"])[labels],
        subject=np.arange(CASES) // 2 * 2 + labels,
        site=np.arange(CASES) % 3,
    )
    return tmp_path


def write_weights(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((CHANNELS, 3, 3, 3)).astype(np.float32)
    save_file({"conv.weight": kernel, "conv.bias": np.zeros(CHANNELS, np.float32)}, path)


def nachos(command: str, *words: str) -> int:
    quick = [f"--config.{field}" for field in QUICK] if command in ("evaluate", "deploy") else []
    return main.main(["nachos", command, *words, *quick])


def config(**changes):
    values = nachos_jax.default_config()
    values.data.path = "images.npz"
    values.backbone.name, values.backbone.weights = "small", "w.safetensors"
    values.update_from_flattened_dict(changes)
    return checked(values)


CONFIG = ["--config=pretrained", "--config.backbone.name=small", "--config.backbone.weights=w.safetensors"]


@pytest.mark.thorough
def test_embedded_at_the_door_or_read_from_a_file_is_the_same(place: Path, capsys):
    assert nachos("embed", *CONFIG, "--output=features.npz") == 0
    out = capsys.readouterr().out
    assert "2 weights matched by name and shape, none missing, none left over" in out
    assert "features: features.npz (48 cases, 8 features of layer 'pool')" in out
    assert nachos("evaluate", *CONFIG, "--workdir=a") == 0
    read = ["--config=vectors", "--config.data.path=features.npz", "--workdir=b"]
    assert nachos("evaluate", *read) == 0
    values = [json.loads((place / run / "summary.json").read_text())["metrics"] for run in "ab"]
    assert values[0] == values[1]
    with np.load(place / "features.npz") as file:
        assert (file["features"].shape, file["features"].dtype) == ((CASES, CHANNELS), np.float16)
        assert {"labels", "subject", "site", "case", "backbone"} <= set(file.files)
    lists = [(place / run / "report" / "index.html").read_text(encoding="utf-8") for run in "ab"]
    lists += [(place / run / "records" / "run.json").read_text(encoding="utf-8") for run in "ab"]
    assert all("may hold cases of this study" in text for text in lists[2:])


def test_a_deployed_model_predicts_from_pixels_what_cached_features_give(place: Path):
    assert nachos("deploy", *CONFIG, "--config.backbone.licence=MIT", "--workdir=a") == 0
    cohort = embedding.load(config())
    (place / "w.safetensors").unlink()  # the folder holds what it needs
    with np.load("images.npz") as file:
        for row, image in enumerate(file["images"][:5]):
            Image.fromarray(image).save(f"{row}.png")
    model = nachos_jax.load("a/deploy")
    names, images = model.read([f"{row}.png" for row in range(5)])
    assert images.shape == (5, SIDE, SIDE, 1)
    assert model._backbone is not None
    np.testing.assert_array_equal(model._backbone.features(images), cohort.store.rows(np.arange(5)))
    assert model.predictions(images).argmax(1).tolist() == [0, 1, 0, 1, 0]
    description = json.loads(Path("a/deploy/model.json").read_text(encoding="utf-8"))["preparation"][
        "backbone"
    ]
    assert {"name": "small", "licence": "MIT", "interpolation": "bicubic"}.items() <= description.items()
    Path("a/deploy/backbone.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match=r"backbone.safetensors is missing or damaged: run `nachos deploy`"):
        nachos_jax.load("a/deploy")


def test_what_is_said_of_the_weights_later_reaches_the_report(place: Path):
    def launched(*words: str) -> Mapping[str, Any]:
        flags = [*CONFIG, *words, *(f"--config.{field}" for field in QUICK), "--workdir=a"]
        values = parsing.parse("evaluate", commands.NAMES["evaluate"].flags, flags)
        begin(open_run(parsing.run_config(values.config), "a", "evaluate"))
        return evidence.read(RunDirectory("a")).run["preparation"]["backbone"]

    told = launched()
    assert (told["licence"], told["pretrained_on"]) == ("", "")
    began = (place / "a/records/run.json").read_bytes()
    told = launched("--config.backbone.licence=MIT", "--config.backbone.pretrained_on=photographs")
    assert (told["licence"], told["pretrained_on"]) == ("MIT", "photographs")
    assert launched("--config.backbone.licence=BSD")["licence"] == "BSD"
    assert (place / "a/records/run.json").read_bytes() == began


def test_features_are_computed_once_for_the_same_pixels_weights_and_layer(place: Path, monkeypatch):
    calls = []
    compute = backbone.Backbone.features
    monkeypatch.setattr(
        backbone.Backbone, "features", lambda self, *more: calls.append(self.layer) or compute(self, *more)
    )
    first = embedding.load(config())
    again = embedding.load(config(**{"folds.count": 3, "backbone.licence": "MIT"}))
    assert calls == ["pool"]
    assert first.hash == again.hash
    other = embedding.load(config(**{"backbone.layer": "map"}))
    write_weights(place / "w.safetensors", 1)
    retrained = embedding.load(config())
    assert calls == ["pool", "map", "pool"]
    assert len({first.hash, other.hash, retrained.hash}) == 3


@pytest.mark.thorough
def test_a_cohort_from_python_is_embedded_once(place: Path):
    with np.load("images.npz") as file:
        cohort = nachos_jax.cohort_from_arrays(file["images"], file["labels"], subjects=file["subject"])
    found = embedding.embedded(config(), cohort)
    assert found.shape == (CHANNELS,)
    assert embedding.embedded(config(), found) is found
    vectors = nachos_jax.cohort_from_arrays(
        np.random.default_rng(0).standard_normal((CASES, 4)), np.arange(CASES) % 2, subjects=range(CASES)
    )
    with pytest.raises(
        UsageError, match=r"takes images \[H, W, C\], gray or in colour, and a case here has the shape \[4\]"
    ):
        embedding.embedded(config(), vectors)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--config.backbone.weights="], "has no weights: name their file"),
        (["--config.backbone.weights=x.pth"], "there is no such file. Weights are never downloaded"),
        (["--config.backbone.name="], "name the network in config.backbone.name, since the file is"),
        (["--config.data.source=vectors"], "which config.data.source = 'vectors' has no use for"),
        (["--config.model.architecture=cnn"], "is a vector of 8 features: set config.model.architecture"),
        (["--config.backbone.layer=top"], "must be one of map, pool"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], told: str, place: Path, capsys):
    kept = [word for word in CONFIG if word.split("=")[0] not in {w.split("=")[0] for w in words}]
    assert nachos("evaluate", *kept, *words, "--workdir=a") == 2
    assert told in capsys.readouterr().err
    assert not (place / "a" / "records" / "run.json").exists()


@pytest.mark.parametrize("names", [("yes", "no"), ("no", "yes"), ("10", "2"), None])
def test_features_keep_the_order_of_the_classes(place: Path, names: tuple[str, str] | None):
    if names:
        with np.load("images.npz") as file:
            arrays: dict[str, Any] = {"images": file["images"], "subject": file["subject"]}
        np.savez("images.npz", **arrays, labels=np.arange(CASES) % 2, label_names=names)
    there = embedding.load(config()).targets
    Path("features.npz").write_bytes(embedding.archive(embedding.load(config()), ()))
    values = nachos_jax.default_config()
    values.data.source, values.data.path = "vectors", "features.npz"
    found = sources.load(checked(values).data, tasks.of(checked(values).task)).targets
    assert found.names == there.names == (names or ("no", "yes"))
    assert found.ordered == there.ordered == bool(names)
    assert found.values.tolist() == there.values.tolist()


def test_embed_overwrites_nothing_of_others_and_waives_nothing(place: Path, capsys):
    before = (place / "images.npz").read_bytes()
    assert nachos("embed", *CONFIG, "--output=images.npz") == 2
    assert "was not written by `nachos embed`; name a new file" in capsys.readouterr().err
    assert (place / "images.npz").read_bytes() == before
    waived = ["--config.data.subject=one_case_per_subject", "--config.data.subject_key="]
    with np.load("images.npz") as file:
        np.savez("waived.npz", **{name: file[name] for name in ("images", "labels")})
    waived += ["--config.data.path=waived.npz", "--output=features.npz"]
    assert nachos("embed", *CONFIG, *waived) == 0
    assert nachos("embed", *CONFIG, *waived) == 0, "its own file is written anew"
    with np.load("features.npz") as file:
        assert "subject" not in file.files
    assert nachos("evaluate", "--config=vectors", "--config.data.path=features.npz", "--workdir=a") == 2
    assert "one_case_per_subject" in capsys.readouterr().err


def test_audit_reads_images_of_several_sizes_as_evaluate_does(place: Path, capsys):
    rng = np.random.default_rng(0)
    rows = ["path,label,subject"]
    for case in range(8):
        image = rng.integers(0, 255, (30 + case % 2, 40), np.uint8)
        Image.fromarray(image).save(f"{case}.png")
        rows.append(f"{case}.png,{'yes' if case < 4 else 'no'},p{case}")
    Path("cases.csv").write_text("\n".join(rows) + "\n")
    read = ["--config.data.source=csv", "--config.data.path=cases.csv", "--output=page"]
    assert nachos("audit", *CONFIG, *read) == 0
    unsized = ["--config.data.height=0", "--config.data.width=0"]
    assert nachos("audit", "--config=csv", *unsized, *read) == 2
    assert "config.data.height" in capsys.readouterr().err, "without a backbone nothing names a size"


def test_embed_refuses_what_it_cannot_write_and_a_config_without_backbone(place: Path, capsys):
    assert nachos("embed", *CONFIG, "--output=features.csv") == 2
    assert nachos("embed", "--config=smoke", "--output=features.npz") == 2
    err = capsys.readouterr().err
    assert "must be a file whose name ends in .npz" in err
    assert "nachos embed needs a backbone" in err
