"""Rounds against a simulated study: who is asked when, and what a kill in between changes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.config.run_config import SearchConfig
from nachos_jax.protocol.study.rounds import Round, due

SEARCH = SearchConfig("ax", 16, 6, 2, "accuracy", "best", ())
SEARCHES = st.builds(
    SearchConfig,
    st.sampled_from(["ax", "sobol", "random"]),
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(1, 7),
    st.just("accuracy"),
    st.just("best"),
    st.just(()),
)


def planned(search: SearchConfig) -> list[Round]:
    """All rounds of a study, written down at once."""
    if search.searcher != "ax":
        return [Round(0, search.trials)]
    rounds = [Round(0, min(search.initial, search.trials))]
    for start in range(rounds[0].size, search.trials, search.proposals):
        rounds.append(Round(start, min(search.proposals, search.trials - start)))
    return rounds


@given(SEARCHES)
def test_a_study_goes_through_its_rounds_and_asks_for_each_trial_once(search):
    asked, rounds = 0, []
    while (now := due(search, asked, asked)) is not None:
        rounds.append(now)
        asked = now.start + now.size
    assert rounds == planned(search)
    assert asked == search.trials


@given(SEARCHES, st.data())
def test_a_round_waits_for_the_scores_of_all_earlier_ones(search, data):
    for round_ in planned(search):
        scored = data.draw(st.integers(0, round_.start))
        assert due(search, round_.start, scored) == (round_ if scored == round_.start else None)


@given(SEARCHES, st.data())
def test_a_kill_among_the_commits_of_a_round_asks_the_same_round_again(search, data):
    round_ = data.draw(st.sampled_from(planned(search)))
    asked = data.draw(st.integers(round_.start, round_.start + round_.size - 1))
    scored = data.draw(st.integers(round_.start, asked))
    assert due(search, asked, scored) == round_


@given(SEARCHES, st.integers(0, 60))
def test_a_full_study_asks_for_nothing(search, more):
    assert due(search, search.trials + more, search.trials) is None


@pytest.mark.parametrize(
    ("asked", "scored", "expected"),
    [
        (0, 0, Round(0, 6)),
        (6, 5, None),
        (6, 6, Round(6, 2)),
        (7, 6, Round(6, 2)),
        (8, 7, None),
        (14, 14, Round(14, 2)),
        (16, 16, None),
    ],
)
def test_ax_by_hand(asked, scored, expected):
    assert due(SEARCH, asked, scored) == expected


def test_a_searcher_that_does_not_look_at_scores_has_one_round():
    assert due(dataclasses.replace(SEARCH, searcher="sobol"), 0, 0) == Round(0, 16)
