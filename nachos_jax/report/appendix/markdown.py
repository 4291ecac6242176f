"""A complete appendix of a run in Markdown, with tables as GitHub and Pandoc read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nachos_jax.report.appendix.grid import Cell, Grid, one_line, plain
from nachos_jax.report.appendix.result_tables import (
    by_unit,
    choices,
    columns,
    folds,
    hyperparameters,
    intervals,
    main,
    subgroups,
)
from nachos_jax.report.checklists.checklist import GUIDELINES, Item, tally
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import data_rows, duration, made_rows, number, percent

if TYPE_CHECKING:
    from nachos_jax.report.sections.section import Tables

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "`": "&#96;", "\\": "&#92;"}
_ESCAPED = re.compile(r"([*_\[\]#~$^@]|-(?=-))")
"""Signs that mean something; Pandoc makes a dash of two hyphens, which would spoil a command."""
_OPENING = re.compile(r"^(\d{1,9})([.)])(?=\s|$)|^([-+=])")
_ALIGNED = {"words": ":---", "numbers": "---:"}
NOTHING = "No outer fold is tested yet, so there are no results."


def appendix(evidence: Evidence, summary: Mapping[str, Any], items: Sequence[Item]) -> str:
    """The appendix of a run, finished or not, as text; it depends on the records alone."""
    parts = [
        "# Appendix: how performance was estimated",
        escape(summary["sentence"]),
        *_section("To be read with it", _list(summary["caveats"])),
        *_results(summary, evidence.section.tables(summary)),
        *_section("What was spent", _grid(_spent(summary))),
        *_checklists(items),
        *_reproducibility(evidence, summary),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def escape(text: str) -> str:
    """Any text so that Markdown shows it as it is, on one line, inside tables and out of them."""
    entities = "".join(_ENTITIES.get(sign, sign) for sign in one_line(text))
    # The # of an entity is not one of the text.
    kept = re.split(r"(&(?:amp|lt|gt|#\d+);)", entities)
    escaped = "".join(part if i % 2 else _ESCAPED.sub(r"\\\1", part) for i, part in enumerate(kept))
    return _OPENING.sub(lambda found: _opened(found), escaped)


def _opened(found: re.Match[str]) -> str:
    return f"\\{found[3]}" if found[3] else f"{found[1]}\\{found[2]}"


def _results(summary: Mapping[str, Any], own: Tables) -> list[str]:
    """Sections on what was measured, as far as it was; `own` are the tables of the task."""
    if not summary["progress"]["outer_folds_tested"]:
        return _section("Results", NOTHING)
    groups = [subgroups(summary)] if summary["subgroups"] else []
    led = bool(summary["units"] and summary["units"].get("leads"))
    by_units = list(filter(None, [by_unit(summary)]))
    parts = {
        "Headline, by unit": by_units if led else [],
        "Main results": [main(summary), intervals(summary)],
        "Outer folds": [folds(summary), choices(summary)],
        **own.results,
        "Units": [] if led else by_units,
        "Columns": list(filter(None, [columns(summary)])),
        "Subgroups": groups,
        **own.further,
        "Chosen hyperparameters": hyperparameters(summary),
    }
    return [text for title, tables in parts.items() for text in _section(title, *map(_grid, tables))]


def _spent(summary: Mapping[str, Any]) -> Grid:
    spent, trials = summary["spent"], summary["trials"]
    rows = [
        ("Trials asked for", number(trials["asked"])),
        ("Trials scored", number(trials["scored"])),
        ("Trials failed", number(trials["failed"])),
        ("Trials stopped by the policy", number(trials["stopped"])),
        ("Fits trained", number(spent["fits_trained"])),
        ("Fits that met NaN or infinity", number(spent["fits_diverged"])),
        ("Fits of finished studies and refits", number(spent["fits_of_finished_studies"])),
        ("The same without pair reuse", number(spent["fits_without_pair_reuse"])),
        ("Epochs", number(spent["epochs"])),
        ("Lane occupancy", percent(spent["occupancy"])),
        ("Sessions", number(spent["sessions"])),
        ("Devices", "; ".join(spent["devices"]) or "not recorded"),
        ("Time", duration(spent["seconds"])),
        ("Time for compilation", duration(spent["compile_seconds"])),
        ("Device hours", number(spent["device_hours"])),
    ]
    if spent["money"] is not None:
        rows.append((f"Money ({spent['currency']})", number(spent["money"], 2)))
    if spent["kilowatt_hours"] is not None:
        rows.append(("Energy (kWh)", number(spent["kilowatt_hours"], 2)))
    return Grid(
        "spent", "Counted so far, over all processes of this run.", ("What", "How much"), _pairs(rows)
    )


def _checklists(items: Sequence[Item]) -> list[str]:
    counts = tally(items)
    parts = [
        "## Checklists",
        "Filled from the records. Items are paraphrased; the guidelines say in full what is asked.",
    ]
    for name in GUIDELINES:
        states = ", ".join(f"{state} {count}" for state, count in counts[name].items())
        rows = tuple(
            plain([item.number, item.section, item.asked, item.state, item.answer, item.missing])
            for item in items
            if item.guideline == name
        )
        header = ("Item", "Section", "Asked", "State", "From the records", "The authors must add")
        parts += [
            f"### {escape(name)}",
            _grid(Grid(name, f"Items by state: {states}.", header, rows, words=6)),
        ]
    return parts


def _reproducibility(evidence: Evidence, summary: Mapping[str, Any]) -> list[str]:
    made = made_rows(evidence)
    tables = [
        Grid("data", "The data.", ("What", "Value"), _pairs(data_rows(summary, evidence.section)), words=2),
        Grid("run", "The run.", ("What", "Value"), _pairs(made["how"]), words=2),
        Grid("versions", "Software.", ("Package", "Version"), _pairs(made["versions"]), words=2),
        Grid("config", "The whole configuration.", ("Field", "Value"), _pairs(made["config"]), words=2),
    ]
    return _section("Reproducibility", *(_grid(table) for table in tables if table.rows))


def _pairs(rows: Iterable[tuple[str, str]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(plain(row) for row in rows)


def _section(title: str, *parts: str) -> list[str]:
    """A heading with what stands below it; nothing when nothing does."""
    found = [part for part in parts if part]
    return [f"## {title}", *found] if found else []


def _list(texts: Iterable[str]) -> str:
    return "\n".join(f"- {escape(text)}" for text in texts)


def _grid(grid: Grid) -> str:
    """Caption, table and footnotes."""
    words = len(grid.header) if grid.words >= len(grid.header) else grid.words
    rule = [_ALIGNED["words"]] * words + [_ALIGNED["numbers"]] * (len(grid.header) - words)
    header = _row(plain(grid.header))
    lines = [header, f"| {' | '.join(rule)} |", *map(_row, (*grid.rows, *grid.totals))]
    notes = "\n".join(f"- <sup>{i}</sup> {escape(note)}" for i, note in enumerate(grid.notes, 1))
    return "\n\n".join(filter(None, (escape(grid.caption), "\n".join(lines), notes)))


def _row(cells: tuple[Cell, ...]) -> str:
    return f"| {' | '.join(escape(c.text) + (f'<sup>{c.mark}</sup>' if c.mark else '') for c in cells)} |"
