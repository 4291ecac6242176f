"""Cases whose images or vectors are equal: they leak between folds, or their labels contradict.

Judged on the images as they are trained on: what is equal as decoded is equal then, too, also where one copy
was saved in colour and one in gray, and what only resizing makes equal no network can tell apart.
"""

from __future__ import annotations

import numpy as np

from nachos_jax.data.store import Store


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


def shared(one: tuple[Store, int], other: tuple[Store, int]) -> list[tuple[int, int]]:
    """Pairs of cases with the same values, one of each store of so many cases: the first of one for each.

    Values are compared, and not how they are stored: stores may have different dtypes, of which each case is
    brought to a common one that holds both without change, one case at a time.
    """
    (store, count), (another, others) = one, other
    common = np.result_type(store.dtype, another.dtype) if store.dtype != another.dtype else None

    def content(values: np.ndarray) -> tuple:
        return _content(values if common is None else values.astype(common) + common.type(0))  # no -0

    known: dict[int, list[int]] = {}
    for row in range(count):
        known.setdefault(hash(content(store.one(row))), []).append(row)
    found = []
    for row in range(others):
        wanted = content(another.one(row))
        same = (place for place in known.get(hash(wanted), ()) if content(store.one(place)) == wanted)
        found += [(place, row) for place in list(same)[:1]]
    return found


def _content(values: np.ndarray) -> tuple:
    return values.shape, values.tobytes()
