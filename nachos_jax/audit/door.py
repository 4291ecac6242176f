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
        cohort: N cases.
        folds: into which they are divided.
        allowed: kinds of findings that the user accepts.
        begun: whether the run has begun: what was accepted then is accepted.

    Raises:
        UsageError: equal inputs whose targets contradict each other, or that lie in different folds under
            different subjects, which is not accepted.
    """
    alike, found = copies.alike_words(cohort), equal_cases(cohort.store, len(cohort.table))
    sorted_out = copies.sorted_out(cohort, found)
    told, leaks = [], {}
    if sorted_out.contrary:
        words = f"{alike}, with another {cohort.targets.noun}"
        leaks[CONTRADICTIONS] = f"{copies.counted(cohort, words, sorted_out.contrary)} {copies.MEND}"
    if sorted_out.shared:
        words = copies.counted(cohort, f"{alike} under different subjects", sorted_out.shared)
        if _crossing(sorted_out.shared, folds):
            leaks[DUPLICATES] = f"{words} {copies.CURE}"
        else:
            told.append(f"{words} {copies.CURE}")
    refused = [kind for kind in leaks if kind not in allowed]
    if refused and not begun:
        cure = f"--allow={','.join(refused)}, or config.data.equal_images = 'accept'"
        raise UsageError(
            "\n".join([*(leaks[kind] for kind in refused), f"To go on all the same, say {cure}."])
        )
    accepted = {kind: f" The user has accepted this (--allow={kind})." for kind in leaks if kind in allowed}
    return [*(f"{text}{accepted.get(kind, '')}" for kind, text in leaks.items()), *told]


def _crossing(groups: Sequence[Sequence[int]], folds: Folds) -> bool:
    """Whether a group of cases lies in more than one fold of a repeat."""
    return any(len(set(row[list(rows)].tolist())) > 1 for rows in groups for row in folds.assignment)


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
