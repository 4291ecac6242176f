"""Cohorts of real data sets, of arrays in memory, and images for prediction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from nachos_jax import cohort_from_arrays
from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.tasks.classification import TASK
from tests.inputs import dense

Config = Callable[..., DataConfig]


def test_digits(config: Config):
    cohort = sources.load(config(source="digits", subject=WAIVER), TASK)
    values, targets = load_digits(return_X_y=True)
    assert dense(cohort).dtype == np.uint8
    assert tuple(cohort.shape) == (8, 8, 1)
    np.testing.assert_array_equal(dense(cohort).reshape(1797, 64), values)
    np.testing.assert_array_equal(cohort.targets.values, targets)
    assert cohort.table.waived
    assert cohort.table.subjects.tolist() == cohort.table.names.tolist()


def test_pneumoniamnist_merges_its_parts_in_order(config: Config, shared_data: Path):
    cohort = sources.load(config(path=str(shared_data / "pneumoniamnist.npz"), subject=WAIVER), TASK)
    raw = np.load(shared_data / "pneumoniamnist.npz")
    assert cohort.targets.counts() == {"0": 1583, "1": 4273}
    images = np.concatenate([raw[f"{part}_images"] for part in ("train", "val", "test")])
    labels = np.concatenate([raw[f"{part}_labels"][:, 0] for part in ("train", "val", "test")])
    np.testing.assert_array_equal(dense(cohort)[..., 0], images)
    np.testing.assert_array_equal(cohort.targets.values, labels)


@pytest.mark.thorough
def test_kermany_groups_by_patient(config: Config, shared_data: Path):
    path = shared_data / "kermany_cxr_pneumonia.npz"
    cohort = sources.load(config(path=str(path), subject_key="patient_id"), TASK)
    raw = np.load(path)
    assert cohort.targets.names == ("normal", "pneumonia")
    assert not cohort.table.waived
    assert len(set(cohort.table.subjects)) == 3103
    np.testing.assert_array_equal(cohort.table.subjects, raw["patient_id"])
    np.testing.assert_array_equal(cohort.targets.values, raw["labels"])
    np.testing.assert_array_equal(dense(cohort)[..., 0], raw["images"])


def test_cxr_keeps_the_order_of_its_label_names(config: Config, shared_data: Path):
    path = str(shared_data / "cxr_covid_multisite.npz")
    cohort = sources.load(config(path=path, subject_key="patient_id", site_key="site"), TASK)
    assert cohort.targets.counts() == {"no_finding": 522, "pneumonia": 532, "covid19": 431}
    assert cohort.table.sites is not None
    assert len(set(cohort.table.sites)) == 5


def test_medmnist_layout_takes_prefixed_subjects(config: Config, tmp_path: Path):
    images = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
    np.savez(
        tmp_path / "x.npz",
        train_images=images[:3],
        train_labels=np.array([[0], [1], [1]]),
        train_patient=np.array([7, 8, 8]),
        test_images=images[3:],
        test_labels=np.array([[0]]),
        test_patient=np.array([9]),
    )
    cohort = sources.load(config(path=str(tmp_path / "x.npz"), subject_key="patient"), TASK)
    assert cohort.table.subjects.tolist() == ["7", "8", "8", "9"]
    np.testing.assert_array_equal(dense(cohort)[..., 0], images)


def test_arrays_called_subject_site_and_fold_are_taken(config: Config, tmp_path: Path):
    """As columns of these names are in a CSV table."""
    images = np.zeros((4, 2, 3), np.uint8)
    plain = {"subject": ["a", "a", "b", "c"], "site": [["x"], ["x"], ["y"], ["y"]], "fold": [0, 0, 1, 1]}
    np.savez(tmp_path / "x.npz", images=images, labels=[0, 1, 0, 1], **plain)
    table = sources.load(config(path=str(tmp_path / "x.npz")), TASK).table
    assert table.subjects.tolist() == ["a", "a", "b", "c"]
    assert table.sites is not None
    assert table.sites.tolist() == ["x", "x", "y", "y"]
    assert table.folds is not None
    assert table.folds.tolist() == [0, 0, 1, 1]
    split = {f"train_{key}": np.asarray(value)[:3] for key, value in plain.items()}
    split |= {f"test_{key}": np.asarray(value)[3:] for key, value in plain.items()}
    parts: dict[str, Any] = split | {
        "train_images": images[:3],
        "train_labels": [0, 1, 0],
        "test_images": images[3:],
        "test_labels": [1],
    }
    np.savez(tmp_path / "y.npz", **parts)
    other = sources.load(config(path=str(tmp_path / "y.npz")), TASK).table
    for name in ("subjects", "sites", "folds"):
        assert getattr(other, name).tolist() == getattr(table, name).tolist()


def test_keys_win_over_names_and_arrays_of_another_length_are_something_else(config: Config, tmp_path: Path):
    others = {
        "subject": [1, 2, 3, 4],
        "patient": [7, 7, 8, 9],
        "site": ["the", "names"],
        "fold": [0.5, 1, 2, 3],
    }
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 2, 3)), labels=[0, 1, 0, 1], **others)
    table = sources.load(config(path=str(tmp_path / "x.npz"), subject_key="patient"), TASK).table
    assert table.subjects.tolist() == ["7", "7", "8", "9"]
    assert table.sites is None
    assert table.folds is None


def test_a_folder_may_be_called_none(config: Config, tmp_path: Path):
    for name in ("none", "tumour"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "images" / name / "1.png")
    cohort = sources.load(config(source="folder", path=str(tmp_path / "images"), subject=WAIVER), TASK)
    assert cohort.targets.counts() == {"none": 1, "tumour": 1}


def test_label_names_and_classes_may_be_called_none(config: Config, tmp_path: Path):
    images = np.zeros((2, 5, 6), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=[0, 1], label_names=["none", "tumour"], subject=[0, 1])
    assert sources.load(config(path=str(tmp_path / "x.npz")), TASK).targets.names == ("none", "tumour")
    listed = cohort_from_arrays(images, ["none", "tumour"], [0, 1], classes=("tumour", "none"))
    assert listed.targets.values.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("given_dtype", "low", "high", "stored"),
    [
        ("uint8", 0, 255, "uint8"),
        ("uint16", 0, 9, "uint16"),
        ("int16", 0, 9, "int16"),
        ("int64", 0, 255, "uint8"),
        ("int64", 0, 256, "uint16"),
        (">u2", 0, 9, "uint16"),
        ("int32", -1, 300, "int16"),
        ("int64", -1, 40000, "float32"),
        ("bool", 0, 1, "uint8"),
        ("float16", 0, 1, "float16"),
        ("float64", 0, 1, "float32"),
    ],
)
def test_stored_dtype(given_dtype: str, low: int, high: int, stored: str):
    images = np.full((2, 3, 4), low, np.dtype(given_dtype))
    images[1, 2, 3] = high
    cohort = cohort_from_arrays(images, ["a", "b"], one_case_per_subject=True)
    assert dense(cohort).dtype == stored
    assert cohort.preparation["dtype"] == stored
    np.testing.assert_array_equal(dense(cohort)[..., 0], images)


@given(st.integers(0, 3), st.sampled_from(["labels", "subjects", "sites", "folds", "images"]))
def test_hash_sees_every_column(row: int, changed: str):
    columns: dict[str, Any] = {
        "images": np.zeros((4, 2, 2), np.uint8),
        "labels": ["a", "b", "a", "b"],
        "subjects": ["p", "q", "r", "s"],
        "sites": ["x", "y", "x", "y"],
        "folds": [0, 1, 1, 0],
    }
    first = cohort_from_arrays(**columns)
    assert cohort_from_arrays(**columns).hash == first.hash
    other: dict[str, Any] = {key: np.array(value) for key, value in columns.items()}
    new = {"labels": "ba"[row % 2], "subjects": "t", "sites": "z", "folds": 1 - other["folds"][row]}
    other[changed][row] = new.get(changed, 1)
    assert cohort_from_arrays(**other).hash != first.hash


def test_a_folder_tells_what_it_leaves_out(config: Config, tmp_path: Path):
    for name in ("a/deep/p1_1.png", "a/p1_2.png", "b/p2_1.png"):
        path = tmp_path / "d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(path)
    (tmp_path / "d/a/.DS_Store").write_text("x")
    (tmp_path / "d/readme.txt").write_text("x")
    cohort = sources.load(config(source="folder", path=str(tmp_path / "d"), subject_key=r"(p\d+)_"), TASK)
    assert cohort.table.names.tolist() == ["a/deep/p1_1.png", "a/p1_2.png", "b/p2_1.png"]
    assert cohort.table.subjects.tolist() == ["p1", "p1", "p2"]
    assert cohort.notes[1:] == (
        "left out 1 file(s) that are hidden: 'a/.DS_Store'",
        "left out 1 file(s) that are not PNG, JPEG, TIFF or DICOM: 'readme.txt'",
    )


def test_16_bit_images_of_both_signs_meet_in_float32(config: Config, tmp_path: Path, tiff: Callable):
    high = np.full((4, 5), 60000, np.uint16)
    low = np.full((4, 5), -7, np.int16)
    for name in "ab":
        (tmp_path / "d" / name).mkdir(parents=True)
    tiff(tmp_path / "d/a/1.tif", high)
    tiff(tmp_path / "d/b/1.tif", low, sample_format=2)
    cohort = sources.load(config(source="folder", path=str(tmp_path / "d"), subject=WAIVER), TASK)
    assert dense(cohort).dtype == np.float32
    assert dense(cohort)[:, 0, 0, 0].tolist() == [60000, -7]


# --- prediction ------------------------------------------------------------------------------------

GRAY = {"height": 4, "width": 5, "channels": 1, "aspect": "stretch", "dtype": "uint8"}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "sub").mkdir()
    for name, shape in [("1.png", (4, 5)), ("sub/2.png", (8, 10)), ("sub/3.png", (4, 5))]:
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / name)
    Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8)).save(tmp_path / "colour.png")
    Image.fromarray(rng.integers(0, 65536, (4, 5), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "list.csv").write_text("path,note\n1.png,x\nsub/3.png,y\n")
    return tmp_path


def test_inputs_are_files_folders_and_tables(inputs: Path):
    names, images = sources.read_inputs([inputs / "1.png", inputs / "sub"], GRAY)
    assert names == [str(inputs / "1.png"), str(inputs / "sub/2.png"), str(inputs / "sub/3.png")]
    assert isinstance(images, np.ndarray)
    assert images.shape == (3, 4, 5, 1)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[0, ..., 0], np.asarray(Image.open(inputs / "1.png")))
    listed, again = sources.read_inputs([inputs / "list.csv"], GRAY)
    assert listed == ["1.png", "sub/3.png"]
    np.testing.assert_array_equal(again, images[[0, 2]])


@pytest.mark.parametrize("kind", [str, Path])
def test_one_path_is_one_input(inputs: Path, kind: Any):
    """The letters of a text are no paths."""
    one, several = (sources.read_inputs(paths, GRAY) for paths in (kind(inputs / "sub"), [inputs / "sub"]))
    assert one[0] == several[0] == [str(inputs / "sub/2.png"), str(inputs / "sub/3.png")]
    np.testing.assert_array_equal(one[1], several[1])


def test_inputs_repeat_the_preparation_of_training(config: Config, inputs: Path):
    (inputs / "d/a").mkdir(parents=True)
    (inputs / "d/b").mkdir()
    for source, target in [("sub/2.png", "d/a/2.png"), ("colour.png", "d/b/c.png")]:
        (inputs / target).write_bytes((inputs / source).read_bytes())
    data = config(
        source="folder", path=str(inputs / "d"), subject=WAIVER, height=6, width=6, channels=1, aspect="pad"
    )
    cohort = sources.load(data, TASK)
    _, images = sources.read_inputs([inputs / "sub/2.png", inputs / "colour.png"], cohort.preparation)
    np.testing.assert_array_equal(images, dense(cohort))


def test_inputs_that_do_not_fit_are_refused(inputs: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=r"colour.png has 3 channel\(s\), .* with 1 .*; convert"):
        sources.read_inputs([inputs / "1.png", inputs / "colour.png"], GRAY)
    with pytest.raises(UsageError, match=r"deep.png is stored as uint16, .* as uint8"):
        sources.read_inputs([inputs / "deep.png"], GRAY)
    with pytest.raises(UsageError, match=r"1.png is the same file as .*1.png; give each image once"):
        sources.read_inputs([inputs / "1.png", inputs / "list.csv"], GRAY)
    with pytest.raises(UsageError, match=r"no image to predict"):
        sources.read_inputs([], GRAY)
    with pytest.raises(UsageError, match=r"nowhere.png: there is no such file"):
        sources.read_inputs([inputs / "nowhere.png"], GRAY)
    (inputs / "other.csv").write_text("paths\n1.png\n")
    with pytest.raises(UsageError, match=r"no column 'path'.*Did you mean 'paths'"):
        sources.read_inputs([inputs / "other.csv"], GRAY)
    (inputs / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty holds no PNG"):
        sources.read_inputs([inputs / "empty"], GRAY)


def test_inputs_of_another_size_than_stored_are_named(inputs: Path, caplog: pytest.LogCaptureFixture):
    sources.read_inputs([inputs / "sub"], {**GRAY, "resized": False})
    assert "2.png has 8x10 pixels (height x width) and is resized to 4x5" in caplog.text
    assert "3.png" not in caplog.text


def test_equal_names_of_several_tables_are_told_apart_by_the_table(inputs: Path):
    for name in ("siteA", "siteB"):
        (inputs / name / "scans").mkdir(parents=True)
        (inputs / name / "cases.csv").write_text(f"path\nscans/1.png\nscans/{name}.png\n")
    for number, name in enumerate(
        ("siteA/scans/1", "siteA/scans/siteA", "siteB/scans/1", "siteB/scans/siteB")
    ):
        Image.fromarray(np.full((4, 5), number, np.uint8)).save(inputs / f"{name}.png")
    tables = [inputs / "siteA/cases.csv", inputs / "siteB/cases.csv"]
    names, images = sources.read_inputs(tables, GRAY)
    assert names == [
        f"{tables[0]}: scans/1.png",
        "scans/siteA.png",
        f"{tables[1]}: scans/1.png",
        "scans/siteB.png",
    ]
    assert np.asarray(images)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert sources.read_inputs(tables[:1], GRAY)[0] == ["scans/1.png", "scans/siteA.png"]


@pytest.mark.parametrize("mask", ["2_mask.png", "masks/2.png"])
def test_masks_beside_images_are_no_cases_to_predict(inputs: Path, mask: str):
    (inputs / "sub" / mask).parent.mkdir(exist_ok=True)
    (inputs / "sub" / mask).write_bytes((inputs / "sub/2.png").read_bytes())
    told = r"sub: 1 file\(s\) look like masks of the images beside them .*Move them out .* CSV table"
    with pytest.raises(UsageError, match=told):
        sources.read_inputs([inputs / "sub"], GRAY)
    assert len(sources.read_inputs([inputs / "sub/2.png", inputs / "sub" / mask], GRAY)[0]) == 2
