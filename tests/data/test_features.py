"""Vectors from files: which columns are features, and the same columns by name when predicting."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nachos_jax import ArrayCases, default_config
from nachos_jax import cohort as cohort_from
from nachos_jax.core.errors import UsageError
from nachos_jax.data import features, sources
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.run.configure import checked
from nachos_jax.tasks import registry as tasks
from tests import vectors
from tests.fields import put

HEADER = ["case", "label", "subject", "diagnostics_Mask_Volume", "original_a", "original_b", "age"]
ROWS = [[f"c{i}", "xy"[i % 2], f"s{i // 2}", "4", f"{i}", f"{i * i}", f"{40 + i}"] for i in range(12)]


def write(path: Path, rows: list[list[str]] = ROWS, header: list[str] = HEADER) -> Path:
    mark = "\t" if path.suffix == ".tsv" else ","
    path.write_text("\n".join(mark.join(row) for row in [header, *rows]) + "\n")
    return path


def load(path: Path, task: str = "classification", **changes) -> Cohort:
    config = default_config()
    config.data.source, config.data.path, config.model.architecture = "vectors", str(path), "linear"
    config.task.name = task
    for name, value in changes.items():
        put(config, f"data.{name}", value)
    return sources.load(checked(config).data, tasks.of(task))


def names(cohort: Cohort) -> list[str]:
    return cohort.preparation["features"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_patterns_take_columns_in_the_order_of_the_table(tmp_path, suffix):
    cohort = load(write(tmp_path / f"t{suffix}"), features=("original_*",))
    assert names(cohort) == ["original_a", "original_b"]
    np.testing.assert_array_equal(vectors.values_of(cohort)[:, 1], np.arange(12) ** 2)
    assert cohort.table.names[3] == "c3"
    assert cohort.targets.names == ("x", "y")
    assert cohort.shape == (2,)
    assert any(
        "left out of the features" in note and "diagnostics_Mask_Volume" in note for note in cohort.notes
    )


def test_all_is_all_but_what_serves_otherwise_and_what_pyradiomics_tells_of_itself(tmp_path):
    header = ["", "Unnamed: 0", *HEADER]
    path = write(tmp_path / "t.csv", [[str(i), str(i), *row] for i, row in enumerate(ROWS)], header)
    assert names(load(path, features=("*",))) == ["original_a", "original_b", "age"]
    assert names(load(path, features=("*",), exclude=("age", "*_a"))) == ["original_b"]
    with pytest.raises(UsageError, match="are the same for all cases"):  # meant, and useless
        load(path, features=("diagnostics_*",))


def test_subgroups_of_the_report_change_no_feature(tmp_path):
    path = write(tmp_path / "t.csv")
    config = default_config()
    config.data.source, config.data.path, config.model.architecture = "vectors", str(path), "linear"
    config.data.features, config.report.subgroups = ("*",), ("age(45)",)
    run = checked(config)
    assert "age" in names(sources.load(run.data, tasks.of("classification")))


def test_npz_arrays_are_read_with_and_without_names(tmp_path):
    values, labels, subjects, _ = vectors.arrays()
    named = [f"f{i}" for i in range(vectors.FEATURES)]
    np.savez(tmp_path / "plain.npz", features=values, labels=labels, subject=subjects)
    np.savez(tmp_path / "named.npz", features=values, labels=labels, subject=subjects, feature_names=named)
    plain, known = load(tmp_path / "plain.npz"), load(tmp_path / "named.npz", features=("f[2-4]",))
    np.testing.assert_array_equal(vectors.values_of(plain), values)
    assert names(plain)[:2] == ["feature_0", "feature_1"]
    assert names(known) == ["f2", "f3", "f4"]
    np.testing.assert_array_equal(vectors.values_of(known), values[:, 2:5])
    half: dict[str, Any] = {"train_features": values[:60], "val_features": values[60:]}
    half |= {"train_labels": labels[:60], "val_labels": labels[60:]}
    np.savez(tmp_path / "parts.npz", **half, train_subject=subjects[:60], val_subject=subjects[60:])
    assert load(tmp_path / "parts.npz").hash == plain.hash


def test_arrays_from_python_are_the_same_cases(tmp_path):
    values, labels, subjects, _ = vectors.arrays(missing=0.1)
    np.savez(tmp_path / "t.npz", features=values, labels=labels, subject=subjects)
    cohort = cohort_from(ArrayCases(values, labels, subjects, impute="mean"))
    assert load(tmp_path / "t.npz", impute="mean").hash == cohort.hash
    assert load(tmp_path / "t.npz", impute="median").hash != cohort.hash, "another fit, another id"
    with pytest.raises(UsageError, match="feature 'feature_0' is missing at row"):
        cohort_from(ArrayCases(values, labels, subjects))


def test_parquet_is_read_where_pyarrow_is_installed(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = dict(zip(HEADER, zip(*ROWS, strict=True), strict=True))
    table: dict[str, Any] = {
        name: cells for name, cells in columns.items() if not name.startswith("original")
    }
    table["original_a"] = [float(cell) for cell in columns["original_a"]]
    table["original_b"] = [int(cell) for cell in columns["original_b"]]
    parquet.write_table(pyarrow.table(table), tmp_path / "t.parquet")
    cohort = load(tmp_path / "t.parquet", features=("original_*",))
    assert cohort.hash == load(write(tmp_path / "t.csv"), features=("original_*",)).hash


def test_parquet_without_pyarrow_is_refused_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="`pip install pyarrow`, or save it as CSV"):
        load(tmp_path / "t.parquet", features=("*",))


def changed(row: int, column: str, cell: str) -> list[list[str]]:
    rows = [list(cells) for cells in ROWS]
    rows[row][HEADER.index(column)] = cell
    return rows


@pytest.mark.parametrize(
    ("rows", "fields", "told"),
    [
        (ROWS, {}, r"which columns are features\? Name them in config.data.features"),
        (ROWS, {"features": ("orginal_*",)}, r"no column like 'orginal_\*'.* Did you mean 'original_"),
        (ROWS, {"features": ("age",), "exclude": ("age",)}, "leave no column"),
        (
            changed(2, "original_a", "high"),
            {"features": ("*",)},
            r"'original_a' holds 'high' at t.csv line 4",
        ),
        (changed(2, "age", "1,5"), {"features": ("*",)}, r"line 4"),
        (changed(5, "original_b", "NA"), {"features": ("*",)}, r"'original_b' is missing at t.csv line 7"),
        (changed(5, "original_b", "inf"), {"features": ("*",)}, "'original_b' is infinite"),
        (
            changed(1, "case", "c0"),
            {"features": ("*",)},
            r"line 2: case 'c0' stands twice.*config.data.case_key",
        ),
        (ROWS, {"features": ("*",), "subject_key": "patient"}, "no column 'patient'"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path, rows, fields, told):
    with pytest.raises(UsageError, match=told):
        load(write(tmp_path / "t.csv", [[f'"{cell}"' for cell in row] for row in rows]), **fields)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"images": np.zeros((4, 3))}, r"no array 'features'; it has 'labels', 'subject', 'images'"),
        ({"features": np.zeros((4, 3, 2))}, r"shape \(4, 3, 2\); store a row a case and a column a feature"),
        ({"features": np.zeros((4, 3)).astype(str)}, "store features as numbers"),
        ({"features": np.zeros((4, 2)), "feature_names": ["a", "a"]}, "2 names, 1 of them different"),
    ],
)
def test_archives_that_cannot_be_used_are_refused(tmp_path, arrays, told):
    np.savez(tmp_path / "t.npz", labels=["x", "y", "x", "y"], subject=list("abcd"), **arrays)
    with pytest.raises(UsageError, match=told):
        load(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("field", "value", "source"),
    [
        ("height", 8, "vectors"),
        ("channels", 1, "vectors"),
        ("cache", "x", "vectors"),
        ("case_key", "x", "npz"),
        ("impute", "mean", "digits"),
    ],
)
def test_fields_of_the_other_kind_of_case_are_refused(field, value, source):
    config = default_config()
    config.data.source, config.data.path = source, "x.npz"
    config.data.width = 8 if field == "height" else 0
    put(config, f"data.{field}", value)
    with pytest.raises(UsageError, match=f"config.data.{field} = {value!r} does nothing for"):
        checked(config)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"vectors are read from \.npz, \.csv, \.tsv, \.parquet"):
        load(tmp_path / "t.xlsx")
    with pytest.raises(UsageError, match="there is no such file"):
        load(tmp_path / "none.csv")


def test_numbers_with_underscores_are_doubtful_and_not_predicted(tmp_path):
    rows = [[*row[:4], row[4].replace("11", "1_1"), *row[5:]] for row in ROWS]
    written = write(tmp_path / "t.csv", rows)
    cohort = load(written, features=("original_*",))
    (told,) = cohort.doubts
    assert "feature 'original_a' '1_1' is read as 11" in told
    assert cohort.hash == load(write(tmp_path / "plain.csv"), features=("original_*",)).hash
    assert load(tmp_path / "plain.csv", features=("original_*",)).doubts == ()
    with pytest.raises(UsageError, match="'1_1' is read as 11"):
        features.read_inputs([written], cohort.preparation)
    plain = [[*row[:-1], f"{row[-1][0]}_{row[-1][1]}"] for row in ROWS]
    found = load(write(tmp_path / "u.csv", plain), "regression", label_key="age", features=("original_*",))
    assert "age '4_0' is read as 40, and 11 more likewise" in found.doubts[0]


# --- the cases to predict --------------------------------------------------------------------------------


def test_columns_are_found_by_name_in_any_order_and_beside_others(tmp_path):
    cohort = load(write(tmp_path / "t.csv"), features=("original_*",))
    other = write(
        tmp_path / "new.csv", [["9", "1", "n1"], ["8", "2", "n2"]], ["original_b", "original_a", "case"]
    )
    found, values = features.read_inputs([other], cohort.preparation)
    assert found == ["n1", "n2"]
    np.testing.assert_array_equal(values, [[1, 9], [2, 8]])
    found, values = features.read_inputs([other, tmp_path / "t.csv"], cohort.preparation)
    assert len(values) == 14
    assert found[0] == "new.csv: n1"


def test_cases_are_named_by_the_column_that_named_those_of_training(tmp_path):
    cohort = load(write(tmp_path / "t.csv"), features=("original_*",), case_key="age")
    assert cohort.table.names[0] == "40"
    columns = ["original_a", "original_b"]
    for header, name in (([*columns, "age"], "7"), ([*columns, "case"], "7"), (columns, "row-000000")):
        new = write(tmp_path / "new.csv", [["1", "2", "7"][: len(header)]], header)
        assert features.read_inputs([new], cohort.preparation)[0] == [name]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (["original_a", "c"], r"lacks 1 of the model's 2 features: 'original_b'; it has 'original_a', 'c'"),
        (
            ["original_a", "original_b", "original_c"],
            r"1 feature\(s\) that the model was not trained on: 'orig",
        ),
    ],
)
def test_other_columns_than_those_of_training_are_refused(tmp_path, header, told):
    cohort = load(write(tmp_path / "t.csv"), features=("original_*",))
    new = write(tmp_path / "new.csv", [["1"] * len(header)], header)
    with pytest.raises(UsageError, match=told):
        features.read_inputs([new], cohort.preparation)
