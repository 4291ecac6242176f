"""Cases that cannot be used are refused by `nachos evaluate`: one message, code 2, nothing trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import CASES, arrays
from tests.tiers import mostly_thorough

Refused = Callable[..., str]
NUMBER = np.arange(CASES)
PREDEFINED = ("folds.scheme=predefined", "data.fold_key=folds")
BY_SITE = ("folds.scheme=site", "data.site_key=sites")
WAIVED = "data.subject=one_case_per_subject"


def _spoiled(value: float) -> np.ndarray:
    images = arrays()["images"].astype(np.float32)
    images[3, 2, 1] = value
    return images


ARCHIVES: dict[str, tuple[dict[str, Any], tuple[str, ...], list[str]]] = {
    "no images": ({"images": None}, (), ["no array 'images'", "config.data.image_key"]),
    "no labels": ({"labels": None}, (), ["no array 'labels'", "config.data.label_key"]),
    "no subjects": ({"subjects": None}, (), ["no array 'subjects'", "config.data.subject_key"]),
    "subjects not named": ({}, ("data.subject_key=",), ["says nothing of subjects", "one_case_per_subject"]),
    "waiver and subjects": ({}, (WAIVED,), ["names the subject", "config.data.subject = ''"]),
    "pickle": ({"images": np.array([None] * CASES, object)}, (), ["pickled Python objects", "never loaded"]),
    "one class": ({"labels": np.zeros(CASES, int)}, (), ["all 90 cases", "'0'", "two classes"]),
    "NaN pixel": ({"images": _spoiled(np.nan)}, (), ["row 3", "NaN", "row 2, column 1", "drop the case"]),
    "infinite pixel": ({"images": _spoiled(np.inf)}, (), ["row 3", "infinite"]),
    "too few labels": ({"labels": np.arange(50) % 2}, (), ["(50,)", "90 images", "one label an image"]),
    "NaN label": ({"labels": np.where(NUMBER == 3, np.nan, 1)}, (), ["row 3", "label nan"]),
    "volumes": (
        {"images": np.zeros((CASES, 8, 8, 8), np.uint8)},
        (),
        ["(90, 8, 8, 8)", "config.data.volume = 'whole'"],
    ),
    "no case": ({name: values[:0] for name, values in arrays().items()}, (), ["has no case"]),
    "subject in two folds": ({"folds": NUMBER % 3}, PREDEFINED, ["row 1", "'s0'", "fold 1", "into one fold"]),
    "fold with a hole": ({"folds": NUMBER // 6 % 3 * 2}, PREDEFINED, ["fold 1 has no case", "0 to 2"]),
    "two folds": ({"folds": NUMBER // 6 % 2}, PREDEFINED, ["2 folds", "at least 3"]),
    "folds not named": ({}, ("folds.scheme=predefined",), ["no column of folds", "config.data.fold_key"]),
    "predefined repeats": (
        {},
        (*PREDEFINED, "folds.repeats=2"),
        ["config.folds.repeats = 2", "set repeats to 1"],
    ),
    "one site": ({"sites": np.array(["h"] * CASES)}, BY_SITE, ["site 'h'", "'stratified'"]),
    "subject at two sites": (
        {"sites": np.array(["a", "b", "c"])[NUMBER % 3]},
        BY_SITE,
        ["Subject 's0'", "one site"],
    ),
    "few subjects": (
        {"subjects": NUMBER % 4},
        (),
        ["config.folds.count = 3", "2 subjects", "merge the class"],
    ),
    "class without case": (
        {},
        ("data.classes=('0','1','2')",),
        ["class '2'", "no case", "config.data.classes"],
    ),
    "label not listed": ({}, ("data.classes=('0','2')",), ["row 2", "label '1'", "'0', '2'"]),
    "metric undefined on a fold": (
        {
            "folds": np.where(NUMBER < 4, 0, 1 + NUMBER // 2 % 3),
            "labels": np.where(NUMBER < 4, 0, NUMBER // 2 % 2),
        },
        (*PREDEFINED, "search.metric=auc"),
        ["config.search.metric = 'auc'", "undefined on fold 0", "balanced_accuracy"],
    ),
}


@mostly_thorough("name", list(ARCHIVES), kept=list(ARCHIVES)[::2])
def test_archive(name: str, refused: Refused, tmp_path: Path):
    changes, fields, parts = ARCHIVES[name]
    kept: dict[str, Any] = {key: value for key, value in {**arrays(), **changes}.items() if value is not None}
    np.savez(tmp_path / "bad.npz", **kept)
    _evaluate(refused, tmp_path, (f"data.path={tmp_path / 'bad.npz'}", *fields), parts)


def _truncated(path: Path) -> None:
    np.savez(path, **arrays())
    path.write_bytes(path.read_bytes()[:2000])


def _damaged(path: Path) -> None:
    np.savez(path, **arrays())
    content = bytearray(path.read_bytes())
    content[300:900] = bytes(600)
    path.write_bytes(content)


def _image(path: Path) -> None:
    Image.fromarray(arrays()["images"][0]).save(path, format="PNG")


NO_ARCHIVES: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "missing": (lambda path: None, ["there is no such file", "mend the path"]),
    "folder": (Path.mkdir, ["is a folder", "--config=folder"]),
    "empty": (lambda path: path.write_bytes(b""), ["cannot be read as an NPZ file"]),
    "truncated": (_truncated, ["cannot be read as an NPZ file", "savez_compressed"]),
    "damaged": (_damaged, ["'images' is damaged", "again"]),
    "image": (_image, ["cannot be read as an NPZ file", "savez_compressed"]),
}


@pytest.mark.parametrize("name", NO_ARCHIVES)
def test_file_that_is_no_archive(name: str, refused: Refused, tmp_path: Path):
    make, parts = NO_ARCHIVES[name]
    make(tmp_path / "bad.npz")
    _evaluate(refused, tmp_path, (f"data.path={tmp_path / 'bad.npz'}",), ["bad.npz", *parts])


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x.npz", "x" * 300, "cases.npz/x.npz"])
def test_path_that_cannot_be(path: str, refused: Refused, tmp_path: Path):
    _evaluate(refused, tmp_path, (f"data.path={path}",), [f"'{path}'", "there is no such file"])


def test_cache_that_cannot_be_written(refused: Refused, tmp_path: Path):
    _evaluate(
        refused, tmp_path, ("data.cache=cases.npz",), ["cases.npz cannot be written", "config.data.cache"]
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the cases as 0.png, 1.png, ... and some images that do not fit to them."""
    folder = tmp_path_factory.mktemp("images")
    for number, image in enumerate(arrays()["images"]):
        Image.fromarray(image).save(folder / f"{number}.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "spare.png")
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(folder / "large.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "colour.png")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "deep.png")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:60])
    (folder / "text.png").write_text("no image", encoding="utf-8")
    return folder


HEADER = "path,label,subject\n"
BODY = "".join(f"{i}.png,{'ab'[i // 2 % 2]},s{i // 2}\n" for i in range(CASES))
TABLES = {
    "empty": ("", ["is empty", "path,label,subject"]),
    "header only": (HEADER, ["has no case"]),
    "binary": (bytes(range(256)), ["is not UTF-8 text", "CSV UTF-8"]),
    "UTF-16": ((HEADER + BODY).encode("utf-16"), ["line 1", "is not UTF-8 text"]),
    "Latin-1": ((HEADER + BODY + "large.png,caf\xe9,z\n").encode("latin-1"), ["line 92", "0xe9", "UTF-8"]),
    "semicolons": ((HEADER + BODY).replace(",", ";"), ["semicolons", "commas"]),
    "no header": (BODY, ["no column 'path'", "config.data.image_key"]),
    "no label": (HEADER.replace("label", "diagnosis") + BODY, ["no column 'label'", "config.data.label_key"]),
    "column twice": (HEADER.replace("subject", "label") + BODY, ["line 1", "'label' stands twice"]),
    "no subjects": (
        HEADER.replace("subject", "ward") + BODY,
        ["says nothing of subjects", "column 'subject'"],
    ),
    "short row": (HEADER + BODY + "large.png,a\n", ["line 92", "2 cells", "has 3"]),
    "open quote": (HEADER + BODY + '"large.png,a,z\n', ["table.csv line 92", "mend its quotes"]),
    "endless cell": (HEADER + "x" * 200_000 + ",a,z\n", ["table.csv line 2", "field larger"]),
    "empty label": (HEADER + BODY + "large.png,,z\n", ["line 92", "label ''", "fill it in"]),
    "missing file": (HEADER + BODY + "none.png,a,z\n", ["line 92", "no file 'none.png'", "drop the row"]),
    "folder as file": (HEADER + BODY + "..,a,z\n", ["line 92", "no file '..'"]),
    "endless name": (HEADER + BODY + f"{'x' * 300},a,z\n", ["line 92", "no file 'xxx"]),
    "strange home": (HEADER + BODY + "~nobody-of-this-name/x.png,a,z\n", ["line 92", "no file '~nobody"]),
    "file twice": (HEADER + BODY + "./0.png,a,s0\n", ["line 92", "same file as '0.png'", "line 2"]),
    "lonely class": (
        HEADER + BODY + "spare.png,c,z\n",
        ["class 'c' has 1 case of 1 subject,", "merge the class"],
    ),
    "sizes": (HEADER + BODY + "large.png,a,z\n", ["line 92", "9x8", "8x8", "config.data.height"]),
    "channels": (HEADER + BODY + "colour.png,a,z\n", ["line 92", "is colour", "config.data.channels"]),
    "bit depths": (HEADER + BODY + "deep.png,a,z\n", ["line 92", "uint16", "bit depth"]),
    "cut image": (
        HEADER + BODY + "cut.png,a,z\n",
        ["line 92", "cut.png: its picture does not end", "drop its row"],
    ),
    "text as image": (HEADER + BODY + "text.png,a,z\n", ["line 92", "text.png cannot be read"]),
    "fold text": (
        "path,label,subject,fold\n" + BODY.replace("\n", ",first\n"),
        ["line 2", "fold 'first'", "0, 1, 2"],
    ),
}


@mostly_thorough("name", list(TABLES), kept=list(TABLES)[::2])
def test_table(name: str, refused: Refused, images: Path, tmp_path: Path):
    text, parts = TABLES[name]
    table = images / "table.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    scheme = ("folds.scheme=predefined",) if ",fold\n" in str(text) else ()
    fields = ("data.source=csv", f"data.path={table}", "data.subject_key=", *scheme)
    _evaluate(refused, tmp_path, fields, parts)


def _classes(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _image(path)


FOLDERS: dict[str, tuple[Callable[[Path], Any], tuple[str, ...], list[str]]] = {
    "missing": (lambda root: None, (WAIVED,), ["there is no such folder", "mend the path"]),
    "file": (_image, (WAIVED,), ["there is no such folder"]),
    "empty": (Path.mkdir, (WAIVED,), ["has no case"]),
    "no subjects": (
        lambda root: _classes(root, "a/1.png", "b/2.png"),
        (),
        ["says nothing of subjects", "person"],
    ),
    "outside": (
        lambda root: _classes(root, "a/1.png", "2.png"),
        (WAIVED,),
        ["2.png: lies in no class folder"],
    ),
    "one class": (
        lambda root: _classes(root, "a/1.png", "a/2.png"),
        (WAIVED,),
        ["all 2 cases", "two classes"],
    ),
    "empty class": (
        lambda root: (_classes(root, "a/1.png"), (root / "b").mkdir()),
        (WAIVED,),
        ["b holds no PNG", "remove the folder"],
    ),
    "broken link": (
        lambda root: (_classes(root, "a/1.png", "b/2.png"), (root / "b/3.png").symlink_to("lost.png")),
        (WAIVED,),
        ["b/3.png is a link to a file that is not there", "remove the link"],
    ),
    "bad expression": (
        lambda root: _classes(root, "a/1.png", "b/2.png"),
        ("data.subject_key=(",),
        ["config.data.subject_key = '('", "not a regular expression"],
    ),
    "expression without group": (
        lambda root: _classes(root, "a/1.png", "b/2.png"),
        (r"data.subject_key=\d",),
        ["has 0 groups", "parentheses"],
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folder(name: str, refused: Refused, tmp_path: Path):
    make, fields, parts = FOLDERS[name]
    make(tmp_path / "images")
    if not any(field.startswith("data.subject_key") for field in fields):
        fields = (*fields, "data.subject_key=")
    _evaluate(refused, tmp_path, ("data.source=folder", f"data.path={tmp_path / 'images'}", *fields), parts)


def _evaluate(refused: Refused, folder: Path, fields: tuple[str, ...], parts: list[str]) -> None:
    run = folder / "run"
    flags = [f"--config.{field}" for field in fields]
    message = refused("evaluate", "--config=study.py", f"--workdir={run}", *flags)
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"
    assert not run.exists(), "what is refused leaves nothing behind"
