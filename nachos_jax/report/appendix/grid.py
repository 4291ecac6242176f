"""One table as plain texts, which appendix and LaTeX export lay out in their own way."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nachos_jax.report.reading import protocols
from nachos_jax.report.words.format import DECIMALS, MISSING, number
from nachos_jax.report.words.phrases import level, span, units


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Attributes:
        text: as read by people.
        mark: number of its footnote, counted from 1; 0 for none.
    """

    text: str
    mark: int = 0


@dataclass(frozen=True)
class Grid:
    """One table.

    Attributes:
        name: key for files and labels.
        caption: what it shows, with unit and counts.
        header: titles of the columns.
        rows: rows of cells, as long as the header.
        totals: further rows that summarise.
        notes: footnotes in the order of their marks.
        words: how many columns from the left hold words; the others hold numbers.
    """

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    totals: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()
    words: int = 1


@dataclass
class Notes:
    """Footnotes of one table; equal ones share a mark."""

    found: dict[str, int] = field(default_factory=dict)

    def cell(self, text: str, *notes: str) -> Cell:
        """A cell with its footnote, if any of the notes says something."""
        told = "; ".join(dict.fromkeys(filter(None, notes)))
        return Cell(text, self.found.setdefault(told, len(self.found) + 1) if told else 0)

    def value(self, value: Mapping[str, Any], digits: int = DECIMALS) -> Cell:
        """A number with its note, or a dash with the reason."""
        return self.cell(number(value["value"], digits), value["note"])

    def interval(
        self, interval: Mapping[str, Any] | None, digits: int = DECIMALS, *, method: bool = True
    ) -> Cell:
        """The ends of an interval, its method, unit and count in the note."""
        if interval is None:
            return Cell(MISSING)
        kind = ""
        if method:
            kind = f"{interval['label']}, {level(interval)} interval, {units(interval)}"
        return self.cell(span(interval, digits), kind, interval["note"])

    def told(self) -> tuple[str, ...]:
        """The footnotes in the order of their marks."""
        return tuple(self.found)


def one_line(text: str) -> str:
    """A text with single blanks for all white space, and "?" for signs that nobody can see or print.

    The two joiners that scripts need are kept.
    """
    signs = []
    for sign in text:
        hidden = unicodedata.category(sign) in ("Cc", "Cf", "Cs") and sign not in "\u200c\u200d"
        signs.append("?" if hidden and not sign.isspace() else sign)
    return " ".join("".join(signs).split())


def plain(texts: Iterable[Any]) -> tuple[Cell, ...]:
    """Cells without footnotes."""
    return tuple(Cell(str(text)) for text in texts)


def extent(summary: Mapping[str, Any]) -> str:
    """Unit and counts, as captions say them."""
    data, progress = summary["data"], summary["progress"]
    planned, tested = progress["outer_folds_planned"], progress["outer_folds_tested"]
    number_of = f"{planned}" if tested == planned else f"{tested} of {planned}"
    repeats = (
        f" ({progress['repeats']} repeats of {progress['folds_a_repeat']})" if progress["repeats"] > 1 else ""
    )
    who = "taken as one case a subject" if data["subjects_waived"] else f"of {data['subjects']:,} subjects"
    cases = f"{data['cases']:,} cases"
    if progress["cases_tested"] < data["cases"]:
        cases = f"{progress['cases_tested']:,} tested of {cases}"
    return f"{number_of} outer folds{repeats}, {cases} {who}"


def uncorrected(summary: Mapping[str, Any]) -> str:
    """What must stand by numbers that no correction reaches."""
    return protocols.of(summary["protocol"]).words["uncorrected"]
