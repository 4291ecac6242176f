"""Cases whose images or vectors are equal: they leak between folds, or their labels contradict.

Judged on the images as they are trained on: what is equal as decoded is equal then, too, also where one copy
was saved in colour and one in gray, and what only resizing makes equal no network can tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.store import Store
from nachos_jax.data.table import Cohort

SHOWN = 5


def equal_cases(store: Store, count: int) -> list[list[int]]:
    """Groups of cases with the same bytes, each in ascending order.

    Args:
        store: inputs, as they are trained on: resized, if the config says so.
        count: N.
    """
    alike: dict[int, list[int]] = {}
    for row in range(count):
        alike.setdefault(hash(_content(store.one(row))), []).append(row)
    groups: dict[tuple, list[int]] = {}
    for row in [row for rows in alike.values() if len(rows) > 1 for row in rows]:
        groups.setdefault(_content(store.one(row)), []).append(row)
    return sorted(rows for rows in groups.values() if len(rows) > 1)


def check(cohort: Cohort, accepted: bool) -> list[str]:
    """Sentences on equal images that a person should read before anything trains.

    Args:
        cohort: the cases.
        accepted: config.data.equal_images, whether targets of equal images may contradict each other.

    Raises:
        UsageError: they do, and it is not accepted.
    """
    groups = equal_cases(cohort.store, len(cohort.table))
    alike = "vectors are equal" if len(cohort.shape) == 1 else "images are equal pixel for pixel"
    subjects, noun = cohort.table.subjects, cohort.targets.noun
    contrary = [rows for rows in groups if _contradict(cohort.targets.values[rows])]
    shared = [rows for rows in groups if len(set(subjects[rows].tolist())) > 1]
    texts = []
    if contrary:
        told = f"{_count(contrary)} {alike}, with another {noun}: {_shown(cohort, contrary)}."
        if not accepted:
            raise UsageError(
                f"{told} Mend the table or drop the copies, or set config.data.equal_images = 'accept'."
            )
        texts.append(told)
    if shared:
        texts.append(
            f"{_count(shared)} {alike} under different subjects: {_shown(cohort, shared)}. "
            "If these are one subject, folds leak: give them one name, or drop the copies."
        )
    return texts


def _content(values: np.ndarray) -> tuple:
    return values.shape, values.tobytes()


def _contradict(values: np.ndarray) -> bool:
    """Whether targets [n, ...] of one image differ where they are known."""
    columns = values.reshape(len(values), -1).astype(np.float64).T
    known = [column[~np.isnan(column)] for column in columns]
    return any(len(set(column.tolist())) > 1 for column in known)


def _count(groups: Sequence[Sequence[int]]) -> str:
    return f"{sum(map(len, groups)):,}"


def _shown(cohort: Cohort, groups: Sequence[Sequence[int]]) -> str:
    names, subjects, texts = cohort.table.names, cohort.table.subjects, cohort.targets.texts()
    shown = [
        " = ".join(f"{names[row]} (subject {subjects[row]}, {texts[row]})" for row in rows[:3])
        for rows in groups[:SHOWN]
    ]
    return "; ".join(shown) + (f"; and {len(groups) - SHOWN:,} more" if len(groups) > SHOWN else "")
