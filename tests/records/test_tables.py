"""Tables are CSV that comes back as it was, whatever the cells hold."""

from __future__ import annotations

import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.records.store import RunDirectory

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CELLS |= st.text("'=+-@\t\r1.e", max_size=4)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=5))
@settings(max_examples=60)
def test_any_text_comes_back_from_a_table(rows):
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(folder)
        run.write_table("t.csv", ["a", "b", "c"], [list(row) for row in rows])
        back = run.read_table("t.csv")
        assert back == [dict(zip("abc", row, strict=True)) for row in rows]


def test_a_lone_carriage_return_does_not_end_a_row(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_table(
        "t.csv", ["case", "fold"], [["Icon\r", 1], ["a\r\nb", 2], ['say "x", y', None], ["", 0.5]]
    )
    assert run.read_table("t.csv") == [
        {"case": "Icon\r", "fold": "1"},
        {"case": "a\r\nb", "fold": "2"},
        {"case": 'say "x", y', "fold": ""},
        {"case": "", "fold": "0.5"},
    ]


def test_a_plain_table_stays_plain(tmp_path):
    path = RunDirectory(tmp_path).write_table("t.csv", ["case", "p"], [["é", 0.1], [None, 1e-9]])
    assert path.read_bytes() == "case,p\né,0.1\n,1e-09\n".encode()


def test_what_a_spreadsheet_would_run_is_guarded(tmp_path):
    path = RunDirectory(tmp_path).write_table(
        "t.csv", ["case", "p"], [["=1+2", -0.5], ["@x", "+1e3"], ["-", "-a"]]
    )
    assert path.read_text() == "case,p\n'=1+2,-0.5\n'@x,+1e3\n-,'-a\n"


@given(st.lists(st.floats() | st.integers() | st.booleans() | st.none(), min_size=3, max_size=3))
def test_numbers_stand_as_python_writes_them(row):
    with tempfile.TemporaryDirectory() as folder:
        path = RunDirectory(folder).write_table("t.csv", ["a", "b", "c"], [row])
        line = ",".join("" if cell is None else str(cell) for cell in row)
        assert path.read_text(encoding="utf-8") == f"a,b,c\n{line}\n"
