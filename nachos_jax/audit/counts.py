"""Who is there: counts by class, subject, site, sex, age and fold; spellings that meet; split subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nachos_jax.audit.finding import FAULT, LEAK, Finding
from nachos_jax.data.inspected import Inspected
from nachos_jax.data.spellings import canonical

MOST = 20
"""Rows of a table; values beyond which a column counts as numbers or as free text."""
PEOPLE = ("sex", "gender", "age")
"""Columns that are counted whatever else there is, by the start of their names."""


@dataclass(frozen=True)
class Table:
    """A table of the page, its cells as text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)


def tables(found: Inspected) -> Iterator[Table]:
    """Cases and subjects by target, site, sex, age and part, each against the targets."""
    table, targets = found.cohort.table, found.cohort.targets
    cases_of = Counter(table.subjects.tolist())
    if found.known:
        spread = Counter(cases_of.values())
        rows = [(f"{size:,}", f"{number:,}") for size, number in sorted(spread.items())[:MOST]]
        yield Table("Cases a subject", ("cases", "subjects"), rows)
    if targets.has.shape[1]:
        names = targets.noun.capitalize()
        yield _against(names, _labels(found), found, by_target=False)
    by_name = {"Site": table.sites, **found.divisions, **_people(found)}
    for name, values in by_name.items():
        if values is not None:
            yield _against(name[0].upper() + name[1:], values.tolist(), found)


def _labels(found: Inspected) -> list[str]:
    return found.cohort.targets.texts()


def _people(found: Inspected) -> dict[str, np.ndarray]:
    """Columns of persons; ages in tens of years."""
    people = {name: values for name, values in found.columns.items() if name.lower().startswith(PEOPLE)}
    return {
        name: np.asarray([_decade(text) for text in values.tolist()]) if "age" in name.lower() else values
        for name, values in people.items()
    }


def _decade(text: str) -> str:
    number = text.removesuffix("Y").lstrip("0") or text[:1]
    try:
        first = int(float(number)) // 10 * 10
    except ValueError:
        return text
    return f"{first} to {first + 9}"


def _against(title: str, values: Sequence[str], found: Inspected, by_target: bool = True) -> Table:
    """Cases, subjects and cases of each class for each value of a column, the commonest first."""
    targets, subjects = found.cohort.targets, found.cohort.table.subjects
    column = np.asarray([value or "not known" for value in values])
    names = targets.names[:8] if by_target and targets.has.shape[1] > 1 else ()
    rows = []
    for value, count in Counter(column.tolist()).most_common(MOST):
        chosen = column == value
        known = [f"{len(set(subjects[chosen])):,}"] if found.known else []
        rows.append(
            [value, f"{count:,}", *known, *(f"{n:,}" for n in targets.has[chosen].sum(0)[: len(names)])]
        )
    more = len(set(column.tolist())) - MOST
    header = (title, "cases", *(["subjects"] if found.known else []), *names)
    notes = (f"{more:,} more values are not shown.",) if more > 0 else ()
    return Table(title, header, rows, notes)


def findings(found: Inspected) -> Iterator[Finding]:
    """Ids and labels in several spellings, subjects on both sides of a split, and doubts of the reader."""
    table = found.cohort.table
    named = (
        {found.cohort.targets.noun: np.asarray(_labels(found))} if found.cohort.targets.has.shape[1] else {}
    )
    named |= {"subject": table.subjects} if found.known else {}
    named |= {} if table.sites is None else {"site": table.sites}
    for what, values in named.items():
        yield from _spelled(what, values)
    if not found.known and not found.waived:
        yield Finding(
            "subjects not known",
            FAULT,
            "The data do not say which cases are of one subject: nobody can tell whether they stay together.",
            "Name the column of subjects in config.data.subject_key; a run is refused without.",
        )
    for told in found.cohort.doubts:
        yield Finding("meant in two ways", FAULT, told, "No run begins until then.")
    for name, parts in found.divisions.items() if found.known else ():
        yield from _crossing(name, parts, table.subjects)


def _spelled(what: str, values: np.ndarray) -> Iterator[Finding]:
    rows: dict[str, dict[str, int]] = {}
    for row, value in enumerate(values.tolist()):
        rows.setdefault(canonical(value), {}).setdefault(value, row)
    meeting = [found for found in rows.values() if len(found) > 1]
    if meeting:
        shown = "; ".join(" = ".join(map(repr, found)) for found in meeting[:5])
        yield Finding(
            f"spellings of {what}",
            LEAK if what == "subject" else FAULT,
            f"{len(meeting):,} {_plural(what, len(meeting))} in more than one spelling: {shown}.",
            "If they are one, set config.data.spellings = 'join', if not, 'apart'; or mend the data.",
            [list(found.values()) for found in meeting],
        )


def _plural(what: str, count: int) -> str:
    return what if count == 1 else f"{what}es" if what.endswith("s") else f"{what}s"


def _crossing(name: str, parts: np.ndarray, subjects: np.ndarray) -> Iterator[Finding]:
    first: dict[str, dict[str, int]] = {}
    for row, (subject, part) in enumerate(zip(subjects.tolist(), parts.tolist(), strict=True)):
        first.setdefault(subject, {}).setdefault(part, row)
    crossing = {subject: found for subject, found in first.items() if len(found) > 1}
    if crossing:
        subject, found = next(iter(crossing.items()))
        yield Finding(
            f"subjects across {name}",
            LEAK,
            f"{len(crossing):,} of {len(first):,} subjects have cases in more than one part of column "
            f"{name!r}, e.g. {subject!r} in {' and '.join(map(repr, found))}.",
            "Whoever trains on one part and tests on the other meets known subjects: use config.folds.scheme "
            "= 'stratified', or mend the column.",
            [list(found.values()) for found in crossing.values()],
        )
