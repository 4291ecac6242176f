"""The audit of a data set: everything that is looked at, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from nachos_jax.audit import burnt, confounding, copies, counts, extent, grays, near, values
from nachos_jax.audit.confounding import Shortcut
from nachos_jax.audit.counts import Table
from nachos_jax.audit.extent import Division
from nachos_jax.audit.finding import FAULT, LEAK, NOTE, Finding
from nachos_jax.audit.grays import Looks
from nachos_jax.data.checks import listed
from nachos_jax.data.duplicates import equal_cases
from nachos_jax.data.inspected import Inspected

SHOWN = 1000
"""Groups of cases of a finding that the JSON file lists."""
LEFT_OUT = (
    "Single letters that are burnt into pictures, and text lower than 5 pixels.",
    "Copies that are mirrored or turned, or of which more than an eighth of a side was cut off.",
)


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        found: the data.
        looks: what was looked at of each input.
        findings: leaks first, then faults, then notes.
        tables: counts and intensities.
        shortcuts: how well metadata tell the class.
        left_out: what was not looked at, and why.
    """

    found: Inspected
    looks: Looks
    findings: tuple[Finding, ...]
    tables: tuple[Table, ...]
    shortcuts: tuple[Shortcut, ...]
    left_out: tuple[str, ...]


def audit(
    found: Inspected, folds: Division, further: Iterable[Finding] = (), inside: np.ndarray | None = None
) -> Audit:
    """Looks at a data set.

    Args:
        found: the data, as found.
        folds: those that the config asks for, see `extent.folds`.
        further: findings of a finished run.
        inside: [N] bool, the cases that have to be enough, see `extent.inside`; None for all.
    """
    cohort, looks = found.cohort, grays.look(found.cohort.store, len(found.cohort.table))
    equal = equal_cases(cohort.store, len(cohort.table))
    told = confounding.shortcuts(_with_text(found, looks))
    left_out: list[str] = list(LEFT_OUT)
    if looks.pictures is None:
        left_out = [
            "Near duplicates, intensities, empty images and text are looked for in images alone; these are "
            "vectors."
        ]
        nearly = ()
    elif looks.side < near.LEAST_SIDE:
        left_out.append(
            f"Near duplicates are not looked for: with {looks.side} pixels different images look too alike."
        )
        nearly = ()
    else:
        nearly = tuple(copies.near_findings(cohort, near.pairs(looks.pictures), equal, found.divisions))
    unread = confounding.unread(found)
    if unread:
        left_out.append(
            f"Columns that number the cases or hold more than {confounding.MOST_VALUES} different words are "
            f"not asked whether they tell the class: {listed(unread)}."
        )
    findings = [
        *counts.findings(found),
        *copies.findings(cohort, equal, found.divisions),
        *nearly,
        *confounding.findings(found, told),
        *values.findings(looks),
        *extent.findings(found, folds, inside),
        *further,
    ]
    findings.sort(key=lambda finding: (LEAK, FAULT, NOTE).index(finding.weight))
    tables = (*counts.tables(found), *values.tables(found, looks), *extent.tables(found, inside))
    return Audit(found, looks, tuple(findings), tables, tuple(told), tuple(left_out))


def _with_text(found: Inspected, looks: Looks) -> Inspected:
    """Whether a picture holds text is one of the things that may tell its class."""
    text = looks.letters >= burnt.CHARACTERS
    if not text.any() or (looks.letters < 0).any():
        return found
    return replace(found, files={**found.files, "burnt-in text": np.where(text, "yes", "no")})


def to_json(audit: Audit) -> dict[str, Any]:
    """Plain JSON values: what audit.json holds, and what the page is made of."""
    table = audit.found.cohort.table
    return {
        "cases": len(table),
        "subjects": len(set(table.subjects.tolist())) if audit.found.known else None,
        "sites": None if table.sites is None else len(set(table.sites.tolist())),
        "hash": audit.found.cohort.hash,
        "notes": list(audit.found.cohort.notes),
        "findings": [finding_json(audit, finding) for finding in audit.findings],
        "tables": [asdict(one) for one in audit.tables],
        "shortcuts": [asdict(one) for one in audit.shortcuts],
        "left_out": list(audit.left_out),
    }


def finding_json(audit: Audit, finding: Finding) -> dict[str, Any]:
    """A finding with its cases, the first of them if they are many."""
    groups = [[_case(audit, int(row)) for row in rows] for rows in list(finding.groups)[:SHOWN]]
    likeness = [round(value, 4) for value in finding.likeness][:SHOWN]
    plain = {name: getattr(finding, name) for name in ("kind", "weight", "told", "cure")}
    return {**plain, "count": len(finding.groups), "groups": groups, "likeness": likeness}


def _case(audit: Audit, row: int) -> Mapping[str, Any]:
    table, targets = audit.found.cohort.table, audit.found.cohort.targets
    parts = {name: str(part[row]) for name, part in audit.found.divisions.items()}
    site = {} if table.sites is None else {"site": str(table.sites[row])}
    subject = {"subject": str(table.subjects[row])} if audit.found.known else {}
    return {
        "row": row,
        "case": str(table.names[row]),
        **subject,
        **site,
        **parts,
        targets.noun: targets.of(np.asarray([row])).texts()[0],
    }
