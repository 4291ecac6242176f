"""Rounds against a simulated study: who is asked when, and what a kill in between changes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.config.run_config import SearchConfig
from nachos_jax.protocol.study.rounds import Round, due, rounds

SEARCH = SearchConfig("ax", 16, 6, 2, 0, (), "accuracy", "best", ())
SEARCHES = st.builds(
    SearchConfig,
    st.sampled_from(["ax", "bohb", "sobol", "random", "grid"]),
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(0, 7),
    st.integers(0, 3),
    st.lists(st.just({}), max_size=5).map(tuple),
    st.just("accuracy"),
    st.just("best"),
    st.just(()),
)


def planned(search: SearchConfig) -> list[Round]:
    """All rounds of a study, written down at once."""
    if search.searcher not in ("ax", "bohb"):
        return [Round(0, search.trials)]
    sizes = [min(max(search.initial, 1 + len(search.priors)), search.trials)]
    size = search.proposals or max(1, -(-(search.trials - sizes[0]) // 8))
    while left := search.trials - sum(sizes):
        sizes.append(min(size, left))
    return [
        Round(sum(sizes[:place]), size, sum(sizes[: max(0, place - search.lag)]))
        for place, size in enumerate(sizes)
    ]


@given(SEARCHES)
def test_a_study_goes_through_its_rounds_and_asks_for_each_trial_once(search):
    asked, found = 0, []
    while (now := due(search, asked, asked)) is not None:
        found.append(now)
        asked = now.start + now.size
    assert found == planned(search) == list(rounds(search))
    assert asked == search.trials


@given(SEARCHES, st.data())
def test_a_round_waits_for_the_scores_that_it_sees_and_for_no_others(search, data):
    for round_ in planned(search):
        scored = data.draw(st.integers(0, round_.start))
        assert due(search, round_.start, scored) == (round_ if scored >= round_.seen else None)


@given(SEARCHES, st.data())
def test_what_a_round_sees_does_not_follow_from_when_scores_came_in(search, data):
    """However fast fits end, a study goes through the same rounds, each with the same scores."""
    asked, scored, found = 0, 0, []
    while asked < search.trials:
        now = due(search, asked, scored)
        if now is not None:
            found.append(now)
            asked = now.start + now.size
        scored = data.draw(st.integers(scored + (now is None), asked)) if scored < asked else scored
    assert found == planned(search)


@given(SEARCHES, st.data())
def test_a_kill_among_the_commits_of_a_round_asks_the_same_round_again(search, data):
    round_ = data.draw(st.sampled_from(planned(search)))
    asked = data.draw(st.integers(round_.start, round_.start + round_.size - 1))
    scored = data.draw(st.integers(round_.seen, asked))
    assert due(search, asked, scored) == round_


@given(SEARCHES, st.integers(0, 60))
def test_a_full_study_asks_for_nothing(search, more):
    assert due(search, search.trials + more, search.trials) is None


@pytest.mark.parametrize(
    ("asked", "scored", "expected"),
    [
        (0, 0, Round(0, 6)),
        (6, 5, None),
        (6, 6, Round(6, 2, 6)),
        (7, 6, Round(6, 2, 6)),
        (8, 7, None),
        (14, 14, Round(14, 2, 14)),
        (16, 16, None),
    ],
)
def test_ax_by_hand(asked, scored, expected):
    assert due(SEARCH, asked, scored) == expected


@pytest.mark.parametrize(
    ("asked", "scored", "expected"),
    [
        (6, 0, Round(6, 2, 0)),
        (8, 5, None),
        (8, 6, Round(8, 2, 6)),
        (8, 8, Round(8, 2, 6)),
        (10, 7, None),
        (10, 10, Round(10, 2, 8)),
    ],
)
def test_a_lag_of_one_round_by_hand(asked, scored, expected):
    assert due(dataclasses.replace(SEARCH, lag=1), asked, scored) == expected


@pytest.mark.parametrize(("trials", "sizes"), [(16, [6, *[2] * 5]), (7, [6, 1]), (70, [6, *[8] * 8])])
def test_without_a_number_of_proposals_eight_rounds_follow_at_most(trials, sizes):
    search = dataclasses.replace(SEARCH, trials=trials, proposals=0)
    assert [round_.size for round_ in rounds(search)] == sizes


def test_priors_belong_to_the_first_round():
    assert due(dataclasses.replace(SEARCH, priors=({},) * 9), 0, 0) == Round(0, 10)


def test_a_searcher_that_does_not_look_at_scores_has_one_round():
    assert due(dataclasses.replace(SEARCH, searcher="sobol"), 0, 0) == Round(0, 16)
