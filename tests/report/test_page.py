"""The page: deterministic, self-contained, well-formed, and true to the summary."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import nullcontext
from html.parser import HTMLParser
from typing import Any

import pytest
from jinja2 import Environment

from nachos_jax.records.store import dump
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.page import page
from nachos_jax.report.reading.evidence import read
from nachos_jax.report.words import templating
from tests import painting
from tests.report.checklist_runs import flat
from tests.report.conftest import FakeRun, build
from tests.tiers import mostly_thorough

FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"
VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "single_class_fold": {"single_class_fold": 2, "metric": "auc", "waived": True},
    "repeats": {"repeats": 3, "absent_in_fold": 1, "sites": 0},
    "partial": {"tested": (0, 3), "diverged_refit": 3},
    "empty": {"tested": ()},
    "loss": {"metric": "log_loss", "trials": 1},
    "many_folds": {"folds": 11, "trials": 2},
    "all_failed": {"tested": (0,), "trials": 1, "failed": ((0, 0),)},
    "flat": {"tested": ()},
}
FEW = ("whole", "empty", "flat")
"""Variants that every test sees; the others differ in what tests of its numbers and words look at."""
VOID = {"meta", "link"}


class Checker(HTMLParser):
    """Collects tags, ids and texts; fails on a tag that is closed in the wrong place."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def parsed(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    return checker


def painted(name):
    """Pictures are painted with the compiler as users have it; in `make test` test_figures looks at some."""
    return nullcontext() if FULLY else painting.unpainted()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Runs whose reports are written, by the names of `VARIANTS`; nothing in them may be changed."""
    known = {}

    def find(name):
        if name not in known:
            made = build(tmp_path_factory.mktemp("run") / "run", FakeRun(**VARIANTS[name]))
            known[name] = flat(made, failed=1) if name == "flat" else made
            with painted(name):
                page.write(made.path)
        return known[name]

    return find


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.thorough] * (name not in FEW)) for name in VARIANTS]
)
def directory(request, written):
    return written(request.param)


@pytest.fixture
def whole(written):
    return written("whole")


def html_of(directory):
    return (directory.path / "report/index.html").read_text(encoding="utf-8")


def files_of(directory):
    """All that a report writes, by name; tables of cases come from records alone."""
    paths = [path for path in directory.rglob("*") if path.is_file() and "records" not in path.parts]
    kept = [path for path in paths if path.name not in ("folds.csv", "subgroups.csv")]
    return {str(path.relative_to(directory)): path.read_bytes() for path in kept}


def test_all_that_a_page_needs_is_made_ready_before(whole, tmp_path, monkeypatch, figures_unpainted):
    def refuse(*_, **__):
        raise AssertionError("a template is compiled that was not made ready")

    run = shutil.copytree(whole.path, tmp_path / "two")
    templating.environment.cache_clear()
    page.prepare("classification")
    monkeypatch.setattr(Environment, "compile", refuse)
    page.write(run)


@pytest.mark.thorough
def test_pictures_that_are_being_made_are_waited_for(whole, tmp_path, monkeypatch, figures_unpainted):
    run, calls = shutil.copytree(whole.path, tmp_path / "two"), []
    monkeypatch.setattr(page, "read_gallery", lambda *_: calls.append("read"))
    page.write(run, lambda: calls.append("waited"))
    assert calls == ["waited", "read"]


@mostly_thorough("name", ["whole", "flat"], kept=("flat",))
def test_rendering_again_in_another_place_gives_the_same_bytes(written, name, tmp_path):
    run = shutil.copytree(written(name).path, tmp_path / "two")
    first = files_of(run)
    assert len(first) > 4
    for path in first:
        (run / path).unlink()
    with painted(name):
        assert page.write(run) == run / "report" / "index.html"
    assert files_of(run) == first


def test_numbers_are_the_same_when_made_again(directory):
    assert (directory.path / "summary.json").read_bytes() == dump(summarise(read(directory)))


def test_html_is_well_formed_and_loads_nothing(directory):
    html = html_of(directory)
    tags = parsed(html).tags
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html), "figures refer to their own parts only"
    assert not {"script", "iframe", "object"} & {tag for tag, _ in tags}
    assert all(attrs["src"].startswith("data:image/png") for tag, attrs in tags if tag == "img")
    links = [attrs["href"] for tag, attrs in tags if tag in ("a", "link")]
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for link in links:
        if link.startswith("#"):
            assert link[1:] in ids
        elif not link.startswith("data:"):
            assert (directory.path / "report" / link).exists(), link


def test_headings_are_in_order_and_the_sentence_comes_first(directory):
    html = html_of(directory)
    summary = json.loads((directory.path / "summary.json").read_text(encoding="utf-8"))
    levels = [int(tag[1]) for tag, _ in parsed(html).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    text = " ".join(" ".join(parsed(html).texts).split())
    assert summary["sentence"] in text
    assert text.index(summary["sentence"]) < text.index("What was spent")
    for caveat in summary["caveats"]:
        assert caveat in text


def test_no_number_is_shown_as_nan_or_none(directory):
    shown = " ".join(parsed(html_of(directory)).texts)
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", shown)


def test_partial_runs_say_so_everywhere_it_matters(written):
    html = html_of(written("partial"))
    for part in ("title", "header", "section"):
        assert any(
            "2 of 5 outer folds" in found for found in re.findall(rf"<{part}.*?</{part}>", html, re.DOTALL)
        )


def test_names_of_users_are_escaped(make_run, figures_unpainted):
    html = page.write(make_run(classes=("<b>bold</b>", 'a"b', "c&d")).path).read_text(encoding="utf-8")
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold" in html
    parsed(html)


def test_the_confusion_matrix_shows_counts_and_row_percentages(whole):
    html = html_of(whole)
    summary = json.loads((whole.path / "summary.json").read_text(encoding="utf-8"))
    shown = re.findall(r'<td class="count[^>]*>([\d,]+) <small>(\d+)', html)
    expected = [
        (f"{n:,}", f"{n / sum(row):.0%}".rstrip("%")) for row in summary["confusion"]["counts"] for n in row
    ]
    assert shown == expected


def test_the_flat_protocol_shows_one_choice_and_no_columns_of_outer_folds(make_run, figures_unpainted):
    run = flat(make_run(tested=()), trials=4)
    html = page.write(run.path).read_text(encoding="utf-8")
    chosen = re.findall(r'<section aria-labelledby="chosen">.*?</section>', html, re.DOTALL)[0]
    row = re.findall(r"<code>learning_rate</code>.*?</tr>", chosen, re.DOTALL)[0]
    outcome = run.outcome(None)
    assert outcome is not None
    assert re.findall(r"<td>([^<]*)</td>", row) == [
        f"{outcome.trials[outcome.selected].hparams['learning_rate']:g}"
    ]
    assert "Agree" not in chosen
    assert "All trials of all studies" in chosen
    table = re.findall(r'aria-label="Metrics of the outer folds">.*?</thead>', html, re.DOTALL)[0]
    assert "Outer fold" not in table
    assert "Epochs" not in table


def test_agreement_counts_active_choices_only(whole):
    html = html_of(whole)
    chosen = [whole.outcome(f).trials[whole.outcome(f).selected].hparams for f in range(5)]
    widths = [hparams["cnn.width"] for hparams in chosen]
    most = max(widths.count(width) for width in widths)
    row = re.findall(r"<code>cnn\.width</code>.*?</tr>", html, re.DOTALL)[0]
    assert row.count('class="agrees"') == (most if most > 1 else 0)
    assert (f"{most} of 5" in row) == (most > 1)


@pytest.mark.thorough
def test_what_the_search_teaches_is_told_and_a_grid_has_its_analysis(make_run, whole, figures_unpainted):
    free, grid = html_of(whole), page.write(make_run(grid=True).path).read_text(encoding="utf-8")
    for html in (free, grid):
        learnt = re.findall(r'<section aria-labelledby="learnt">.*?</section>', html, re.DOTALL)[0]
        assert "5 studies with 20 trials." in learnt
        assert "Kendall&#39;s tau between the ranking" in learnt
        assert "so far against epochs spent" in learnt
        assert learnt.count("<svg") == 2
    assert ("Partial eta squared" in free, "random forest" in free) == (False, True)
    rows = re.findall(r"<tr><th scope=\"row\"><code>(.*?)</code></th><td>[\d.,]+</td><td>1, 13</td>", grid)
    assert rows == ["cnn.width", "learning_rate"]
    assert "Analysis of variance of 20 scored trials (full grid) in blocks, which are studies" in grid
