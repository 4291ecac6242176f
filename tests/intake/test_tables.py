"""Tables of all kinds are read, or refused with the place; rows find their files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.errors import UsageError
from nachos_jax.intake.joining import ids_of, join
from nachos_jax.intake.tables import Grid, read_table
from nachos_jax.intake.words import role_by_name, tells_who
from tests.intake.conftest import cases, picture

CELL = st.text("abcäß0123456789 ._-", min_size=1, max_size=8).map(str.strip).filter(bool)


def written(path: Path, text: str, encoding: str = "utf-8") -> Grid:
    path.write_bytes(text.encode(encoding))
    return read_table(path)


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 99), CELL, CELL), min_size=2, max_size=8, unique_by=lambda row: row[0]
    ),
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]),
    title=st.booleans(),
)
def test_any_separator_and_encoding_gives_the_same_table(tmp_path_factory, rows, separator, encoding, title):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    lines = ["Study of 2024"] * title + ["id" + separator + "b" + separator + "c"]
    lines += [separator.join(map(str, row)) for row in rows]
    grid = written(path, "\r\n".join(lines), encoding)
    assert grid.columns == {name: [str(row[i]) for row in rows] for i, name in enumerate(("id", "b", "c"))}
    assert grid.lines == list(range(2 + title, 2 + title + len(rows)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2,3\n", "line 2: 3 cells, but the header in line 1 has 2"),
        ("a,a\n1,2\n", "'a' stands twice"),
        (",label\nA17,ill\nA3,well\nA4,ill\n", "line 1: a column that holds 'A17', 'A3', 'A4' has no name"),
        (",adc\nA17,0.5\nA3,0.7\n", "line 1: a column that holds 'A17', 'A3' has no name"),
        (",label\n7,ill\n7,well\n", "holds '7', '7' has no name"),
        ("x\na,label,\n1,ill,z\n", "line 3: 3 cells, but the header in line 2 has 2"),
        ('a,b\n"1,2\n3,4\n5,6\n', "line 4 of .* mend the quotes there or above"),
        ("", "is empty"),
        ("\n\n", "is empty"),
    ],
)
def test_refused_tables(tmp_path: Path, text: str, told: str):
    with pytest.raises(UsageError, match=told):
        written(tmp_path / "t.csv", text)


def test_excels_own_line_and_its_number(tmp_path: Path):
    grid = written(tmp_path / "t.csv", "sep=;\na;b\n1;2,5\n1;2,5\n3;4\n")
    assert grid.columns == {"a": ["1", "3"], "b": ["2.5", "4"]}
    assert grid.where(1) == "t.csv line 5"


@pytest.mark.parametrize("numbers", [("0", "1", "2"), ("1", "2", "3"), ("3", "17", "40")])
def test_row_numbers_without_a_name_are_left_out_and_told(tmp_path: Path, numbers):
    rows = "".join(f"{number},{name}\n" for number, name in zip(numbers, "abc", strict=True))
    grid = written(tmp_path / "t.csv", f",label\n{rows}")
    assert grid.columns == {"label": ["a", "b", "c"]}
    assert any(f"counts the rows ({numbers[0]} to {numbers[-1]})" in note for note in grid.notes)


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("v;w\n1,234;a\n12,5;b\n", ["1.234", "12.5"]),
        ("v;w\n1,234;a\n12,345;b\n", ["1.234", "12.345"]),
        ('v\n"0,234"\n"12,345"\n', ["0.234", "12.345"]),
        ('v\n"12,5"\n"7"\n', ["12.5", "7"]),
        ('v\n"1,234"\n"12,345"\n', None),
        ('v\n"1,234"\n987.5\n', None),
        ("v;w\n1.234;a\n12,5;b\n", None),
    ],
)
def test_commas_become_points_only_where_they_are_decimal(tmp_path: Path, text, cells):
    grid = written(tmp_path / "t.csv", text)
    kept = [line.split(";")[0].strip('"') for line in text.splitlines()[1:]]
    assert grid.columns["v"] == (cells or kept)
    assert any("may be decimal or thousands marks" in note for note in grid.notes) == (cells is None)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (
            ",Study X\nid,label\np1,ill\np2,well\np3,ill\n",
            {"id": ["p1", "p2", "p3"], "label": ["ill", "well", "ill"]},
        ),
        ('"a";"b" \n"x" ;1\n', {"a": ["x"], "b": ["1"]}),
    ],
)
def test_titles_in_the_second_cell_and_blanks_behind_quotes_do_no_harm(tmp_path: Path, text, columns):
    assert written(tmp_path / "t.csv", text).columns == columns


def test_thousands_of_columns_are_read(tmp_path: Path):
    names = [f"edge_{i:07}_of_the_connectome" for i in range(5000)]
    grid = written(tmp_path / "t.csv", "\n".join(",".join(row) for row in (names, ["0.25"] * 5000)))
    assert list(grid.columns) == names


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *(
            ("Patientennummer", "subject"),
            ("patient_id", "subject"),
            ("PatientID", "subject"),
            ("MRN", "subject"),
        ),
        *(("Geschlecht", "sex"), ("Alter (Jahre)", "age"), ("Befund", "label"), ("Dignität", "label")),
        *(("Klinik", "site"), ("Group", "fold"), ("Volumen", ""), ("original_shape_Sphericity", "")),
    ],
)
def test_words_of_roles(name: str, role: str):
    assert role_by_name(name) == role


@pytest.mark.parametrize(
    "name", ["Name", "Nachname", "geb_datum", "DateOfBirth", "Straße", "Bemerkungen", "Telefon"]
)
def test_words_of_what_is_not_copied(name: str):
    assert tells_who(name)


def grid(**columns: list[str]) -> Grid:
    count = len(next(iter(columns.values())))
    return Grid(Path("t.csv"), columns, list(range(2, 2 + count)))


@pytest.mark.parametrize(
    ("paths", "cells", "rule"),
    [
        (["a/1.png", "b/1.png"], ["a/1.png", "b/1.png"], "path"),
        (["a/1.png", "b/1.png"], ["C:\\x\\a\\1.png", "C:\\x\\b\\1.png"], "path"),
        (["i/x1.png", "i/x2.png"], ["x1.png", "x2.png"], "file name"),
        (["i/x1.nii.gz", "i/x2.nii.gz"], ["x1", "x2"], "stem"),
        (["i/001.png", "i/002.png"], ["1", "2"], "stem"),
        (["case7/a.png", "case7/b.png", "case8/a.png"], ["case7", "case8"], "folder"),
    ],
)
def test_the_rule_that_fits_is_found(paths: list[str], cells: list[str], rule: str):
    joined = join(grid(key=cells, other=["p", "q"]), ids_of(paths, {}))
    assert (joined.column, joined.rule) == ("key", rule)
    assert joined.rows == ([0, 0, 1] if len(paths) == 3 else [0, 1])


def test_patients_of_headers_join_all_their_files():
    joined = join(
        grid(pid=["P2", "P1"]), ids_of(["a.dcm", "b.dcm", "c.dcm"], {"subject": ["P1", "P1", "P2"]})
    )
    assert (joined.rule, joined.rows) == ("subject", [1, 1, 0])


def test_what_does_not_match_is_listed_on_both_sides():
    joined = join(grid(key=["x1", "x3"]), ids_of(["x1.png", "x2.png"], {}))
    assert joined.rows == [0, -1]
    assert any("'x2.png'" in note for note in joined.notes)
    assert any("'x3'" in note for note in joined.notes)


@pytest.mark.parametrize(
    ("paths", "columns", "told"),
    [
        (["a/1.png", "b/1.png"], {"key": ["1"]}, "is the stem of 2 files"),
        (["1.png"], {"key": ["1", "1"], "y": ["a", "b"]}, "the rows differ"),
        (["1.png", "2.png"], {"a": ["1", "2"], "b": ["2", "1"]}, "lead to different rows"),
        (["x.png"], {"key": ["7"]}, "no column names the files"),
    ],
)
def test_what_is_ambiguous_is_refused(paths: list[str], columns: dict[str, list[str]], told: str):
    with pytest.raises(UsageError, match=told):
        join(grid(**columns), ids_of(paths, {}))


@pytest.mark.parametrize(
    ("paths", "cells", "rows"),
    [
        (["i/P1_2.png", "i/P01_2.png"], ["P01_2.png", "P1_2.png"], [1, 0]),
        (["i/P1_2.png", "i/P01_2.png"], ["P1_2.png"], [0, -1]),
        (["i/P1_2.png", "i/P01_2.png", "i/P02_2.png"], ["P1_2", "P01_2", "P2_2"], [0, 1, 2]),
        (["c/1/a.png", "c/01/a.png"], ["X:\\c\\01\\a.png", "X:\\c\\1\\a.png"], [1, 0]),
        (["P1/a.png", "P1/b.png", "P01/c.png"], ["P01", "P1"], [1, 1, 0]),
        (["P1/a.png", "P1/b.png", "P01/c.png"], ["P1", "P9"], [0, 0, 0]),  # no row names P01 itself
    ],
)
def test_names_letter_by_letter_come_before_other_spellings(paths, cells, rows):
    assert join(grid(key=cells), ids_of(paths, {})).rows == rows


@pytest.mark.parametrize("cells", [["P1_2.png", "p1_2.png"], ["P1_2.png", "P01_2.png", "P001_2.png"]])
def test_rows_beside_those_of_the_very_letters_are_still_refused(cells: list[str]):
    with pytest.raises(UsageError, match="names the same case|is the file name of 2 files"):
        join(grid(key=cells), ids_of(["i/P1_2.png", "i/P01_2.png"][: len(cells) - 1], {}))


def test_a_parquet_table_is_read_like_others_where_pyarrow_is_installed(tmp_path: Path, said):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow reads Parquet tables")
    parquet = pytest.importorskip("pyarrow.parquet")
    for case in range(10):
        picture(tmp_path / f"in/{case}.png", case)
    cells = {
        "path": [f"{case}.png" for case in range(10)],
        "label": ["ab"[case % 2] for case in range(10)],
        "subject": pyarrow.array(range(10), pyarrow.int16()),
        "age": [None, *(40.5 + case for case in range(9))],
    }
    parquet.write_table(pyarrow.table(cells), tmp_path / "list.parquet")
    code, out = said("init", "--input=in", "--labels=list.parquet")
    assert code == 0, out
    found = cases(Path("intake"))
    assert [row["subject"] for row in found] == [str(case) for case in range(10)]
    assert [row["label"] for row in found] == list("ababababab")
    assert [row["age"] for row in found][:3] == ["", "40.5", "41.5"]


def test_a_parquet_table_without_pyarrow_is_refused_with_the_cure(
    tmp_path: Path, said, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "list.parquet").write_bytes(b"PAR1")
    for words in (("--input=list.parquet",), ("--input=in", "--labels=list.parquet")):
        picture(tmp_path / "in/0.png", 0)
        code, out = said("init", *words)
        assert code == 2
        assert "`pip install pyarrow`, or save it as CSV" in out
