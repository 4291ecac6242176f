"""The report of a run: numbers, figures and one page, all rebuilt from records."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nachos_jax.records.store import RunDirectory, dump
from nachos_jax.report.appendix import result_tables
from nachos_jax.report.appendix.latex import tables as latex_tables
from nachos_jax.report.appendix.markdown import appendix
from nachos_jax.report.checklists.checklist import Item, checklist
from nachos_jax.report.figures import drawing, of_search, outside, rows
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.numbers import importance
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.lessons import lessons
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.numbers.units import by_unit
from nachos_jax.report.page import figure_files, page_tables
from nachos_jax.report.page.gallery import read as read_gallery
from nachos_jax.report.page.shared import Aside, at_once, shared
from nachos_jax.report.reading import evidence as records
from nachos_jax.report.reading import searches
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words import tables, templating
from nachos_jax.report.words.format import data_rows, made_rows
from nachos_jax.report.words.leading import leading

FOLDER = "report"
FIGURES = (
    *("folds", "subgroups", "trials", "training_loss", "learning", "parallel", "importance", "agreement"),
    *("ranks", "best_so_far", "spent", "pareto", "external"),
)
"""Names of the figures that a page of any task can hold."""


def write(workdir: str | os.PathLike, pictures: Callable[[], object] = lambda: None) -> Path:
    """Writes summary.json, predictions.csv, trials.csv and the folder report/ into a run directory.

    The folder holds the page (index.html), an appendix (report.md), every figure (figures/NAME.svg) with its
    numbers (figures/NAME.csv) and LaTeX tables (tables/NAME.tex). The bytes depend on the records and the
    gallery of errors alone. A run that has tested no outer fold yet gets a page that says so.

    Args:
        workdir: the run directory of a `nachos evaluate`, finished or not.
        pictures: waits for the gallery of errors, when it is being made meanwhile.

    Returns:
        The path of the page.

    Raises:
        UsageError: the directory holds no run, or one of its records is damaged.
    """
    directory = RunDirectory(workdir)
    return of(directory, records.read(directory), pictures)


def of(
    directory: RunDirectory, evidence: Evidence, pictures: Callable[[], object], aside: Aside = at_once
) -> Path:
    """Likewise, of records that have been read; some of the work is begun by `aside`."""
    learnt = aside(lambda: lessons(searches.of(evidence)))
    estimates = Estimates(evidence)
    summary = summarise(evidence, estimates)
    directory.write_text("summary.json", dump(summary).decode())
    directory.write_table("predictions.csv", *tables.predictions(evidence))
    if (found := by_unit(evidence)) is not None:
        directory.write_table("unit_predictions.csv", *tables.predictions(found.evidence))
    directory.write_table("trials.csv", *tables.trials(evidence))
    if "columns" in summary:
        directory.write_table("column_drops.csv", *tables.column_drops(summary))
    if evidence.external is not None:
        directory.write_table("external_predictions.csv", *tables.external_predictions(evidence))
    if "external" in summary:
        directory.write_table("external_shift.csv", *tables.external_shift(summary))
    figures = draw(evidence, estimates, summary, learnt(), aside)
    figure_files.write(directory.path / FOLDER / "figures", figures)
    for name, text in latex_tables(summary, evidence.section).items():
        directory.write_text(f"{FOLDER}/tables/{name}.tex", text)
    items = checklist(evidence, summary)
    directory.write_text(f"{FOLDER}/report.md", appendix(evidence, summary, items))
    pictures()
    gallery = read_gallery(directory, evidence)
    page = render(evidence, summary, figures, items, gallery, learnt())
    return directory.write_text(f"{FOLDER}/index.html", page)


def prepare(task: str) -> None:
    """Makes ready what the first page of a process, on a run of this task, waits for."""
    drawing.prepare()
    importance.prepare()
    templating.prepare(task)


def draw(
    evidence: Evidence,
    estimates: Estimates,
    summary: Mapping[str, Any],
    learnt: Mapping[str, Any],
    aside: Aside = at_once,
) -> list[Figure]:
    """All figures that the records have something to draw for."""
    one_by_one = [
        *evidence.section.drawings(evidence, estimates, summary),
        functools.partial(outside.drawn, evidence, summary),
    ]
    calls = [
        functools.partial(of_search.drawn, evidence, summary, learnt),
        *(functools.partial(_alone, draw) for draw in one_by_one),
        functools.partial(rows.drawn, evidence, summary),
    ]
    return [figure for found in shared(calls, aside) for figure in found if figure is not None]


def _alone(drawing: Callable[[], Figure | None]) -> list[Figure | None]:
    return [drawing()]


def render(
    evidence: Evidence,
    summary: Mapping[str, Any],
    figures: Sequence[Figure],
    items: Sequence[Item],
    gallery: Mapping[str, Any] | None,
    learnt: Mapping[str, Any],
) -> str:
    """The page as HTML text: self-contained, no script, no network."""
    from markupsafe import Markup

    section = evidence.section
    parts = section.parts(summary)
    names = (*FIGURES, *section.figures)
    template = templating.environment(html=True).get_template("page.html.j2")
    return template.render(
        summary=summary,
        protocol=evidence.protocol,
        kinds=evidence.kinds,
        headline=leading(summary)["metrics"][summary["headline"]],
        by_case=summary["metrics"][summary["headline"]],
        folds=result_tables.folds(summary),
        units=result_tables.by_unit(summary),
        of_unit=section.of_unit(evidence),
        columns=result_tables.columns(summary),
        choices=page_tables.choices(evidence, summary),
        fronts=page_tables.fronts(evidence),
        learnt=page_tables.learnt(evidence, learnt),
        # Every text in the figures has been escaped where it was drawn.
        figures=dict.fromkeys(names) | {figure.name: Markup(figure.svg) for figure in figures},
        gallery=gallery,
        checklist=items,
        data=data_rows(summary, section),
        made=made_rows(evidence),
        words=section.words,
        template=parts.template,
        on_subgroups=parts.on_subgroups,
        **parts.context,
    )
