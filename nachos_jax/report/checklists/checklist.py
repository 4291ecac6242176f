"""The filled checklists of a run: what CLAIM 2024 and TRIPOD+AI ask for, as far as its records answer.

A fact is told only where a record holds it; the rest is left to the authors, with what they must add.
Items are named by number and paraphrased: the guidelines themselves say what each demands in full. Sources:
Tejani et al. (2024), Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update,
Radiology: Artificial Intelligence 6(4), 44 items; Collins et al. (2024), TRIPOD+AI statement, BMJ
385:e078378, 27 items with their parts, for development and for evaluation alike.
"""

from __future__ import annotations

import csv
import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from nachos_jax.report.checklists.facts import Facts
from nachos_jax.report.reading.evidence import Evidence

TABLES = {"CLAIM 2024": "claim_2024.csv", "TRIPOD+AI": "tripod_ai.csv"}
"""Files by guideline, a row an item: facts are names like "data.counts", with blanks between them."""
GUIDELINES = tuple(TABLES)
State = Literal["known", "partly", "authors", "does not apply"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Item:
    """One item of a guideline, filled as far as the records go.

    Attributes:
        guideline: "CLAIM 2024" or "TRIPOD+AI".
        number: the item's number in the guideline, e.g. "20" or "12c".
        section: the guideline's section that it stands in.
        asked: what it asks for, in our words.
        answer: what the records say; "" when they say nothing.
        state: "known" when the run answers it, "partly", "authors" when only the authors can, or "does not
            apply" to this run.
        missing: what the authors must add; "" when nothing.
    """

    guideline: str
    number: str
    section: str
    asked: str
    answer: str
    state: State
    missing: str


def checklist(evidence: Evidence, summary: Mapping[str, Any]) -> list[Item]:
    """All items of both guidelines, in their order."""
    known, words = Facts(evidence, summary), evidence.section.words
    return [
        _answered(name, row, known, row["missing"].format(each=words.each, kinds=words.kinds))
        for name in GUIDELINES
        for row in _rows(name)
    ]


def tally(items: Iterable[Item]) -> dict[str, dict[str, int]]:
    """Number of items by guideline and state, all states in the same order."""
    found = Counter((item.guideline, item.state) for item in items)
    return {name: {state: found[name, state] for state in STATES} for name in GUIDELINES}


@functools.cache
def _rows(guideline: str) -> list[dict[str, str]]:
    with (Path(__file__).parent / TABLES[guideline]).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _answered(guideline: str, row: Mapping[str, str], known: Facts, always: str) -> Item:
    facts = [known.of(name) for name in row["facts"].split()]
    answer = " ".join(fact.text for fact in facts if fact.text)
    missing = "; ".join(dict.fromkeys(filter(None, (*(m for fact in facts for m in fact.missing), always))))
    if facts and not any(fact.applies for fact in facts) and not missing:
        state: State = "does not apply"
    elif not answer:
        state = "authors"
    else:
        state = "partly" if missing else "known"
    return Item(guideline, row["number"], row["section"], row["asked"], answer, state, missing)
