"""Every refusal says what is wrong, where, and the cure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nachos_jax import cohort_from_arrays
from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.tasks.classification import TASK

Config = Callable[..., DataConfig]
GOOD: dict[str, Any] = {"images": np.zeros((4, 5, 6), np.uint8), "labels": np.array([0, 1, 0, 1])}
VOLUMES = np.zeros((4, 5, 6, 7), np.uint8)
NAN_LABELS = np.array([0, 1, np.nan, 1])
IMAGES = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


def _nan_images() -> np.ndarray:
    images = IMAGES.copy()
    images[2, 3, 4] = np.nan
    return images


ARRAYS = {
    "no subjects": ({}, {"subject": ""}, ["says nothing of subjects", "config.data.subject_key", WAIVER]),
    "waiver and subjects": (
        {"s": np.arange(4)},
        {"subject_key": "s"},
        ["names the subject", "config.data.subject = ''"],
    ),
    "unknown waiver key": (
        {},
        {"subject_key": "labls", "subject": ""},
        ["no array 'labls'", "'images', 'labels'", "config.data.subject_key", "Did you mean 'labels'?"],
    ),
    "image key": (
        {},
        {"image_key": "image"},
        ["no array 'image'", "config.data.image_key", "Did you mean 'images'?"],
    ),
    "label key": ({}, {"label_key": "y"}, ["no array 'y'", "config.data.label_key"]),
    "label names key": (
        {},
        {"label_names_key": "names"},
        ["no array 'names'", "config.data.label_names_key"],
    ),
    "site key": ({}, {"site_key": "hospital"}, ["no array 'hospital'", "config.data.site_key"]),
    "fold key": ({}, {"fold_key": "k"}, ["no array 'k'", "config.data.fold_key"]),
    "empty subject": (
        {"s": np.array(["a", "", "b", "c"])},
        {"subject_key": "s", "subject": ""},
        ["row 1 (counted from 0)", "subject ''", "fill it in"],
    ),
    "empty site": (
        {"s": np.array(["a", "b", "", "c"])},
        {"site_key": "s"},
        ["row 2 (counted from 0)", "site ''", "write 'unknown'"],
    ),
    "volumes": ({"images": VOLUMES}, {}, ["(4, 5, 6, 7)", "config.data.volume", "'middle'"]),
    "five axes": ({"images": VOLUMES[..., None]}, {}, ["(4, 5, 6, 7, 1)", "config.data.volume"]),
    "channels first": ({"images": np.zeros((4, 3, 5, 6))}, {}, ["channels first", "moveaxis"]),
    "four channels": ({"images": np.zeros((4, 5, 6, 4))}, {}, ["four channels", "images[..., :3]"]),
    "vectors": ({"images": np.zeros((4, 30))}, {}, ["(4, 30)", "(N, H, W)"]),
    "size zero": ({"images": np.zeros((4, 0, 6))}, {}, ["(4, 0, 6)", "size zero"]),
    "text images": ({"images": np.full((4, 5, 6), "a")}, {}, ["type <U1", "uint8"]),
    "no rows": ({"images": np.zeros((0, 5, 6)), "labels": np.zeros(0, int)}, {}, ["no case", "at least one"]),
    "multi-label": (
        {"labels": np.zeros((4, 3), int)},
        {},
        ["3 labels a case ('labels_0', 'labels_1', 'labels_2')", "config.task.name = 'multilabel'", "argmax"],
    ),
    "lengths": (
        {"labels": np.array([0, 1, 0])},
        {},
        ["labels has shape (3,)", "4 images", "one label an image"],
    ),
    "NaN label": (
        {"labels": NAN_LABELS},
        {},
        ["row 2 (counted from 0)", "label nan", "give every case its label"],
    ),
    "half label": ({"labels": np.array([0, 1, 0.5, 1])}, {}, ["row 2", "label 0.5"]),
    "NaN label as text": (
        {"labels": np.array(["a", "b", "nan", "a"])},
        {},
        ["row 2", "label 'nan' reads like a missing value", "'no_finding'", "config.data.classes", "drop"],
    ),
    "one class": ({"labels": np.zeros(4, int)}, {}, ["all 4 cases have the label '0'", "two classes"]),
    "label outside classes": (
        {},
        {"classes": ("1", "2")},
        ["row 0", "label '0'", "config.data.classes ('1', '2')"],
    ),
    "class without case": ({}, {"classes": ("0", "1", "2")}, ["class '2'", "no case", "'0', '1'"]),
    "class twice": ({}, {"classes": ("0", "1", "1")}, ["class '1' stands twice", "once"]),
    "label without name": (
        {"labels": np.array([0, 2, 1, 1]), "label_names": np.array(["a", "b"])},
        {},
        ["row 1", "label 2 has no name", "'a', 'b'", "0 to 1"],
    ),
    "negative label": (
        {"labels": np.array([0, 1, -1, 1]), "label_names": np.array(["a", "b"])},
        {},
        ["row 2", "label -1 has no name"],
    ),
    "name without case": (
        {"label_names": np.array(["a", "b", "c"])},
        {},
        ["class 'c'", "no case", "config.data.classes"],
    ),
    "subject by its name and waiver": (
        {"subject": np.arange(4)},
        {},
        ["names the subject", "config.data.subject = ''"],
    ),
    "empty site by its name": (
        {"site": np.array(["a", "b", "", "c"])},
        {},
        ["row 2 (counted from 0)", "site ''", "write 'unknown'"],
    ),
    "fold by its name": ({"fold": np.array([0, 0.5, 1, 2])}, {"predefined": True}, ["row 1", "fold 0.5"]),
    "fold hole": ({"f": np.array([0, 1, 3, 3])}, {"fold_key": "f"}, ["fold 2 has no case", "0 to 2"]),
    "folds from one": ({"f": np.array([1, 2, 3, 3])}, {"fold_key": "f"}, ["fold 0 has no case", "0 to 2"]),
    "negative fold": ({"f": np.array([0, -1, 0, 1])}, {"fold_key": "f"}, ["row 1", "fold '-1'", "0, 1, 2"]),
    "subject in two folds": (
        {"f": np.array([0, 1, 0, 1]), "s": np.array(["a", "b", "b", "c"])},
        {"fold_key": "f", "subject_key": "s", "subject": ""},
        ["row 2", "subject 'b' is in fold 0", "fold 1", "row 1", "one fold"],
    ),
    "NaN pixel": (
        {"images": _nan_images()},
        {},
        ["row 2 (counted from 0) of images", "1 pixel(s) are NaN", "row 3, column 4", "drop"],
    ),
    "float64 too large": ({"images": np.full((4, 5, 6), 1e300)}, {}, ["row 0", "infinite"]),
    "pickled images": (
        {"images": np.array([np.zeros((5, 6)), None, 1, 2], object)},
        {},
        ["'images' holds pickled Python objects", "never loaded"],
    ),
    "pickled labels": (
        {"labels": np.array(["a", "b", None, "a"], object)},
        {},
        ["'labels' holds pickled", "astype(str)"],
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_array_file(name: str, config: Config, tmp_path: Path):
    arrays, fields, parts = ARRAYS[name]
    held: dict[str, Any] = {**GOOD, **arrays}
    np.savez(tmp_path / "x.npz", **held)
    with pytest.raises(UsageError) as caught:
        sources.load(config(path=str(tmp_path / "x.npz"), **{"subject": WAIVER, **fields}), TASK)
    _says(caught.value, ["x.npz", *parts])


TABLES = {
    "empty file": ("", {}, ["is empty", "path,label,subject"]),
    "no rows": ("path,label,subject\n", {}, ["no case"]),
    "no header": (
        "0.png,a,s\n1.png,b,t\n",
        {},
        ["no column 'path'", "'0.png', 'a', 's'", "config.data.image_key"],
    ),
    "near header": ("Path,label,subject\n0.png,a,s\n", {}, ["no column 'path'", "Did you mean 'Path'?"]),
    "no label column": ("path,subject\n0.png,s\n", {}, ["no column 'label'", "config.data.label_key"]),
    "mapped column": (
        "path,label\n0.png,a\n",
        {"subject_key": "patient"},
        ["no column 'patient'", "config.data.subject_key"],
    ),
    "double header": ("path,label,label\n0.png,a,b\n", {}, ["line 1", "'label' stands twice", "rename"]),
    "semicolons": ("path;label;subject\n0.png;a;s\n", {}, ["line 1", "semicolons", "commas"]),
    "tabs": ("path\tlabel\n0.png\ta\n", {}, ["line 1", "tabs", "commas"]),
    "short row": ("path,label,subject\n\n0.png,a,s\n1.png,b\n", {}, ["line 4", "2 cells", "has 3", "quotes"]),
    "open quote": ('path,label,subject\n0.png,a,s\n"1.png,b,t\n', {}, ["line 3", "quotes"]),
    "missing file": (
        "path,label,subject\n0.png,a,s\n\n9.png,b,t\n",
        {},
        ["line 4", "no file '9.png'", "drop the row"],
    ),
    "empty path": ("path,label,subject\n0.png,a,s\n,b,t\n", {}, ["line 3", "path ''", "missing"]),
    "same file": (
        "path,label,subject\n0.png,a,s\n../{}/0.png,b,t\n",
        {},
        ["line 3", "same file as '0.png' at cases.csv line 2", "keep one"],
    ),
    "empty label": ("path,label,subject\n0.png,a,s\n1.png,,t\n", {}, ["line 3", "label ''", "fill it in"]),
    "NaN label": ("path,label,subject\n0.png,a,s\n1.png,NaN,t\n", {}, ["line 3", "label 'NaN'"]),
    "near class": (
        "path,label,subject\n0.png,cat,s\n1.png,dgo,t\n",
        {"classes": ("cat", "dog")},
        ["line 3", "'dgo'", "Did you mean 'dog'?"],
    ),
    "no subjects": (
        "path,label\n0.png,a\n1.png,b\n",
        {},
        ["cases.csv says nothing of subjects", "column 'subject'", WAIVER],
    ),
    "waiver and subjects": (
        "path,label,subject\n0.png,a,s\n1.png,b,t\n",
        {"subject": WAIVER},
        ["names the subject", "config.data.subject = ''"],
    ),
    "fold text": (
        "path,label,subject,fold\n0.png,a,s,0\n1.png,b,t,k1\n",
        {"predefined": True},
        ["line 3", "fold 'k1'", "0, 1, 2"],
    ),
    "fold text by key": (
        "path,label,subject,k\n0.png,a,s,0\n1.png,b,t,k1\n",
        {"fold_key": "k"},
        ["line 3", "fold 'k1'", "0, 1, 2"],
    ),
    "endless fold": (
        f"path,label,subject,fold\n0.png,a,s,0\n1.png,b,t,{'9' * 30}\n",
        {"predefined": True},
        ["line 3", "fold '999", "0, 1, 2"],
    ),
    "class none": (
        "path,label,subject\n0.png,tumour,s\n1.png,none,t\n",
        {},
        ["line 3", "label 'none' reads like a missing value", "'no_finding'", "config.data.classes"],
    ),
    "empty label that is listed": (
        "path,label,subject\n0.png,a,s\n1.png,,t\n",
        {"classes": ("a", "")},
        ["line 3", "label '' is missing"],
    ),
    "sizes": (
        "path,label,subject\n0.png,a,s\nlarge.png,b,t\n",
        {},
        ["line 3 (large.png)", "7x8", "line 2 (0.png)", "5x6", "config.data.height"],
    ),
    "colour and gray": (
        "path,label,subject\n0.png,a,s\ncolour.png,b,t\n",
        {},
        ["line 3", "is colour", "line 2", "is gray", "config.data.channels"],
    ),
    "bit depths": (
        "path,label,subject\n0.png,a,s\ndeep.png,b,t\n",
        {},
        ["line 3", "uint16", "line 2", "uint8", "bit depth"],
    ),
    "not an image": (
        "path,label,subject\n0.png,a,s\ncases.csv,b,t\n",
        {},
        ["line 3", "cannot be read as PNG", "drop its row"],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_csv_table(name: str, config: Config, table: Callable[..., Path], tmp_path: Path):
    text, fields, parts = TABLES[name]
    images = {
        "large.png": np.zeros((7, 8), np.uint8),
        "colour.png": np.zeros((5, 6, 3), np.uint8),
        "deep.png": np.full((5, 6), 4000, np.uint16),
    }
    path = table(text.format(tmp_path.name), images)
    with pytest.raises(UsageError) as caught:
        sources.load(config(source="csv", path=str(path), **fields), TASK)
    _says(caught.value, parts)


def test_csv_that_is_not_utf8_names_the_line(config: Config, tmp_path: Path):
    path = tmp_path / "cases.csv"
    path.write_bytes("path,label\n0.png,caf\xe9\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"cases.csv line 2: byte 0xe9 is not UTF-8 text; save the table as"):
        sources.load(config(source="csv", path=str(path)), TASK)


FOLDERS = {
    "outside a class": (
        ["a/1.png", "b/2.png", "3.png"],
        {"subject": WAIVER},
        ["3.png: lies in no class folder", "sub-folder"],
    ),
    "empty class": (
        ["a/1.png", "b/2.png", "c/x.txt"],
        {"subject": WAIVER},
        ["c holds no PNG", "remove the folder"],
    ),
    "other format": (["a/1.png", "b/2.nii"], {"subject": WAIVER}, ["2.nii", "cannot be read", "convert"]),
    "no subjects": (["a/1.png", "b/2.png"], {}, ["nothing of subjects", "config.data.subject_key", WAIVER]),
    "no match": (
        ["a/p1_1.png", "b/2.png"],
        {"subject_key": r"p(\d+)_"},
        ["b/2.png", "finds nothing", "rename or exclude the file"],
    ),
    "no group": (["a/p1_1.png", "b/p2_1.png"], {"subject_key": r"p\d+_"}, ["0 groups", "parentheses"]),
    "no expression": (
        ["a/p1_1.png", "b/p2_1.png"],
        {"subject_key": r"p(\d+_"},
        ["not a regular expression", "config.data.subject_key"],
    ),
    "one class": (["a/1.png", "a/2.png"], {"subject": WAIVER}, ["all 2 cases have the label 'a'"]),
    "unlisted class": (
        ["a/1.png", "b/2.png"],
        {"subject": WAIVER, "classes": ("a", "c")},
        ["b/2.png: label 'b'", "'a', 'c'"],
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folder(name: str, config: Config, tmp_path: Path):
    files, fields, parts = FOLDERS[name]
    for file in files:
        path = tmp_path / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.fromarray(np.zeros((5, 6), np.uint8)).save(path)
        else:
            path.write_text("x")
    with pytest.raises(UsageError) as caught:
        sources.load(config(source="folder", path=str(tmp_path / "images"), **fields), TASK)
    _says(caught.value, parts)


def test_folder_that_links_a_file_twice(config: Config, tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "images/a/1.png")
    (tmp_path / "images/b/2.png").symlink_to("../a/1.png")
    with pytest.raises(UsageError, match=r"b/2.png: is the same file as a/1.png; keep one"):
        sources.load(config(source="folder", path=str(tmp_path / "images"), subject=WAIVER), TASK)


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("npz", {"include": ("*",)}),
        ("npz", {"exclude": ("*_mask*",)}),
        ("csv", {"include": ("a/*",), "exclude": ("b/*",)}),
        ("csv", {"include": ("a/*",), "features": ("age",)}),  # exclude is of columns then, include of none
    ],
)
def test_patterns_of_files_are_for_folders(source: str, fields: dict[str, Any], config: Config):
    name = next(iter(fields))
    with pytest.raises(UsageError, match=rf"config.data.{name} = .* does nothing here: .*Set it to \(\)"):
        sources.load(config(source=source, path=__file__, subject=WAIVER, **fields), TASK)


def test_patterns_that_leave_no_image_of_a_class_or_none_at_all(config: Config, tmp_path: Path):
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / "d" / name).parent.mkdir(parents=True)
        Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "d" / name)
    data = {"source": "folder", "path": str(tmp_path / "d"), "subject": WAIVER}
    for fields in ({"include": ("a/*",)}, {"exclude": ("b/*",)}):
        with pytest.raises(UsageError, match="all 1 cases have the label 'a'"):
            sources.load(config(**data, **fields), TASK)
    with pytest.raises(UsageError, match=r"has no case \(left out 2 .* and config.data.exclude leave: 'a/1"):
        sources.load(config(**data, include=("*",), exclude=("*.png",)), TASK)


@pytest.mark.parametrize("source", ["npz", "csv", "folder"])
def test_missing_path(source: str, config: Config, tmp_path: Path):
    with pytest.raises(UsageError, match=r"nowhere.*there is no such (file|folder); mend the path"):
        sources.load(config(source=source, path=str(tmp_path / "nowhere"), subject=WAIVER), TASK)


@pytest.mark.parametrize("key", ["subject_key", "site_key", "fold_key", "path"])
def test_digits_have_no_columns(key: str, config: Config):
    with pytest.raises(
        UsageError, match=rf"config.data.{key} = 'x': the source 'digits' has none; set it to ''"
    ):
        sources.load(config(source="digits", **{key: "x"}), TASK)


def test_arrays_in_memory():
    images, labels = GOOD["images"], GOOD["labels"]
    with pytest.raises(UsageError, match=r"3 of them for 4 images; give one an image"):
        cohort_from_arrays(images, labels[:3], one_case_per_subject=True)
    with pytest.raises(UsageError, match=r"row 3 \(counted from 0\): subject None is neither"):
        cohort_from_arrays(images, labels, subjects=["a", "b", "c", None])
    with pytest.raises(UsageError, match=r"pass them as `subjects`"):
        cohort_from_arrays(images, labels)


def _says(error: Exception, parts: list[str]) -> None:
    message = str(error)
    for part in parts:
        assert part in message
