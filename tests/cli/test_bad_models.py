"""Images, files to write and models that predict cannot use: refused by one message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import arrays, said
from tests.records import seals

Refused = Callable[..., str]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


INPUTS = {
    "missing": ("lost.png", ["lost.png", "there is no such file"]),
    "empty folder": ("nothing", ["nothing holds no PNG", "another folder"]),
    "text": ("text.png", ["text.png cannot be read as PNG"]),
    "colour": ("colour.png", ["colour.png has 3 channel(s)", "trained on images with 1", "convert"]),
    "bit depth": ("deep.png", ["deep.png is stored as uint16", "uint8", "bit depth"]),
    "twice": ("good.png,good.png", ["same file as", "once"]),
    "table without path": ("nopath.csv", ["nopath.csv has no column 'path'", "'file'"]),
    "table without rows": ("empty.csv", ["there is no image to predict"]),
    "table of a lost file": ("lost.csv", ["lost.csv line 2", "'lost.png'"]),
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with images that fit the model and some that do not."""
    Image.fromarray(arrays()["images"][0]).save(tmp_path / "good.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "colour.png")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "nothing").mkdir()
    for name, text in {
        "text.png": "no image",
        "nopath.csv": "file\ngood.png\n",
        "empty.csv": "path\n",
        "lost.csv": "path\nlost.png\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_mirroring_is_for_masks(refused: Refused, finished: Path, images: Path):
    words = (f"--model={finished}/deploy", f"--input={images / 'good.png'}", f"--output={images}/out.csv")
    _says(refused("predict", *words, "--mirror=no"), ["--mirror=no is for models of masks", "leave it out"])


@pytest.mark.parametrize("name", INPUTS)
def test_input(name: str, refused: Refused, finished: Path, images: Path):
    inputs, parts = INPUTS[name]
    paths = ",".join(str(images / word) for word in inputs.split(","))
    output = images / "out.csv"
    _says(refused("predict", f"--model={finished}/deploy", f"--input={paths}", f"--output={output}"), parts)
    assert not output.exists()


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        ("lost/out.csv", ["there is no folder", "lost"]),
        ("nothing", ["must be a file", ".csv"]),
        ("good.png", ["good.png", "must be a file whose name ends in .csv"]),
        ("lost.csv", ["lost.csv is also an --input", "another file"]),
    ],
)
def test_output(output: str, parts: list[str], refused: Refused, finished: Path, images: Path):
    before = {path.name: path.read_bytes() for path in images.iterdir() if path.is_file()}
    paths = f"{images / 'lost.csv'},{images / 'good.png'}"
    flags = (f"--model={finished}/deploy", f"--input={paths}", f"--output={images / output}")
    _says(refused("predict", *flags), parts)
    assert {path.name: path.read_bytes() for path in images.iterdir() if path.is_file()} == before


def _without(*names: str) -> Callable[[Path], Any]:
    return lambda model: seals.change(
        model / "model.json",
        lambda told: {key: kept for key, kept in told.items() if key not in names},
    )


def _absurd(name: str, value: Any) -> Callable[[Path], Any]:
    return lambda model: seals.change(
        model / "model.json", lambda told: {**told, "preparation": {**told["preparation"], name: value}}
    )


def _absurd_hparam(name: str, value: Any) -> Callable[[Path], Any]:
    return lambda model: seals.change(
        model / "model.json", lambda told: {**told, "hparams": {**told["hparams"], name: value}}
    )


WEIGHTS = "weights_00.safetensors"
MODELS: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "model.json lost": (
        lambda model: (model / "model.json").unlink(),
        ["model.json is missing", "nachos deploy"],
    ),
    "model.json cut": (lambda model: _cut(model / "model.json"), ["model.json is damaged", "nachos deploy"]),
    "later format": (
        lambda model: seals.edit(model / "model.json", format=9),
        ["format 9", "update nachos_jax"],
    ),
    "no classes": (_without("classes"), ["model.json is damaged", "'classes'", "nachos deploy"]),
    "no preparation": (_without("preparation"), ["model.json is damaged", "'preparation'"]),
    "no hash": (_without("weights_sha256"), ["model.json is damaged", "'weights_sha256'"]),
    "part of the preparation": (
        lambda model: seals.edit(model / "model.json", preparation={"height": 8}),
        ["model.json is damaged", "'width'"],
    ),
    "unknown network": (
        lambda model: seals.edit(model / "model.json", hparams={"architecture": "vit", "norm": "batch"}),
        ["cannot be built", "'vit'", "nachos deploy"],
    ),
    "other classes": (
        lambda model: seals.edit(model / "model.json", classes=["a", "b", "c"]),
        ["does not fit weights_00", "shape", "nachos deploy"],
    ),
    "one digit": (
        lambda model: (model / "model.json").write_bytes(
            (model / "model.json").read_bytes().replace(b'"height": 8', b'"height": 9')
        ),
        ["model.json is damaged", "digest", "nachos deploy"],
    ),
    "written anew": (
        lambda model: (model / "model.json").write_text(
            json.dumps(json.loads((model / "model.json").read_bytes()))
        ),
        ["model.json is damaged", "digest", "nachos deploy"],
    ),
    "weights of elsewhere": (
        lambda model: seals.edit(model / "model.json", weights=[f"../deploy/{WEIGHTS}"]),
        ["model.json is damaged", "outside of its folder"],
    ),
    "absurd height": (_absurd("height", 10**9), ["model.json is damaged", "1000000000"]),
    "no height": (_absurd("height", 0), ["model.json is damaged", "channels, height and width"]),
    "height in words": (_absurd("height", "eight"), ["model.json is damaged", "eight"]),
    "absurd channels": (
        lambda model: seals.edit(model / "model.json", channels=-1),
        ["model.json is damaged", "channels, height and width"],
    ),
    "classes that are numbers": (
        lambda model: seals.edit(model / "model.json", classes=[0, 1]),
        ["model.json is damaged", "classes are no names"],
    ),
    "absurd width": (_absurd_hparam("cnn.width", 10**12), ["cannot be built", "nachos deploy"]),
    "width in words": (_absurd_hparam("cnn.width", "wide"), ["cannot be built", "nachos deploy"]),
    "stages below zero": (_absurd_hparam("cnn.stages", -3), ["cannot be built", "nachos deploy"]),
    "unknown task": (
        lambda model: seals.edit(model / "model.json", task="dowsing"),
        ["model.json", "dowsing"],
    ),
    "infinity": (
        lambda model: (model / "model.json").write_text('{"format": 1e999}'),
        ["model.json is damaged", "1e999"],
    ),
    "nested": (
        lambda model: (model / "model.json").write_text("[" * 10**5),
        ["model.json is damaged", "nested too deeply"],
    ),
    "weights lost": (
        lambda model: (model / WEIGHTS).unlink(),
        [WEIGHTS, "missing or damaged", "nachos deploy"],
    ),
    "weights cut": (lambda model: _cut(model / WEIGHTS), [WEIGHTS, "missing or damaged", "nachos deploy"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, refused: Refused, finished: Path, images: Path):
    damage, parts = MODELS[name]
    model = shutil.copytree(finished / "deploy", images / "model")
    damage(model)
    output = images / "out.csv"
    _says(
        refused("predict", f"--model={model}", f"--input={images / 'good.png'}", f"--output={output}"), parts
    )
    assert not output.exists()


def _says(message: str, parts: list[str]) -> None:
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"


def test_what_cannot_be_applied_is_refused_before_files_are_read(here: Path, finished: Path):
    flags = ("--model=finished/deploy", "--input=nowhere.png", "--output=o.csv", "--apply=temprature")
    code, _, err = said("predict", *flags)
    assert code == 2
    assert "--apply=temprature: must be one or both of temperature, threshold." in err
