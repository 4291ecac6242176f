"""The appendix in Markdown, read back by a parser: whole tables, every number, nothing more than measured."""

from __future__ import annotations

import html
import os
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nachos_jax.report.appendix.grid import one_line
from nachos_jax.report.appendix.markdown import NOTHING, appendix, escape
from nachos_jax.report.checklists.checklist import checklist
from nachos_jax.report.words.format import MISSING, number
from tests.report.checklist_runs import FEW, flat, renamed, told
from tests.report.conftest import FakeRun, build

FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"

markdown_it = pytest.importorskip("markdown_it", reason="markdown-it-py reads the appendix back")
OLD = ("benignum", "malignum")
SIGNS = "\\|`*_[]()<>&#~$!-+=.:1 \n\t肿\u2212"
HOSTILE = st.text(st.one_of(st.sampled_from(list(SIGNS)), st.characters()), max_size=12)


def page(text: str) -> str:
    """The text as HTML, by rules of CommonMark with the tables and strokes of GitHub."""
    return markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def shown(fragment: str) -> str:
    """What a reader sees of HTML without tags; marks as "^1"."""
    marked = re.sub(r"<sup>(\d+)</sup>", r"^\1", fragment)
    assert not re.search(r"<(?!/?(p|li|th|td)\b)", marked), f"markup in {fragment!r}"
    return html.unescape(re.sub(r"<[^>]*>", "", marked)).strip()


def text_of(evidence, summary) -> str:
    return appendix(evidence, summary, checklist(evidence, summary))


def sections(text: str) -> dict[str, list[list[list[str]]]]:
    """Tables by the heading above them: rows of cells, the header first."""
    found: dict[str, list[list[list[str]]]] = {}
    for part in re.split(r"<h[123]>", page(text))[1:]:
        title, rest = re.split(r"</h[123]>", part, maxsplit=1)
        found[html.unescape(title)] = [
            [[shown(c) for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in _rows(table)]
            for table in re.findall(r"<table>.*?</table>", rest, re.DOTALL)
        ]
    return found


def _rows(table: str) -> list[str]:
    return re.findall(r"<tr>.*?</tr>", table, re.DOTALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Records and summary of two classes with an undefined fold, a failed trial and a diverged refit."""
    fake = FakeRun(classes=OLD, cases=120, absent_in_fold=1, failed=((0, 3),), diverged_refit=2, settings=FEW)
    return told(build(tmp_path_factory.mktemp("markdown") / "run", fake))


@given(HOSTILE)
@example("`x` and ``y``")
@example("<b>x</b> <!-- y --> &amp; &#65;")
@example("\\| [a](b) ![c](d) **e** _f_ ~~g~~")
@example("1. x")
@example("- x")
@example("# x")
@example("2) --config=a @b $c$ ^d^")
def test_every_text_is_shown_as_it_is(text):
    wanted = one_line(text)
    (row,) = re.findall(
        r"<tbody>.*</tbody>", page(f"| a | b |\n| --- | --- |\n| {escape(text)} | x |\n"), re.DOTALL
    )
    cells = [shown(cell) for cell in re.findall(r"<td>.*?</td>", row, re.DOTALL)]
    assert cells == [wanted.strip(), "x"]
    if wanted:
        assert shown(page(f"- {escape(text)}\n").replace("<ul>", "").replace("</ul>", "")) == wanted
        assert shown(page(f"{escape(text)}\n")) == wanted


@settings(max_examples=15 if FULLY else 4, deadline=None)
@given(
    names=st.lists(
        HOSTILE.filter(lambda t: "\N{SNOWMAN}" not in t), min_size=2, max_size=2, unique_by=one_line
    )
)
def test_tables_stay_whole_whatever_classes_are_called(run, names):
    evidence, summary = run
    plain = sections(text_of(evidence, summary))
    named = renamed(summary, dict(zip(OLD, names, strict=True)))
    found = sections(text_of(evidence, named))
    assert list(found) == list(plain)
    for title, tables in found.items():
        sizes = [[len(row) for row in table] for table in tables]
        assert sizes == [[len(row) for row in table] for table in plain[title]], title
    assert found["Confusion matrix"][0][0][1:3] == [one_line(name) for name in names]


def test_every_number_is_that_of_the_summary(run):
    evidence, summary = run
    found = sections(text_of(evidence, summary))
    main, intervals = found["Main results"]
    given_ = [interval for name in summary["shown"] for interval in summary["metrics"][name]["intervals"]]
    for row, name in zip(main[1:], summary["shown"], strict=True):
        metric = summary["metrics"][name]
        assert [cell.split("^")[0] for cell in row[:4]] == [
            metric["label"],
            *(number(metric[key], 3) for key in ("mean", "sd", "se")),
        ]
    for row, interval in zip(intervals[1:], given_, strict=True):
        low = interval["low"]
        ends = MISSING if low is None else f"{number(low, 3)} to {number(interval['high'], 3)}"
        assert row[1] == interval["label"]
        assert row[2].startswith(f"{interval['count']} ")
        assert [row[3], row[4].split("^")[0]] == [number(interval["estimate"], 3), ends]
    folds = found["Outer folds"][0]
    for row, fold in zip(folds[1:], summary["outer_folds"], strict=False):
        values = [summary["metrics"][name]["folds"][str(fold["outer_fold"])] for name in summary["shown"]]
        assert [cell.split("^")[0] for cell in row[3:]] == [number(value["value"], 3) for value in values]
    (decided,) = found["Decisions"]
    for row, made in zip(decided[1:], summary["decisions"]["folds"].values(), strict=False):
        assert row[1].split("^")[0] == number(made["threshold"]["value"], 3)
        if made["decision"]:
            assert row[-4:] == [str(made["decision"][key]) for key in ("tp", "fp", "fn", "tn")]
        else:
            assert {cell.split("^")[0] for cell in row[2:]} == {MISSING}
    calibration, temperature = found["Calibration"]
    assert ["Slope", number(summary["calibration"]["slope"]["value"], 3)] in calibration
    assert temperature[-1][2] == number(summary["temperature"]["before"]["log_loss"], 3)
    spent = dict(found["What was spent"][0][1:])
    assert spent["Fits trained"] == number(summary["spent"]["fits_trained"])
    assert spent["Trials failed"] == "1"


def test_reasons_of_undefined_values_are_told(run):
    text = text_of(*run)
    assert f"no case of {OLD[0]}" in text
    assert "probabilities of 24 of 24 cases are not numbers" in text
    assert "no decision: predictions of this outer fold are not numbers" in text
    for caveat in run[1]["caveats"]:
        assert f"- {escape(caveat)}" in text


def test_the_checklists_are_in_it_whole(run):
    found = sections(text_of(*run))
    for name in ("CLAIM 2024", "TRIPOD+AI"):
        (table,) = found[name]
        items = [item for item in checklist(*run) if item.guideline == name]
        assert [row[:4] for row in table[1:]] == [
            [item.number, item.section, item.asked, item.state] for item in items
        ]
        assert [row[4:] for row in table[1:]] == [
            [one_line(item.answer), one_line(item.missing)] for item in items
        ]


def test_it_can_be_made_again_byte_by_byte(run):
    evidence, summary = run
    assert text_of(evidence, summary) == text_of(evidence, summary)
    config = sections(text_of(evidence, summary))["Reproducibility"][-1]
    assert ["search.space.learning_rate", "log(0.001, 0.1)"] in config


def test_before_the_first_test(tmp_path):
    evidence, summary = told(build(tmp_path / "run", FakeRun(tested=(), classes=OLD, cases=60, settings=FEW)))
    text = text_of(evidence, summary)
    assert NOTHING in text
    assert escape(summary["sentence"]) in text
    assert "Main results" not in text
    assert set(sections(text)) >= {"What was spent", "CLAIM 2024", "TRIPOD+AI", "Reproducibility"}


def test_the_flat_protocol_leads_with_its_estimate(tmp_path):
    fake = FakeRun(tested=(), classes=OLD, cases=120, settings=FEW)
    evidence, summary = told(flat(build(tmp_path / "run", fake), failed=1))
    text = text_of(evidence, summary)
    found = sections(text)
    metric = summary["metrics"]["balanced_accuracy"]
    assert found["Main results"][0][0][1:3] == ["Estimate", "Mean, optimistic"]
    assert found["Main results"][0][1][1:3] == [number(metric["estimate"], 3), number(metric["mean"], 3)]
    assert "Decisions" not in found
    results, _ = text.split("## Checklists")
    assert results.count("not corrected for its selection") == 4
