"""The part of the audit that costs little: what a run looks at before it trains, and refuses on leakage."""

from __future__ import annotations

from collections.abc import Sequence

from nachos_jax.audit import copies
from nachos_jax.audit.finding import ALLOWED, CONTRADICTIONS, DUPLICATES
from nachos_jax.core.errors import UsageError
from nachos_jax.data.duplicates import equal_cases
from nachos_jax.data.table import Cohort
from nachos_jax.splits.folds import Folds


def check(cohort: Cohort, folds: Folds, allowed: Sequence[str], begun: bool = False) -> list[str]:
    """Sentences on equal inputs that a person should read before anything trains.

    Args:
        cohort: the cases.
        folds: into which they are divided.
        allowed: kinds of findings that the user accepts.
        begun: whether the run has begun: what was accepted then is accepted.

    Raises:
        UsageError: equal inputs whose targets contradict each other, or that lie in different folds under
            different subjects, which is not accepted.
    """
    found, alike = (
        copies.sorted_out(cohort, equal_cases(cohort.store, len(cohort.table))),
        copies.alike_words(cohort),
    )
    texts = []
    if found.contrary:
        told = copies.counted(cohort, f"{alike}, with another {cohort.targets.noun}", found.contrary)
        texts.append(_accepted(told, CONTRADICTIONS, copies.MEND, allowed, begun))
    if found.shared:
        told = copies.counted(cohort, f"{alike} under different subjects", found.shared)
        if any(len(set(row[list(rows)].tolist())) > 1 for rows in found.shared for row in folds.assignment):
            texts.append(_accepted(f"{told} {copies.CURE}", DUPLICATES, "", allowed, begun))
        else:
            texts.append(f"{told} {copies.CURE}")
    return texts


def check_names(allowed: Sequence[str]) -> None:
    """Refuses kinds of findings that cannot be accepted.

    Raises:
        UsageError: likewise.
    """
    for name in allowed:
        if name not in ALLOWED:
            raise UsageError(
                f"config.data.allow = {name!r}: what can be accepted is {' and '.join(map(repr, ALLOWED))}."
            )


def _accepted(told: str, kind: str, cure: str, allowed: Sequence[str], begun: bool) -> str:
    if kind in allowed:
        return f"{told} The user has accepted this (--allow={kind})."
    if begun:
        return told
    raise UsageError(
        " ".join(
            filter(None, (told, cure, f"To go on all the same, say --allow={kind} (config.data.allow)."))
        )
    )
