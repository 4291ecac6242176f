"""The items of CLAIM 2024 and TRIPOD+AI in our words, each with the facts that answer it: rows of tables.

Sources: Tejani et al. (2024), Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update,
Radiology: Artificial Intelligence 6(4), 44 items; Collins et al. (2024), TRIPOD+AI statement, BMJ
385:e078378, 27 items with their parts, for development and for evaluation alike. Numbers and order are those
of the guidelines.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path

from nachos_jax.report.checklists import data, model, results, task
from nachos_jax.report.checklists.item import Fact, Question, Source

TABLES = {"CLAIM 2024": "claim_2024.csv", "TRIPOD+AI": "tripod_ai.csv"}
"""Files by guideline, a row an item: facts are names like "data.counts", with blanks between them."""
_ROOMS = {"data": data, "model": model, "results": results}


@functools.cache
def questions(guideline: str) -> tuple[Question, ...]:
    """The items of a guideline, in its order.

    Args:
        guideline: key of `TABLES`.
    """
    path = Path(__file__).parent / TABLES[guideline]
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Question(
                row["number"],
                row["section"],
                row["asked"],
                tuple(_source(name) for name in row["facts"].split()),
                row["missing"],
            )
            for row in csv.DictReader(file)
        )


def _source(name: str) -> Source | Fact:
    """The fact of a name: one of every task, or "task.x", which the section of the task answers."""
    room, _, fact = name.partition(".")
    return task.of(fact) if room == "task" else getattr(_ROOMS[room], fact)
