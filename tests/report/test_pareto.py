"""Trials that no other beats in score and cost: against all pairs compared plainly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.report.figures.pareto import pareto
from nachos_jax.report.numbers.pareto import Weighed, front

PAIRS = st.lists(st.tuples(st.integers(1, 6), st.sampled_from([0.1, 0.5, 0.7, 0.9])), min_size=1, max_size=12)


@given(PAIRS)
def test_the_front_is_what_no_pair_beats(pairs):
    def beaten(one, other):
        return other[0] <= one[0] and other[1] >= one[1] and other != one

    plain = [not any(beaten(one, other) for other in pairs) for one in pairs]
    found = front([cost for cost, _ in pairs], [score for _, score in pairs])
    assert found == plain
    assert any(found)


def test_the_figure_holds_every_trial_and_says_which_are_on_the_front():
    trials = [
        Weighed("fold 0", 0, 1000, 0.8, False, True),
        Weighed("fold 0", 1, 5000, 0.9, True, True),
        Weighed("fold 0", 2, 5000, 0.7, False, False),
    ]
    figure = pareto(trials, "mean Dice")
    assert figure is not None
    assert figure.header[-1] == "front"
    assert [row[-1] for row in figure.rows] == [1, 1, 0]
    assert "fold 0, trial 1: 0.9, 5,000 parameters" in figure.svg
    assert pareto([], "mean Dice") is None
