"""`nachos predict --explain`: its pictures, its table, and the flags that it refuses."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nachos_jax import load
from nachos_jax.cli import explanations
from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.model import decision, deployed, explain, networks
from tests.cli.conftest import arrays, said

BAD = {
    "folder is a file": (("--explain={here}/a.png",), ["--explain=", "a.png is a file; name a folder"]),
    "no parent": (("--explain={here}/no/such",), ["there is no folder", "make it first"]),
    "empty value": (("--explain=",), ["--explain has no value"]),
    "inside an input": (("--explain={here}/inputs/maps",), ["lies in --input=", "name another one"]),
    "is an input": (("--explain={here}/inputs",), ["lies in --input="]),
    "foreign things": (("--explain={here}/full",), ["holds other files and no explanations.csv"]),
    "unknown method": (
        ("--explain={here}/x", "--explain_method=lime"),
        ["--explain_method=lime: must be one of gradcam, occlusion"],
    ),
    "method alone": (("--explain_method=occlusion",), ["does nothing without --explain=FOLDER"]),
    "misspelt": (("--explain_metod=gradcam",), ["did you mean --explain_method?"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_flags(name: str, tmp_path: Path):
    flags, parts = BAD[name]
    (tmp_path / "inputs").mkdir()
    (tmp_path / "full").mkdir()
    for file in ("a.png", "inputs/b.png", "full/c.png"):
        (tmp_path / file).write_bytes(b"x")
    before = sorted(tmp_path.rglob("*"))
    given_flags = [flag.format(here=tmp_path) for flag in flags]
    code, out, err = said(
        "predict", "--model=none", f"--input={tmp_path}/inputs", f"--output={tmp_path}/p.csv", *given_flags
    )
    assert (code, out) == (2, "")
    assert err.startswith("nachos: ")
    assert [part for part in parts if part not in err] == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.thorough
@given(st.lists(st.text(max_size=80), min_size=2, max_size=6))
def test_names_of_files_are_plain_and_never_collide(cases: list[str]):
    names = [explanations.file_name(i, case) for i, case in enumerate(["../../etc/passwd", "a\0/b", *cases])]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert explanations._PICTURE.fullmatch(name)
        assert Path(name).name == name


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images in two folders, two of them with the same name."""
    for number, name in enumerate(("one/scan.png", "two/scan.png", "two/other scan.png")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(arrays()["images"][number]).save(tmp_path / "in" / name)
    return tmp_path / "in"


def test_predict_with_explanations(here: Path, finished: Path, images: Path, tmp_path: Path):
    flags = ("predict", "--model=finished/deploy", f"--input={images}", f"--output={tmp_path}/p.csv")
    assert said(*flags)[0] == 0
    alone = (tmp_path / "p.csv").read_bytes()
    for method in ("gradcam", "occlusion"):
        code, out, err = said(*flags, f"--explain={tmp_path}/maps", f"--explain_method={method}")
        assert (code, err) == (0, "")
        assert out == (
            f"predictions: {tmp_path}/p.csv\nexplanations: {tmp_path}/maps/explanations.csv\n"
            "A map shows what moved this model's output, not why it is right.\n"
        )
        assert (tmp_path / "p.csv").read_bytes() == alone, "explaining changes no prediction"
        told, predicted = rows(tmp_path / "maps" / "explanations.csv"), rows(tmp_path / "p.csv")
        assert list(told[0]) == ["case", "predicted", "explained", "method", "peak", "file"]
        assert [row["case"] for row in told] == [row["case"] for row in predicted]
        assert [row["predicted"] for row in told] == [row["predicted"] for row in predicted]
        assert [row["explained"] for row in told] == [row["predicted"] for row in predicted]
        assert {row["method"] for row in told} == {method}
        files = sorted(path.name for path in (tmp_path / "maps").glob("*.png"))
        assert files == sorted(row["file"] for row in told)
        assert len(files) == 3
        for name in files:
            with Image.open(tmp_path / "maps" / name) as drawn:
                assert drawn.width > 2 * 256


def test_pictures_tell_the_probabilities_of_the_table(here, finished, images, tmp_path, monkeypatch):
    told, draw = [], explanations.picture

    def listening(image, heat, words):
        told.append(words[1])
        return draw(image, heat, words)

    monkeypatch.setattr(explanations, "picture", listening)
    monkeypatch.setattr(decision, "applied", lambda _, given, wanted: (softened(given), None))
    flags = ("--model=finished/deploy", f"--output={tmp_path}/p.csv", f"--explain={tmp_path}/maps")
    assert said("predict", f"--input={images}", *flags, "--apply=temperature")[0] == 0
    for words, row in zip(told, rows(tmp_path / "p.csv"), strict=True):
        name = row["predicted"]
        said_there, _, probability = words.partition(", probability ")
        assert said_there == f"predicted {name}"
        assert float(probability) == pytest.approx(float(row[f"probability_{name}"]), abs=1e-3)


def softened(values: np.ndarray) -> np.ndarray:
    """Probabilities that differ visibly, with the same class before the others."""
    return (0.2 * values + 0.8 / values.shape[1]).astype(np.float32)


def test_the_table_of_explanations_is_not_overwritten(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "maps").mkdir()
    table = tmp_path / "maps" / "explanations.csv"
    table.write_text("kept")
    flags = (f"--input={tmp_path}/a.png", f"--output={table}", f"--explain={tmp_path}/maps")
    code, _, err = said("predict", "--model=none", *flags)
    assert code == 2
    assert "is the table of explanations that --explain=" in err
    assert table.read_text() == "kept"


def test_an_older_folder_is_written_anew_and_foreign_files_stay(
    here: Path, finished: Path, images: Path, tmp_path: Path
):
    flags = ("--model=finished/deploy", f"--output={tmp_path}/p.csv", f"--explain={tmp_path}/maps")
    assert said("predict", f"--input={images}", *flags)[0] == 0
    (tmp_path / "maps" / "000009_mine.png").write_bytes(b"mine")
    table = tmp_path / "maps" / "explanations.csv"
    # A table that someone has edited must not make us delete what lies elsewhere.
    (tmp_path / "000001_precious.png").write_bytes(b"precious")
    with open(table, "a", encoding="utf-8") as file:
        file.write("x,0,0,gradcam,1,../000001_precious.png\n")
    assert said("predict", f"--input={images}/one/scan.png", *flags)[0] == 0
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "000001_scan.png", "000009_mine.png", "explanations.csv",
    ]  # fmt: skip
    assert (tmp_path / "000001_precious.png").exists()


def test_a_call_that_was_cut_off_is_made_again(here, finished, images, tmp_path, monkeypatch):
    flags = ("--model=finished/deploy", f"--output={tmp_path}/p.csv", f"--explain={tmp_path}/maps")
    draw, drawn = explanations.picture, []

    def cut_off(*arguments):
        if drawn:
            raise KeyboardInterrupt
        drawn.append(draw(*arguments))
        return drawn[0]

    with monkeypatch.context() as patch:
        patch.setattr(explanations, "picture", cut_off)
        assert said("predict", f"--input={images}", *flags)[0] == 130
    assert len(list((tmp_path / "maps").glob("*.png"))) == 1
    assert said("predict", f"--input={images}/one/scan.png", *flags)[0] == 0
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"000001_scan.png", "explanations.csv"}


@pytest.mark.thorough
def test_an_ensemble_gives_the_mean_of_its_members(here: Path, finished: Path, tmp_path: Path):
    shutil.copytree(finished / "deploy", tmp_path / "one")
    single = load(tmp_path / "one")
    images = arrays()["images"][:5]
    classes = np.asarray([0, 1, 0, 1, 1])
    network = single._networks[0]
    turned = network.weights._replace(
        params={**network.weights.params, "head": _negated(network.weights.params["head"])}
    )
    other = type(network)(network.architecture, turned, network.apply)
    for method in ("gradcam", "occlusion"):
        maps, peaks = single.explain(images, classes, method, batch=2)
        assert maps.shape == (5, 8, 8)
        for wanted in (1, 5, 64):
            np.testing.assert_allclose(single.explain(images, classes, method, wanted)[0], maps, atol=1e-5)
        model = type(single)(single.description, [other])
        own, own_peaks = model.explain(images, classes, method)
        assert not np.allclose(own, maps)
        both = type(single)(single.description, [network, other])
        mean, mean_peaks = both.explain(images, classes, method)
        np.testing.assert_allclose(mean, (maps + own) / 2, atol=1e-5)
        np.testing.assert_allclose(mean_peaks, (peaks + own_peaks) / 2, atol=1e-5)


def _negated(tree):
    return {name: _negated(x) if isinstance(x, dict) else -x for name, x in tree.items()}


def test_images_of_another_shape_are_refused(here: Path, finished: Path):
    with pytest.raises(UsageError, match="this model takes"):
        load(finished / "deploy").explain(np.zeros((2, 9, 8), np.uint8), np.zeros(2))


SCALES = {
    "floats": (
        np.full((2, 8, 8), 0.5),
        ["stored as float64, the training images as uint8", "astype('uint8')"],
    ),
    "16 bits": (np.full((2, 8, 8), 7, np.uint16), ["stored as uint16, the training images as uint8"]),
    "too large": (np.full((2, 8, 8), 300), ["stored as int64, the training images as uint8"]),
    "text": (np.full((2, 8, 8), "a"), ["images holds values of type <U1"]),
}


@pytest.mark.parametrize("name", SCALES)
def test_arrays_of_another_scale_are_refused(name: str, here: Path, finished: Path):
    images, parts = SCALES[name]
    model = load(finished / "deploy")
    for call in (model.probabilities, lambda given: model.explain(given, np.zeros(2))):
        with pytest.raises(UsageError) as caught:
            call(images)
        assert [part for part in parts if part not in str(caught.value)] == []


def test_whole_numbers_of_any_type_are_taken_where_they_fit(here: Path, finished: Path):
    model, images = load(finished / "deploy"), arrays()["images"][:3]
    np.testing.assert_array_equal(model.probabilities(images.astype(np.int64)), model.probabilities(images))
    deep = {**model.description, "preparation": {**model.description["preparation"], "dtype": "uint16"}}
    other = type(model)(deep, model._networks)
    np.testing.assert_array_equal(other.probabilities(images.astype(np.int64)), model.probabilities(images))
    with pytest.raises(UsageError, match="stored as uint8, the training images as uint16"):
        other.probabilities(images)


def test_pixels_that_are_no_numbers_are_refused(here: Path, finished: Path):
    known = load(finished / "deploy")
    described = {
        **known.description,
        "preparation": {**known.description["preparation"], "dtype": "float32"},
    }
    model = type(known)(described, known._networks)
    images = arrays()["images"][:3].astype(np.float32)
    assert np.isfinite(model.probabilities(images)).all()
    for value in (np.nan, np.inf):
        images[2, 3, 4] = value
        with pytest.raises(
            UsageError, match=r"images\[2\]: 1 pixel\(s\) are NaN or infinite .* row 3, column 4"
        ):
            model.probabilities(images)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("task", "method", "told"),
    [
        ("multilabel", "occlusion", "this model is one of multilabel: leave --explain out"),
        ("classification", "gradcam", "the last feature map of this network has a single cell"),
    ],
)
def test_a_model_that_cannot_explain_is_refused_before_anything_is_read(
    finished: Path, images: Path, tmp_path: Path, monkeypatch, task: str, method: str, told: str
):
    model, found = load(finished / "deploy"), explain._feature_map
    model.predicted = dataclasses.replace(model.predicted, task=task)
    monkeypatch.setattr(deployed, "load", lambda _folder: model)
    monkeypatch.setattr(model, "read", lambda _paths: pytest.fail("files were read"))
    monkeypatch.setattr(explain, "_feature_map", lambda seen, shape: found([seen[0][:, :1, :1]], shape))
    networks.explainer.cache_clear()  # which would know the map of this network
    flags = (f"--output={tmp_path}/p.csv", f"--explain={tmp_path}/maps", f"--explain_method={method}")
    code, out, err = said("predict", "--model=finished/deploy", f"--input={images}", *flags)
    assert (code, out) == (2, "")
    assert told in err
    assert not (tmp_path / "p.csv").exists()
    assert not (tmp_path / "maps").exists()


def test_evaluate_leaves_a_gallery(finished: Path):
    assert (finished / "explanations" / "gallery.json").exists()
