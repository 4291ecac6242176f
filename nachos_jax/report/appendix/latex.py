"""Tables of a run for a paper: LaTeX with booktabs and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nachos_jax.report.appendix.grid import Cell, Grid, one_line
from nachos_jax.report.appendix.result_tables import grids

if TYPE_CHECKING:
    from nachos_jax.report.sections.section import Section

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    # Babel makes it active for some languages.
    '"': r"\symbol{34}",
    # After a double backslash or a rule it would open an optional argument.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    # Old encodings lack it.
    "\N{MINUS SIGN}": "$-$",
}
_LIGATURE = re.compile(r"(?<=([-',]))(?=\1)")
"""Between two signs that fonts would join to another."""


def tables(summary: Mapping[str, Any], section: Section) -> dict[str, str]:
    """All tables that have rows, by name: each a table environment to \\input after \\usepackage{booktabs}.

    Letters beyond ASCII stay UTF-8; a class in a script that the document's font lacks needs a font.
    """
    own = section.tables(summary)
    further = [grid for part in (own.results, own.further) for grids_ in part.values() for grid in grids_]
    return {grid.name: table(grid) for grid in (*grids(summary), *further)}


def escape(text: str) -> str:
    """Any text so that LaTeX prints it as it is, on one line."""
    parted = _LIGATURE.sub("\0", one_line(text))
    return "".join("{}" if sign == "\0" else _SPECIAL.get(sign, sign) for sign in parted)


def table(grid: Grid) -> str:
    """One table environment."""
    columns = "l" * grid.words + "r" * (len(grid.header) - grid.words)
    body = [_row(cells) for cells in grid.rows]
    if grid.totals:
        body += [r"    \midrule", *(_row(cells) for cells in grid.totals)]
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(grid.caption)}}}",
        rf"  \label{{tab:{grid.name.replace('_', '-')}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        _row(tuple(Cell(title) for title in grid.header)),
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        *_notes(grid.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[Cell, ...]) -> str:
    return "    " + " & ".join(map(_cell, cells)) + r" \\"


def _cell(cell: Cell) -> str:
    mark = rf"\textsuperscript{{{cell.mark}}}" if cell.mark else ""
    return escape(cell.text) + mark


def _notes(notes: tuple[str, ...]) -> list[str]:
    if not notes:
        return []
    told = [rf"    \textsuperscript{{{i}}} {escape(note)}.\par" for i, note in enumerate(notes, 1)]
    return [r"  \par\smallskip", r"  \begin{minipage}{\linewidth}\footnotesize", *told, r"  \end{minipage}"]
