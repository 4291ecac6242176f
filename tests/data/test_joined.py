"""Images and vectors of the same cases, from tables, archives and Python; the same columns to predict."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nachos_jax
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.data.joined import Inputs, Joined
from nachos_jax.protocol.run.configure import checked
from nachos_jax.tasks import classification
from tests.fields import put

HEADER = ("path", "label", "subject", "site", "original_a", "original_b", "age", "remark")
ROWS = tuple(
    (f"{i}.png", "xy"[i % 2], f"s{i}", "AB"[i % 2], repr(0.5 * i), repr(i**2), str(40 + i), "stable")
    for i in range(8)
)
PATTERNS = ("original_*", "age")
NAMES = ["original_a", "original_b", "age"]
VALUES = np.asarray([[float(cell) for cell in row[4:7]] for row in ROWS], np.float32)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for row in range(len(ROWS)):
        Image.fromarray(np.full((6, 5), 20 * row, np.uint8)).save(tmp_path / f"{row}.png")
    return written(tmp_path / "t.csv")


def written(path: Path, rows=ROWS, header=HEADER) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def load(config, path: Path, **fields):
    given = {"source": "csv", "features": PATTERNS, **fields}
    return sources.load(config(path=str(path), **given), classification.TASK)


def store_of(cohort) -> Joined:
    assert isinstance(cohort.store, Joined)
    return cohort.store


def test_columns_of_the_table_stand_beside_its_images(config, table):
    cohort, plain = load(config, table), load(config, table, features=())
    store = store_of(cohort)
    np.testing.assert_array_equal(store.images.values, plain.store.rows(np.arange(8)))
    np.testing.assert_array_equal(store.vectors.values, VALUES)
    assert (cohort.shape, cohort.joined, plain.joined) == ((6, 5, 1), 3, 0)
    assert cohort.preparation == {
        **plain.preparation,
        "joined": NAMES,
        "patterns": list(PATTERNS),
        "others": ["remark"],
        "impute": "",
    }
    assert "beside each image 3 features: 'original_a', 'original_b', 'age'" in cohort.notes
    assert "left out of the features: 'remark'" in cohort.notes


def test_what_names_a_case_is_never_a_feature(config, table):
    assert load(config, table, features=("*",), exclude=("remark",)).preparation["joined"] == NAMES
    with pytest.raises(
        UsageError, match=r"feature 'remark' holds 'stable' at t.csv line 2, which is no number"
    ):
        load(config, table, features=("*",))
    rows = [row[:-1] for row in ROWS]
    cohort = load(config, written(table, rows, HEADER[:-1]), features=("*",))
    assert cohort.preparation["joined"] == NAMES


def test_the_hash_tells_columns_and_their_values(config, table):
    known = {load(config, table, features=f).hash for f in ((), PATTERNS, ("age",))}
    rows = [(*row[:6], str(41 + i), row[7]) for i, row in enumerate(ROWS)]
    assert load(config, written(table, rows)).hash not in known
    assert len(known) == 3
    header = [name.replace("age", "old") for name in HEADER]
    assert load(config, written(table, ROWS, header), features=("original_*", "old")).hash not in known
    rows = [(*row[:7], "changed") for row in ROWS]
    assert load(config, written(table, rows)).hash in known, "a column that is left out does not matter"


def test_a_part_is_what_reading_it_alone_gives(config, table):
    whole, rows = load(config, table), np.asarray([1, 2, 4, 7], np.int32)
    found = whole.take(rows, classification.TASK.part(whole.targets, rows))
    alone = load(config, written(table, [ROWS[row] for row in rows]))
    assert found.hash == alone.hash
    for ours, theirs in zip(found.store.rows(np.arange(4)), alone.store.rows(np.arange(4)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_rows_of_images_that_cannot_be_read_leave_with_their_columns(config, table):
    (table.parent / "2.png").write_bytes(b"no image")
    cohort = load(config, table, on_error="skip")
    assert cohort.skipped[0][0] == "2.png"
    np.testing.assert_array_equal(store_of(cohort).vectors.values, np.delete(VALUES, 2, axis=0))
    assert len(store_of(cohort).images.values) == 7


def test_an_archive_holds_images_and_features(config, tmp_path):
    arrays = {"images": np.arange(8 * 30, dtype=np.uint8).reshape(8, 6, 5), "labels": ["x", "y"] * 4}
    np.savez(
        tmp_path / "t.npz", **arrays, subject=np.arange(8), features=VALUES, feature_names=np.asarray(NAMES)
    )
    cohort = load(config, tmp_path / "t.npz", source="npz")
    np.testing.assert_array_equal(store_of(cohort).vectors.values, VALUES)
    assert cohort.preparation["joined"] == NAMES
    np.savez(tmp_path / "t.npz", **arrays, subject=np.arange(8), features=VALUES[:7])
    with pytest.raises(UsageError, match=r"t.npz has features of 7 cases and 8 images: store a row an image"):
        load(config, tmp_path / "t.npz", source="npz", features=("*",))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"features": ("siz*",)}, "no column like 'siz\\*'"),
        ({"features": ("path",)}, "no column like 'path'"),
        ({"features": ("label",)}, "no column like 'label'"),
    ],
)
def test_columns_that_cannot_be_are_refused(config, table, fields, told):
    with pytest.raises(UsageError, match=told):
        load(config, table, **fields)


def test_missing_values_are_imputed_or_refused(config, table):
    rows = [(*row[:6], "" if i == 3 else row[6], row[7]) for i, row in enumerate(ROWS)]
    with pytest.raises(UsageError, match=r"feature 'age' is missing at t.csv line 5"):
        load(config, written(table, rows))
    cohort = load(config, table, impute="median")
    assert np.isnan(store_of(cohort).vectors.values[3, 2])
    assert any("imputed by the median of each fit's training cases" in note for note in cohort.notes)


def test_cases_to_predict_need_the_same_columns(config, table, tmp_path):
    preparation = load(config, table).preparation
    turned = [(row[0], *row[4:7][::-1]) for row in ROWS[3:5]]
    names, found = sources.read_inputs(
        [written(tmp_path / "new.csv", turned, ("path", *NAMES[::-1]))], preparation
    )
    assert isinstance(found, Inputs)
    assert names == ["3.png", "4.png"]
    np.testing.assert_array_equal(found.vectors, VALUES[3:5])
    assert found.images.shape == (2, 6, 5, 1)
    assert found.images[1, 0, 0, 0] == 80
    short = written(tmp_path / "new.csv", [row[:5] for row in ROWS], HEADER[:5])
    with pytest.raises(UsageError, match=r"lacks 2 of the model's 3 features: 'original_b', 'age'"):
        sources.read_inputs([short], preparation)
    with pytest.raises(UsageError, match="Name a CSV table with a column 'path' and these columns"):
        sources.read_inputs([tmp_path / "0.png"], preparation)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"data.impute": "mean"}, "does nothing without columns beside the images"),
        (
            {"data.features": ("a",), "data.source": "folder"},
            "or to columns beside the images of csv and npz",
        ),
        ({"data.features": ("a",), "task.name": "segmentation"}, "does nothing for"),
        ({"data.features": ("a",), "data.case_key": "c"}, "config.data.case_key = 'c' does nothing for"),
    ],
)
def test_fields_that_would_do_nothing_are_refused(fields, told):
    config = nachos_jax.default_config()
    config.data.source, config.data.path = "csv", "t.csv"
    for name, value in fields.items():
        put(config, name, value)
    with pytest.raises(UsageError, match=told):
        checked(config)


def test_arrays_from_python_are_checked():
    images, labels = np.arange(8 * 30, dtype=np.uint8).reshape(8, 6, 5), ["x", "y"] * 4

    def cohort(vectors, **more):
        return nachos_jax.cohort(
            nachos_jax.ArrayCases(images, labels, list("abcdefgh"), vectors=vectors, **more)
        )

    assert cohort(VALUES).preparation["joined"] == ["feature_0", "feature_1", "feature_2"]
    with pytest.raises(UsageError, match=r"vectors of shape \(7, 3\) for 8 images"):
        cohort(VALUES[:7])
    with pytest.raises(UsageError, match="2 names, 2 of them different, for 3 columns"):
        cohort(VALUES, features=("a", "b"))
    with pytest.raises(UsageError, match="is missing at row 0"):
        cohort(np.where(VALUES[0] == VALUES, np.nan, VALUES))
