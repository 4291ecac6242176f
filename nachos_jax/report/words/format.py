"""Numbers and tables as the page shows them."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nachos_jax.report.reading.evidence import Evidence

if TYPE_CHECKING:
    from nachos_jax.report.sections.section import Section

HEADERS = (
    "the headers of all cases made this plan, those of test folds among them; no pixel, mask or fold did, so "
    "that all studies have one trial 0"
)
"""What must be said beside a plan of trial 0."""
MISSING = "\N{EN DASH}"
DECIMALS = 3
"""Of a score that has no unit."""
FINER = 3
"""Decimals at most that a standard error adds to the three significant digits of its value."""


def number(value: Any, digits: int | None = None) -> str:
    """A value for people: scores with `digits` decimals, hyperparameters with three significant digits.

    With fewer than 0 decimals it is rounded to tens, hundreds or thousands; beyond that, and with more than 6
    decimals, it is written with a power of ten.
    """
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        text = f"{value:.3g}" if digits is None else _fixed(value, digits)
        return text.replace("-", "\N{MINUS SIGN}")
    return str(value)


def _fixed(value: float, digits: int) -> str:
    if 0 <= digits <= 6 or not math.isfinite(value):
        return f"{value:.{max(0, digits)}f}"
    rounded = round(value, digits)
    if -3 <= digits < 0:
        return f"{rounded:.0f}"
    if not rounded:
        return "0"
    return shorter(f"{rounded:.{max(0, digits + math.floor(math.log10(abs(rounded))))}e}")


def shorter(text: str) -> str:
    """A number with its power of ten in as few signs as it takes: 1e-5 for 1e-05."""
    return re.sub(r"e([+-])0*", lambda found: f"e{found[1].strip('+')}", text)


def places(value: float | None, se: float | None = None) -> int:
    """Decimals with which a value has three significant digits at least, and its standard error has two.

    So the same digits are shown whatever the unit. Fewer than 0 round to tens, hundreds and so on. `DECIMALS`
    where neither is known or both are 0.
    """
    if not value:
        return DECIMALS if not se else 2 - _power(se)
    own = 3 - _power(value)
    return own if not se else max(own, min(2 - _power(se), own + FINER))


def finer(values: Iterable[float | None]) -> int:
    """The usual decimals, or more if the largest value would have less than three significant digits."""
    return max(DECIMALS, places(max((abs(value) for value in values if value is not None), default=None)))


def _power(value: float) -> int:
    return math.ceil(math.log10(abs(value)))


def decimals(metric: Mapping[str, Any] | None) -> int:
    """With how many decimals values of a metric of summary.json are shown."""
    return (metric or {}).get("decimals", DECIMALS)


def in_sentence(label: str) -> str:
    """A metric's label inside a sentence; names of people and abbreviations keep their capitals."""
    first = label.split()[0]
    kept = first.isupper() or first in ("Matthews", "Brier", "Pearson")
    return label if kept else label[0].lower() + label[1:]


def percent(value: float | None) -> str:
    """A share as whole percent, which says 100 of the whole alone."""
    if value is None:
        return MISSING
    text = f"{value:.0%}" if value >= 1 or value < 0.995 else "over 99%"
    return text.replace("%", "\N{NO-BREAK SPACE}%")


def duration(seconds: float) -> str:
    """Seconds as the two largest units that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    minutes, hours = whole // 60, whole // 3600
    return f"{minutes} min {whole % 60} s" if hours == 0 else f"{hours:,} h {minutes % 60} min"


def p_value(value: float | None) -> str:
    """A p-value with three decimals."""
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns also line up in a terminal."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def data_rows(summary: Mapping[str, Any], section: Section) -> list[tuple[str, str]]:
    """What the run was done on, as name and text."""
    data, progress = summary["data"], summary["progress"]
    subjects = "one a case, stated by the user" if data["subjects_waived"] else number(data["subjects"])
    folds = f"{progress['folds_a_repeat']}, {progress['scheme']}"
    if progress["repeats"] > 1:
        folds += f", {progress['repeats']} repeats"
    rows = [
        ("Cases", number(data["cases"])),
        ("Subjects", subjects),
        ("Sites", number(data["sites"]) if data["sites"] else "not known"),
        *section.data_rows(summary),
        ("Folds", folds),
        ("Case table with folds", data["hash"]),
    ]
    return [row for row in rows if row[1]]


def made_rows(evidence: Evidence) -> dict[str, list[tuple[str, str]]]:
    """How the run was made: command, versions, and every value of the config that says something."""
    run = evidence.run
    rules = sorted({outcome.rule for outcome in evidence.outcomes.values()})
    how = [
        ("Command", _command(run.get("command", ""))),
        ("Selection metric", evidence.headline),
        ("Selection rule", ", ".join(rules)),
        ("Trial 0", "; ".join((*planned, HEADERS) if (planned := run.get("planned", ())) else ())),
        ("Seed", str(run["config"].get("seed", ""))),
        (
            "Records",
            "" if evidence.sealed else "begun by an older version, without digests: changes go unnoticed",
        ),
    ]
    return {
        "how": [row for row in how if row[1]],
        "versions": [(name, ", then ".join(found)) for name, found in sorted(evidence.versions.items())],
        "config": [row for row in _flat(run["config"]) if row[1] not in ("", "()")],
    }


def _command(command: Any) -> str:
    return shlex.join(map(str, command)) if isinstance(command, (list, tuple)) else str(command)


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key in sorted(config):
        value = config[key]
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            rows.append((prefix + key, ", ".join(map(str, value))))
        else:
            rows.append((prefix + key, str(value)))
    return rows
