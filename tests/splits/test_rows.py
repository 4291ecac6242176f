"""folds.csv: what is written is read back, through a real CSV file; anything else is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.errors import UsageError
from nachos_jax.records.case_table import CaseRecord
from nachos_jax.records.rows import read_rows, write_rows
from nachos_jax.records.store import RunDirectory
from nachos_jax.splits.folds import Folds

# csv.writer with line ends "\n" does not quote a lone carriage return; such rows are refused when read.
text = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8)


def record(
    names: np.ndarray, subjects: np.ndarray, folds: Folds, sites: np.ndarray | None = None
) -> CaseRecord:
    """A case table whose targets do not matter."""
    return CaseRecord(names, subjects, sites, np.zeros(len(names), np.int64), folds)


@given(data=st.data(), repeats=st.integers(1, 3), shuffle=st.integers(0, 1000))
def test_round_trip_through_a_file_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, repeats: int, shuffle: int
) -> None:
    names = np.array(data.draw(st.lists(text, min_size=4, max_size=9, unique=True)), object)
    rng = np.random.default_rng(shuffle)
    rows = [rng.permutation(np.arange(len(names)) % 2) + 2 * r for r in range(repeats)]
    folds = Folds(np.stack(rows), 2, repeats)
    store = RunDirectory(tmp_path_factory.mktemp("run"))
    store.write_table("folds.csv", *write_rows(record(names, names, folds), ["normal"] * len(names)))
    order = rng.permutation(len(names))
    found = read_rows(store.read_table("folds.csv") or [], names[order])
    np.testing.assert_array_equal(found.assignment, folds.assignment[:, order])
    assert (found.count, found.repeats) == (2, repeats)


def test_columns() -> None:
    folds = Folds(np.array([[0, 1], [3, 2]]), 2, 2)
    names = np.array(["x.png", "y.png"])
    sites = np.array(["bonn", "lima"])
    header, rows = write_rows(record(names, np.array(["a", "b"]), folds, sites), ["no", "yes"])
    assert header == ["case", "subject", "site", "label", "fold", "fold_2"]
    assert rows == [["x.png", "a", "bonn", "no", 0, 3], ["y.png", "b", "lima", "yes", 1, 2]]


def lines(**changes: str) -> list[dict[str, str]]:
    """Four sound rows, the last with changes."""
    rows = [
        {"case": c, "subject": s, "site": "", "label": "", "fold": f}
        for c, s, f in zip("wxyz", "abcc", "0011", strict=True)
    ]
    rows[-1].update(changes)
    return rows


NAMES = np.array(list("wxyz"))


def test_sound_rows_are_read() -> None:
    assert read_rows(lines(), NAMES).assignment.tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lines(case="v"), "line 5: case 'v' is not among the cases"),
        (lines(case="w"), "line 5: case 'w' stands twice"),
        (lines()[:3], "lacks 1 of the 4 cases, e.g. 'z'"),
        ([], "lacks 4 of the 4 cases"),
        (lines(fold="one"), "line 5: fold = 'one' is no fold number"),
        (lines(fold=""), "line 5: fold = '' is no fold number"),
        (lines(fold="-1"), "line 5: fold = '-1' is no fold number"),
        (lines(fold="7"), "none of them empty"),
        (lines(fold="0"), "subject 'c' is in folds 0, 1"),
        ([{"case": name} for name in "wxyz"], "no column 'fold'"),
    ],
)
def test_other_rows_are_refused_with_the_cure(rows: list[dict[str, str]], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_rows(rows, NAMES)
    assert "Restore it and the data of the first run" in str(caught.value)
    assert "--workdir" in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    store = RunDirectory(tmp_path)
    store.write_text("folds.csv", "case,subject,site,label,fold\nw,a\n")
    with pytest.raises(UsageError, match="line 2: fold = '' is no fold number"):
        read_rows(store.read_table("folds.csv") or [], NAMES[:1])
