"""The order of inner folds against what a round-robin tournament is."""

from __future__ import annotations

import pytest

from nachos_jax.search.policies import tournament


def rounds(count: int) -> list[list[int]]:
    """For each fold its opponent in each round."""
    folds = range(3, 3 + count)
    table: list[list[int]] = []
    for outer in folds:
        inner = [fold for fold in folds if fold != outer]
        found = list(tournament.order(outer, inner[::-1]))
        assert sorted(found) == inner
        table.append(found)
    return table


@pytest.mark.parametrize("count", [4, 6, 8, 10])
def test_in_each_round_opponents_are_each_others(count):
    table = rounds(count)
    for place, opponents in enumerate(table):
        for when, other in enumerate(opponents):
            assert table[other - 3][when] == place + 3


@pytest.mark.parametrize("count", [3, 5, 7, 9])
def test_an_odd_number_of_folds_moves_by_a_bye_at_most(count):
    table = rounds(count)
    for place, opponents in enumerate(table):
        for when, other in enumerate(opponents):
            assert abs(table[other - 3].index(place + 3) - when) <= 1


def test_without_an_outer_fold_folds_are_taken_as_they_come():
    assert tournament.order(None, [4, 2, 3]) == (4, 2, 3)
