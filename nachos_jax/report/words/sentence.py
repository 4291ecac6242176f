"""The estimate in words: the numbers that `sentence.j2` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nachos_jax.report.reading import protocols
from nachos_jax.report.words.leading import leading
from nachos_jax.report.words.phrases import POOLED
from nachos_jax.report.words.templating import paragraphs, said

if TYPE_CHECKING:
    from nachos_jax.report.sections.section import Section

TEMPLATE = "words/sentence.j2"
SE_LABEL = "SE over folds (NACHOS), descriptive: folds share training cases, so it is too small"


def estimate(summary: Mapping[str, Any], section: Section) -> str:
    """The headline metric, its unit and count, the data, what it estimates; `summary` has no words yet."""
    unit = section.unit(summary["headline"], summary["data"]["classes"])
    extent = section.extent(summary)
    share = _share(summary) if summary["training_share"] else ""
    protocol = protocols.of(summary["protocol"])
    context = {
        "summary": leading(summary),
        "by_case": summary["metrics"][summary["headline"]],
        "protocol": protocol,
        "unit": unit,
        "extent": extent,
        "share": share,
        "pooled_by": POOLED[summary["units"]["pool"]] if summary["units"] else "",
    }
    found = said(TEMPLATE, "estimate", **context)
    tested = summary.get("external", {}).get("tested_by")
    return f"{found} {said(TEMPLATE, 'external', **{**context, 'summary': summary})}" if tested else found


def caveats(summary: Mapping[str, Any], section: Section, warnings: Iterable[str]) -> list[str]:
    """What the reader must know besides the sentence, most important first, then the run's own warnings."""
    led = leading(summary)
    undefined, qualified = _noted(led)
    constants = section.words.constant
    found = paragraphs(
        TEMPLATE,
        "caveats",
        summary=led,
        protocol=protocols.of(summary["protocol"]),
        constant=constants.get(summary["headline"], constants.get("", "")),
        lost=section.without_numbers(summary),
        undefined=undefined,
        qualified=qualified,
        with_se=any(led["metrics"][name]["se"] is not None for name in summary["shown"]),
        SE_LABEL=SE_LABEL,
    )
    return found + [
        text if text.endswith((".", "!", "?")) else f"{text}." for text in map(str.strip, warnings)
    ]


def _share(summary: Mapping[str, Any]) -> str:
    """The share of the cases that a refit saw: a plain fraction where folds are equal."""
    low, high = summary["training_share"]
    count = summary["progress"]["folds_a_repeat"]
    fraction = (count - 1) / count
    if max(abs(low - fraction), abs(high - fraction)) <= 0.02:
        return f"about {count - 1}/{count}"
    return f"{low:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{low:.0%} to {high:.0%}"


def _noted(summary: Mapping[str, Any]) -> tuple[list[tuple[list[str], list[str], str]], dict[str, list[str]]]:
    """Undefined values of any metric as (labels, folds, reason), and folds by what qualifies the headline."""
    undefined: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    qualified: dict[str, list[str]] = {}
    for name in summary["shown"]:
        metric = summary["metrics"][name]
        reasons: dict[str, list[str]] = {}
        for fold, value in metric["folds"].items():
            if value["value"] is None:
                reasons.setdefault(value["note"], []).append(fold)
            elif value["note"] and name == summary["headline"]:
                qualified.setdefault(value["note"], []).append(fold)
        for note, folds in reasons.items():
            undefined.setdefault((note, tuple(folds)), []).append(metric["label"])
    return [(labels, list(folds), note) for (note, folds), labels in undefined.items()], qualified
