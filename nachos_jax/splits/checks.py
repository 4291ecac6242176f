"""What a person should know of the folds before money is spent on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.splits.folds import Folds

FEW_CASES = 10


def check_leakage(folds: Folds, subjects: np.ndarray) -> None:
    """Refuses folds that part the cases of a subject in a repeat; subjects is [N] str.

    Raises:
        UsageError: it names the subject.
    """
    found = folds.crossing(subjects)
    if found:
        subject, where = found
        raise UsageError(
            f"Subject {subject!r} has cases in folds {', '.join(map(str, where))}, so tests would meet a "
            "known subject: give all its cases the same fold, or restore the data if a run is to go on."
        )


def warnings(
    folds: Folds, has: np.ndarray, names: Sequence[str], noun: str, sites: np.ndarray | None = None
) -> list[str]:
    """Sentences on folds that can be used but weaken the estimate.

    Args:
        folds: the folds.
        has: [N, M] bool, which of the names each case has: its class, its labels; M is 0 of a number.
        names: of the M classes or labels.
        noun: what one of them is called, "class" or "label".
        sites: [N] str, or None when unknown; names a fold that is one site.
    """
    texts = []
    for first in range(0, len(folds.numbers()), folds.count):
        numbers = range(first, first + folds.count)
        masks = [folds.cases(fold) for fold in numbers]
        titles = [_title(fold, mask, sites) for fold, mask in zip(numbers, masks, strict=True)]
        counts = np.stack([has[mask].sum(axis=0) for mask in masks])
        texts += _small(titles, [int(mask.sum()) for mask in masks])
        texts += _absent(titles, counts, names, noun) + _unseen(titles, counts, names, noun)
    return texts


def _title(fold: int, mask: np.ndarray, sites: np.ndarray | None) -> str:
    held = np.unique(sites[mask]).tolist() if sites is not None else []
    return f"fold {fold} (site {held[0]})" if len(held) == 1 else f"fold {fold}"


def _small(titles: Sequence[str], sizes: Sequence[int]) -> list[str]:
    """Folds of fewer than FEW_CASES cases."""
    return [
        f"F{title[1:]} holds only {size} cases: each is {100 / size:.0f} % of its score."
        for title, size in zip(titles, sizes, strict=True)
        if size < FEW_CASES
    ]


def _absent(titles: Sequence[str], counts: np.ndarray, names: Sequence[str], noun: str) -> list[str]:
    """Classes or labels that a fold does not hold; `counts` is [K, M], their cases in each fold."""
    return [
        f"F{title[1:]} holds no case of {noun} {name!r}: metrics of this {noun} are undefined there."
        for title, row in zip(titles, counts, strict=True)
        for name, cases in zip(names, row.tolist(), strict=False)
        if cases == 0
    ]


def _unseen(titles: Sequence[str], counts: np.ndarray, names: Sequence[str], noun: str) -> list[str]:
    """Classes or labels that some fit never sees, because it leaves out all the folds that hold them."""
    texts = []
    for name, column in zip(names, counts.T, strict=False):
        holders = [titles[fold] for fold in np.flatnonzero(column).tolist()]
        if len(holders) == 1:
            texts.append(
                f"{noun.capitalize()} {name!r} lies wholly in {holders[0]}: fits that leave it out never see "
                f"this {noun}."
            )
        # With two folds no fit leaves out both, so nothing is lost by it.
        elif len(holders) == 2 < len(titles):
            texts.append(
                f"{noun.capitalize()} {name!r} lies wholly in {holders[0]} and {holders[1]}: fits that "
                f"leave out both never see this {noun}."
            )
    return texts
