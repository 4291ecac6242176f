"""The filled checklists of a run: what CLAIM 2024 and TRIPOD+AI ask for, as far as its records answer.

A fact is told only where a record holds it; the rest is left to the authors, with what they must add.
Items are named by number and paraphrased: the guidelines themselves say what each demands in full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from nachos_jax.report.checklists.guidelines import TABLES, questions
from nachos_jax.report.checklists.item import Item, Report, State
from nachos_jax.report.reading.evidence import Evidence

GUIDELINES = tuple(TABLES)
STATES: tuple[State, ...] = get_args(State)


def checklist(evidence: Evidence, summary: Mapping[str, Any]) -> list[Item]:
    """All items of both guidelines, in their order.

    Args:
        evidence: the records.
        summary: what `summary.summarise` makes of them.
    """
    report = Report(evidence, summary)
    return [
        question.answered(guideline, report) for guideline in GUIDELINES for question in questions(guideline)
    ]


def tally(items: Iterable[Item]) -> dict[str, dict[str, int]]:
    """Number of items by guideline and state, all states in the same order."""
    found = Counter((item.guideline, item.state) for item in items)
    return {name: {state: found[name, state] for state in STATES} for name in GUIDELINES}
