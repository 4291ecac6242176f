"""CSV tables: what is written is what is read, whatever spreadsheet wrote it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import csv_table, sources
from nachos_jax.tasks.classification import TASK
from tests.inputs import dense

TEXT = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=6)
CELLS = TEXT.flatmap(lambda word: st.sampled_from([word, f'{word}," {word}', f"{word}\n{word}", word]))


@given(
    header=st.lists(TEXT, min_size=2, max_size=4, unique=True),
    data=st.data(),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_round_trip_keeps_rows(
    header: list[str], data: st.DataObject, end: str, mark: str, tmp_path_factory: pytest.TempPathFactory
):
    rows = data.draw(st.lists(st.tuples(*[CELLS for _ in header]), max_size=5))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(header)
    lines = []
    for row in rows:
        text.write(end)  # a blank line
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes((mark + text.getvalue()).encode())
    sheet = csv_table.read_sheet(path)
    assert sheet.header == tuple(header)
    assert sheet.rows == tuple(rows)
    assert list(sheet.lines) == lines
    for place, name in enumerate(header):
        assert sheet.column(name) == [row[place] for row in rows]


def test_all_columns(config: Callable[..., DataConfig], table: Callable[..., Path]):
    path = table(
        "id,path,label,subject,site,fold\n"
        "1,0.png,10,ann,rome,0\n2,1.png,9,ann,rome,0\n3,2.png,9,bob,oslo,1\n4,3.png,10,eve,oslo,1\n"
    )
    cohort = sources.load(config(source="csv", path=str(path)), TASK)
    table_ = cohort.table
    assert table_.names.tolist() == ["0.png", "1.png", "2.png", "3.png"]
    assert cohort.targets.names == ("9", "10"), "whole numbers are sorted by value"
    assert cohort.targets.values.tolist() == [1, 0, 0, 1]
    assert table_.subjects.tolist() == ["ann", "ann", "bob", "eve"]
    assert table_.sites is not None
    assert table_.sites.tolist() == ["rome", "rome", "oslo", "oslo"]
    assert table_.folds is not None
    assert table_.folds.tolist() == [0, 0, 1, 1]
    assert dense(cohort).shape == (4, 5, 6, 1)


def test_mapped_columns_and_class_order(config: Callable[..., DataConfig], table: Callable[..., Path]):
    path = table("file,dx,mrn\n0.png,cat,7\n1.png,dog,8\n")
    cohort = sources.load(
        config(
            source="csv",
            path=str(path),
            image_key="file",
            label_key="dx",
            subject_key="mrn",
            classes=("dog", "cat"),
        ),
        TASK,
    )
    assert cohort.targets.names == ("dog", "cat")
    assert cohort.targets.values.tolist() == [1, 0]
    assert cohort.table.subjects.tolist() == ["7", "8"]
    assert cohort.table.sites is None


def test_mixed_sizes_and_channels_with_a_size_given(
    config: Callable[..., DataConfig], table: Callable[..., Path]
):
    images = {"tall.png": np.zeros((9, 3), np.uint8), "colour.png": np.zeros((5, 6, 3), np.uint8)}
    path = table("path,label,subject\n0.png,a,s\ntall.png,b,t\ncolour.png,b,u\n", images)
    cohort = sources.load(
        config(source="csv", path=str(path), height=8, width=8, channels=1, aspect="pad"), TASK
    )
    assert dense(cohort).shape == (3, 8, 8, 1)
    assert cohort.preparation["resized"]
    assert cohort.preparation["convert_channels"]


FOLDS = {
    "shipped split": ["train", "test", "train", "test"],
    "counted from 1": ["1", "2", "1", "2"],
    "subject in two": ["0", "1", "0", "1"],
    "empty": ["0", "", "0", ""],
    "endless": ["0", "9" * 30, "0", "0"],
}


@pytest.mark.parametrize("name", FOLDS)
def test_a_column_fold_that_nobody_asked_for_stops_nothing(
    name: str, config: Callable[..., DataConfig], table: Callable[..., Path]
):
    subjects, labels, lines = ("ann", "ann", "bob", "eve"), "abab", ["path,label,subject,fold"]
    for row, fold in enumerate(FOLDS[name]):
        lines.append(f"{row}.png,{labels[row]},{subjects[row]},{fold}")
    path = str(table("\n".join(lines) + "\n"))
    assert sources.load(config(source="csv", path=path), TASK).table.folds is None
    for asked in ({"predefined": True}, {"fold_key": "fold"}):
        with pytest.raises(UsageError, match="fold"):
            sources.load(config(source="csv", path=path, **asked), TASK)


def test_valid_folds_are_read_whoever_asks(config: Callable[..., DataConfig], table: Callable[..., Path]):
    """The hash of the cases holds them, and a run that is taken up again must find it as it was."""
    path = str(table("path,label,subject,fold\n0.png,a,s,1\n1.png,b,t,0\n"))
    plain, asked = (
        sources.load(config(source="csv", path=path, predefined=of), TASK) for of in (False, True)
    )
    assert plain.table.folds is not None
    assert plain.table.folds.tolist() == [1, 0]
    assert plain.hash == asked.hash


def test_a_class_may_be_called_none_where_it_is_listed(
    config: Callable[..., DataConfig], table: Callable[..., Path]
):
    path = str(table("path,label,subject\n0.png,tumour,s\n1.png,none,t\n"))
    cohort = sources.load(config(source="csv", path=path, classes=("none", "tumour")), TASK)
    assert cohort.targets.counts() == {"none": 1, "tumour": 1}
