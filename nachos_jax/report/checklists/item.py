"""One item of a reporting guideline, and how its answer is put together from facts of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nachos_jax.report.reading.evidence import Evidence

State = Literal["known", "partly", "authors", "does not apply"]


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


@dataclass(frozen=True)
class Report:
    """What facts are taken from.

    Attributes:
        evidence: the records of a run.
        summary: what `summary.summarise` makes of them.
    """

    evidence: Evidence
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Fact:
    """What the records say about one thing.

    Attributes:
        text: whole sentences; "" when the records say nothing.
        missing: what is needed besides.
        applies: False when the text says why the question does not arise in this run.
    """

    text: str
    missing: str = ""
    applies: bool = True


Source = Callable[[Report], Fact]
"""Says what a run knows of one thing."""


@dataclass(frozen=True)
class Question:
    """One row of a guideline before it is answered.

    Attributes:
        number: as in `Item`.
        section: as in `Item`.
        asked: as in `Item`.
        sources: what the answer is made of, in this order; a Fact is the same for all runs.
        missing: what no run can know; {each} and {kinds} stand for words of the task.
    """

    number: str
    section: str
    asked: str
    sources: tuple[Source | Fact, ...] = ()
    missing: str = ""

    def answered(self, guideline: str, report: Report) -> Item:
        """The item of this run."""
        words = report.evidence.section.words
        facts = [source if isinstance(source, Fact) else source(report) for source in self.sources]
        answer = " ".join(fact.text for fact in facts if fact.text)
        always = self.missing.format(each=words.each, kinds=words.kinds)
        missing = "; ".join(dict.fromkeys(filter(None, (*(fact.missing for fact in facts), always))))
        if facts and not any(fact.applies for fact in facts) and not missing:
            state: State = "does not apply"
        elif not answer:
            state = "authors"
        else:
            state = "partly" if missing else "known"
        return Item(guideline, self.number, self.section, self.asked, answer, state, missing)
