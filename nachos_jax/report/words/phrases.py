"""Pieces of sentences: numbers with nouns, lists, values with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nachos_jax.report.words.format import DECIMALS, decimals, in_sentence, number, places

if TYPE_CHECKING:
    from nachos_jax.report.reading.evidence import Evidence


ESTIMATOR = "estimator"
"""What `sections.section.Words.otherwise` calls models that are no networks."""
POOLED = {
    "mean": "each by the mean of its cases' predictions",
    "max": "each by the largest of its cases' predictions",
    "learned": "each by a power mean of its cases' predictions, its power chosen on the inner folds",
}
"""How the predictions of a unit became one, by config.report.pool."""


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


def level(interval: Mapping[str, Any]) -> str:
    """The level of an interval, like "95 %"."""
    return f"{100 * interval['level']:.4g} %"


def span(interval: Mapping[str, Any] | None, digits: int = DECIMALS) -> str:
    """The ends of an interval, or a dash."""
    if interval is None or interval["low"] is None:
        return number(None)
    return f"{number(interval['low'], digits)} to {number(interval['high'], digits)}"


def units(interval: Mapping[str, Any]) -> str:
    """What an interval counts as independent, and how many."""
    return counted(interval["count"], interval["unit"][:-1])


def intervals(metric: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All intervals of a metric: of its mean, and where folds are sites that of a further site."""
    return [*metric["intervals"], *filter(None, [metric["further_site"]])]


def over_subjects(metric: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The interval over subjects to show beside the one over folds: percentiles of the bootstrap."""
    found = [row for row in metric["intervals"] if row["method"] == "percentile" and row["low"] is not None]
    return found[0] if found else None


def quoted(
    label: str,
    value: float | None,
    interval: Mapping[str, Any] | None,
    note: str = "",
    digits: int = DECIMALS,
) -> str:
    """A value with its interval, or the reasons why one of them is missing."""
    if value is None:
        return f"{label} undefined ({note or (interval or {}).get('note') or 'not computed'})"
    if interval is None:
        told = "no interval"
    elif interval["low"] is None:
        told = f"no interval: {interval['note']}"
    else:
        told = f"{level(interval)} interval {span(interval, digits)}, {interval['label']}, {units(interval)}"
        told += f"; {interval['note']}" if interval["note"] else ""
    return f"{label} {number(value, digits)} ({told})"


def metric_quoted(metric: Mapping[str, Any]) -> str:
    """The number of a metric to quote (a mean over outer folds, or what is corrected), with its interval."""
    first = metric["intervals"][0] if metric["intervals"] else None
    reasons = [value["note"] for value in metric["folds"].values() if value["value"] is None]
    note = (first or {}).get("note") or (reasons[0] if reasons else "nothing is tested")
    if metric["estimate"] is None and reasons and len(reasons) == len(metric["folds"]):
        note = reasons[0]
    return quoted(metric["label"], metric["estimate"], first, note, decimals(metric))


def score_decimals(evidence: Evidence, best: Mapping[str, Any]) -> int:
    """With how many decimals the scores of trials are shown: as many as the best one needs, in a unit."""
    last = best["mean"]["best"][-1:]
    return places(*last) if last and evidence.metrics.METRICS[evidence.headline].in_unit else DECIMALS


def score_label(evidence: Evidence) -> str:
    """What the inner folds scored trials by; losses are turned round so that higher is better."""
    metric = evidence.metrics.METRICS[evidence.headline]
    folds = "folds" if evidence.flat else "inner folds"
    return f"{'' if metric.higher_is_better else 'minus '}{mean_of(metric.title)} of the {folds}"


def mean_of(label: str) -> str:
    """The mean of a metric over folds, inside a sentence: of a mean it is called by that name alone."""
    label = in_sentence(label)
    return label if label.startswith("mean ") else f"mean {label}"
