"""Findings: what is wrong with the data, which cases show it, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEAK, FAULT, NOTE = "leak", "fault", "note"
"""Tests would meet what training has seen; something to mend; something to know."""
DUPLICATES, CONTRADICTIONS = "duplicates", "contradictions"
ALLOWED = (DUPLICATES, CONTRADICTIONS)
"""Kinds of findings that a run refuses unless config.data.allow names them."""


@dataclass(frozen=True)
class Finding:
    """A finding.

    Attributes:
        kind: its name in files, e.g. "duplicates".
        weight: LEAK, FAULT or NOTE.
        told: what was found, a sentence with its numbers.
        cure: what to do, a sentence.
        groups: row numbers of the cases that belong together; () where it is about all of them.
        likeness: of each group, where one was measured.
    """

    kind: str
    weight: str
    told: str
    cure: str
    groups: Sequence[Sequence[int]] = ()
    likeness: Sequence[float] = ()
