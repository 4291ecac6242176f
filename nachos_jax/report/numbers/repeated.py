"""Repeated runs in groups, like those of each searcher: do their scores differ?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.statistics.ranks import kruskal_wallis

FEWEST = 2
"""Runs of a group below which nothing is said of it."""
SCORES = ("inner", "outer")


def repeated(runs: Sequence[Mapping[str, Any]], by: Sequence[str]) -> dict[str, Any]:
    """Kruskal-Wallis over runs in groups, of the final best inner score and of the outer score.

    Args:
        runs: with their `name`, `group`, `inner` and `outer` score (None where undefined).
        by: the config fields that make the groups.

    Returns:
        Plain JSON values: `by`; `groups`, the names of the runs of each; `tests`, of each score its
        `kruskal_wallis`, with a note where there is one group only or a score is undefined.

    Raises:
        UsageError: of several groups one has fewer than 2 runs.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault(run["group"], []).append(run)
    small = [name for name, members in groups.items() if len(members) < FEWEST]
    if len(groups) > 1 and small:
        raise UsageError(
            f"--by={','.join(by)}: the group {small[0]!r} has one run only, {groups[small[0]][0]['name']}, "
            f"and a difference needs at least {FEWEST} of each group: repeat it with other seeds "
            "(`nachos sweep` with --sweep.seed=0,1,2), leave it out, or make other groups."
        )
    return {
        "by": list(by),
        "groups": {name: [run["name"] for run in members] for name, members in groups.items()},
        "tests": {score: _tested(groups, score) for score in SCORES},
    }


def _tested(groups: Mapping[str, Sequence[Mapping[str, Any]]], score: str) -> dict[str, Any]:
    values = {name: [run[score] for run in members] for name, members in groups.items()}
    count, missing = sum(map(len, values.values())), sum(group.count(None) for group in values.values())
    nothing = {"h": None, "df": None, "p": None, "epsilon_squared": None, "count": count - missing}
    if len(groups) < 2:
        return {**nothing, "note": "all runs are of one group"}
    if missing:
        return {**nothing, "note": f"undefined in {missing} of {count} runs"}
    return asdict(kruskal_wallis(values))
