"""Cohorts against rounds written down by hand, and what a kill in between changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.config.run_config import SearchConfig
from nachos_jax.protocol.study import cohorts

SEARCHES = st.builds(
    SearchConfig,
    searcher=st.sampled_from(["ax", "sobol", "random"]),
    policy=st.just("full"),
    trials=st.integers(1, 40),
    initial=st.integers(1, 12),
    proposals=st.integers(1, 7),
    lag=st.integers(0, 2),
    priors=st.just(()),
    metric=st.just("accuracy"),
    rule=st.just("best"),
    space=st.just(()),
)


def planned(search: SearchConfig) -> list[range]:
    """All rounds of a study, written down at once."""
    if search.searcher != "ax":
        return [range(search.trials)]
    rounds = [range(min(search.initial, search.trials))]
    for start in range(len(rounds[0]), search.trials, search.proposals):
        rounds.append(range(start, min(start + search.proposals, search.trials)))
    return rounds


@given(SEARCHES)
def test_cohorts_are_the_rounds_of_the_searcher(search):
    found = cohorts.of(search)
    assert [found.numbers(index) for index in range(len(found.ends))] == planned(search)
    assert found.blind == (search.searcher != "ax")


@given(SEARCHES, st.data())
def test_a_cohort_is_due_when_all_earlier_ones_are_decided_and_none_once_all_are_asked(search, data):
    found = cohorts.of(search)
    asked = data.draw(st.integers(0, len(found.ends)))
    through = data.draw(st.integers(0, asked))
    ready = found.blind or through >= asked - search.lag
    assert found.due(asked, through) == (asked < len(found.ends) and ready)
    assert found.decided(asked) <= through or not found.due(asked, through) or found.blind
