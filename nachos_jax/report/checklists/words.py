"""Pieces of sentences that the facts of the checklists are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import number

MOST_LISTED = 12
"""Outer folds, or groups, that an answer names one by one; a longer list is left to the files."""


def setting(evidence: Evidence, name: str) -> Any:
    """A value of the config by its dotted name; None when the run did not record it."""
    value: Any = evidence.run["config"]
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(items: Iterable[Any]) -> str:
    """Items with commas, the last with "and"; "" for none."""
    texts = [str(item) for item in items]
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1]))) if texts else ""


def between(values: Iterable[float | None], digits: int | None = None) -> str:
    """The smallest and the largest of some numbers, or the only one; "" for none."""
    known = sorted({value for value in values if value is not None})
    if not known:
        return ""
    ends = [number(value, digits) for value in (known[0], known[-1])]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def tested_of(summary: Mapping[str, Any]) -> str:
    """How many of the planned outer folds are tested, and in words which are not."""
    progress = summary["progress"]
    planned, missing = progress["outer_folds_planned"], progress["outer_folds_missing"]
    if not missing:
        return f"All {counted(planned, 'outer fold')} are tested."
    done = f"{progress['outer_folds_tested']} of {counted(planned, 'outer fold')} are tested"
    return f"{done}; not yet: {listed(missing)}." if progress["outer_folds_tested"] else f"{done}."


def ends(interval: Mapping[str, Any]) -> str:
    """An interval that is defined, with level, method, unit and count."""
    span = f"{number(interval['low'], 3)} to {number(interval['high'], 3)}"
    level = f"{100 * interval['level']:.4g} %"
    note = f"; {interval['note']}" if interval["note"] else ""
    units = counted(interval["count"], interval["unit"][:-1])
    return f"{level} interval {span}, {interval['label']}, {units}{note}"


def quoted(label: str, value: float | None, interval: Mapping[str, Any] | None, note: str = "") -> str:
    """A value with its interval, or the reasons why one of them is missing."""
    if value is None:
        return f"{label} undefined ({note or (interval or {}).get('note') or 'not computed'})"
    if interval is None:
        return f"{label} {number(value, 3)} (no interval)"
    if interval["low"] is None:
        return f"{label} {number(value, 3)} (no interval: {interval['note']})"
    return f"{label} {number(value, 3)} ({ends(interval)})"


def metric_quoted(metric: Mapping[str, Any]) -> str:
    """The number of a metric to quote, with its first interval.

    The number is the mean over outer folds, or the corrected estimate of the flat protocol.
    """
    first = metric["intervals"][0] if metric["intervals"] else None
    reasons = [value["note"] for value in metric["folds"].values() if value["value"] is None]
    note = (first or {}).get("note") or (reasons[0] if reasons else "nothing is tested")
    if metric["estimate"] is None and reasons and len(reasons) == len(metric["folds"]):
        note = reasons[0]
    return quoted(metric["label"], metric["estimate"], first, note)
