"""Facts of the checklists that depend on the task: its section answers them."""

from __future__ import annotations

from nachos_jax.report.checklists.item import Fact, Report, Source

NOT_TOLD = Fact("", "what this task says of it, which the report does not know")


def of(name: str) -> Source:
    """The fact of a name in `Section.facts`."""

    def fact(report: Report) -> Fact:
        found = report.evidence.section.facts.get(name, NOT_TOLD)
        return found if isinstance(found, Fact) else found(report)

    return fact
