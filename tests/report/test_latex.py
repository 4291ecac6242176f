"""LaTeX tables: well formed whatever classes are called, and every number as in the summary."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.report.appendix import latex
from nachos_jax.report.appendix.grid import one_line
from nachos_jax.report.appendix.latex import escape
from nachos_jax.report.appendix.result_tables import WIDEST
from nachos_jax.report.sections import registry
from nachos_jax.report.words.format import MISSING, number
from tests.report.checklist_runs import FEW, flat, renamed, told
from tests.report.conftest import FakeRun, build

OLD = ("benignum", "malignum")
HOSTILE = st.text(
    st.one_of(st.sampled_from(list("\\{}%&#$_~^<>|`'\"[]*-,? \n\täß肿瘤\u2212\u202e")), st.characters())
)
MACROS = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textasciigrave": "`",
}
TOKEN = re.compile(
    r"\\symbol\{34\}|\\(?P<macro>text[a-z]+)\{\}|\\(?P<special>[{}#$%&_])|\{(?P<held>[\[\]*])\}|(?P<empty>\{\})"
    r"|(?P<minus>\$-\$)|(?P<bare>[\\{}#$%&_~^<>|`\"\[\]*])|(?P<plain>.)",
    re.DOTALL,
)


def tables(summary):
    return latex.tables(summary, registry.of("classification"))


def read(text: str) -> str:
    """What LaTeX prints of an escaped text; fails at a special character that is bare."""
    out = []
    for found in TOKEN.finditer(text):
        assert not found["bare"], f"bare {found['bare']!r} in {text!r}"
        if found[0] == r"\symbol{34}":
            out.append('"')
        elif found["macro"]:
            out.append(MACROS[found["macro"]])
        else:
            minus = "\N{MINUS SIGN}" if found["minus"] else None
            out.append(minus or found["special"] or found["held"] or found["plain"] or "")
    return "".join(out)


def parsed(text: str) -> dict:
    """Caption, header, rows and notes of a table environment, as printed; marks as "^1"."""
    opened = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    stack = []
    for kind, name in opened:
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    (columns,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)
    rows = []
    for line in text.splitlines():
        if line.endswith(r" \\"):
            assert line.startswith("    ")
            cells = re.split(r"(?<!\\) & |^ & ", line[4:-3])
            rows.append(
                [read(re.sub(r"\\textsuperscript\{(\d+)\}$", r"\\textasciicircum{}\1", c)) for c in cells]
            )
            assert not line.strip().startswith(("[", "*"))
    assert {len(row) for row in rows} == {len(columns)}
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    (caption,) = re.findall(r"\\caption\{(.*)\}\n", text)
    notes = [read(note) for note in re.findall(r"\\textsuperscript\{\d+\} (.*)\.\\par\n", text)]
    return {"caption": read(caption), "header": rows[0], "rows": rows[1:], "notes": notes}


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    """Of a run of two classes with an undefined fold, failed trials and subgroups."""
    fake = FakeRun(classes=OLD, cases=120, absent_in_fold=1, failed=((0, 1),), settings=FEW)
    return told(build(tmp_path_factory.mktemp("latex") / "run", fake))[1]


@given(HOSTILE)
def test_every_text_is_printed_as_it_is(text):
    assert read(escape(text)) == one_line(text)
    assert not re.search(r"--|''|,,", escape(text))


@given(
    st.lists(
        HOSTILE.filter(lambda text: "\N{SNOWMAN}" not in text), min_size=2, max_size=2, unique_by=one_line
    )
)
def test_tables_stay_whole_whatever_classes_are_called(summary, names):
    named = renamed(summary, dict(zip(OLD, names, strict=True)))
    found = {key: parsed(text) for key, text in tables(named).items()}
    shown = [one_line(name) for name in names]
    assert found["confusion"]["header"][1:3] == shown
    assert [row[0] for row in found["confusion"]["rows"]] == shown
    assert tables(named) == tables(named)


def test_main_numbers_are_those_of_the_summary(summary):
    table = parsed(tables(summary)["main"])
    assert table["header"] == ["Metric", "Mean", "SD", "SE", "Interval", "Folds"]
    assert "5 outer folds, 120 cases of 60 subjects" in table["caption"]
    for row, name in zip(table["rows"], summary["shown"], strict=True):
        metric = summary["metrics"][name]
        first = metric["intervals"][0]
        span = f"{number(first['low'], 3)} to {number(first['high'], 3)}"
        told = [metric["label"], *(number(metric[key], 3) for key in ("mean", "sd", "se")), span]
        assert [cell.split("^")[0] for cell in row] == [*told, str(metric["count"])]
        note = table["notes"][int(row[4].split("^")[1]) - 1]
        assert first["label"].startswith("Corrected t")
        assert note.startswith(f"{first['label']}, 95 % interval, {first['count']} outer folds")


def test_folds_and_confusion_are_those_of_the_summary(summary):
    found = tables(summary)
    folds, confusion = parsed(found["folds"]), parsed(found["confusion"])
    for row, fold in zip(folds["rows"], summary["outer_folds"], strict=False):
        assert row[:3] == [str(fold["outer_fold"]), str(fold["cases"]), str(fold["subjects"])]
        for cell, name in zip(row[3:], summary["shown"], strict=True):
            value = summary["metrics"][name]["folds"][str(fold["outer_fold"])]
            text, _, mark = cell.partition("^")
            assert text == number(value["value"], 3)
            assert (folds["notes"][int(mark) - 1] if mark else "") == value["note"]
    assert [row[0] for row in folds["rows"][-3:]] == ["mean", "SD", "SE"]
    counts = [[int(cell) for cell in row[1:3]] for row in confusion["rows"]]
    assert counts == summary["confusion"]["counts"]
    assert MISSING in folds["rows"][1][6]


def test_subgroups_and_choices_are_those_of_the_summary(summary):
    found = tables(summary)
    for row, group in zip(parsed(found["subgroups"])["rows"], summary["subgroups"], strict=True):
        told = [group["column"], group["group"], str(group["cases"]), str(group["subjects"])]
        assert row[:4] == told
        assert row[4].split("^")[0] == number(group["metrics"]["balanced_accuracy"]["value"], 3)
    for row, fold in zip(parsed(found["choices"])["rows"], summary["outer_folds"], strict=True):
        assert row[2:] == [
            *(str(fold["selected"]), fold["origin"]),
            *(number(fold["inner_score"], 3), str(fold["epochs"])),
        ]


def test_every_chosen_hyperparameter_stands_once_also_of_many_folds(summary):
    folds: list[dict[str, Any]] = [
        {
            **summary["outer_folds"][0],
            "outer_fold": i,
            "hparams": {"learning_rate": 0.1 / (i + 1), "momentum": 0.9},
        }
        for i in range(2 * WIDEST + 1)
    ]
    for fold in folds[::2]:
        del fold["hparams"]["momentum"]
    metrics = {
        name: {**metric, "folds": {str(i): metric["folds"]["0"] for i in range(len(folds))}}
        for name, metric in summary["metrics"].items()
    }
    found = tables({**summary, "outer_folds": folds, "metrics": metrics})
    parts = [parsed(found[name]) for name in ("hyperparameters", "hyperparameters_2", "hyperparameters_3")]
    assert [f"Fold {i}" for i in range(len(folds))] == [
        title for part in parts for title in part["header"][1:]
    ]
    rates, momenta = ([cell for part in parts for cell in part["rows"][i][1:]] for i in (0, 1))
    assert rates == [number(fold["hparams"]["learning_rate"]) for fold in folds]
    assert momenta == [MISSING if i % 2 == 0 else "0.9" for i in range(len(folds))]


def test_the_flat_protocol_leads_with_its_estimate(tmp_path):
    summary = told(flat(build(tmp_path / "run", FakeRun(tested=(), cases=120, settings=FEW))))[1]
    found = {key: parsed(text) for key, text in tables(summary).items()}
    metric = summary["metrics"]["balanced_accuracy"]
    assert found["main"]["header"][1:3] == ["Estimate", "Mean, optimistic"]
    assert found["main"]["rows"][0][1:3] == [number(metric["estimate"], 3), number(metric["mean"], 3)]
    for name in ("folds", "subgroups", "confusion"):
        assert "not corrected" in found[name]["caption"]
    assert "decisions" not in found


def test_nothing_before_the_first_test(tmp_path):
    fake = FakeRun(tested=(), classes=OLD, cases=60, settings=FEW)
    assert tables(told(build(tmp_path / "run", fake))[1]) == {}
