"""BOHB: what it learns from, and that it finds what is good sooner than chance."""

from __future__ import annotations

import math
import os
import random
import statistics

import pytest

from nachos_jax.search import bohb_search, registry
from nachos_jax.search.searcher import Heard
from tests.search.settings import constant, make_setting, record

SEEDS = 20 if os.environ.get("NACHOS_TESTS_COMPILE") == "fully" else 10

BOWL = {
    "learning_rate": "log(1e-4, 1.0)",
    "dropout": "uniform(0.0, 0.9)",
    "schedule": "choice('constant', 'inverse_time', 'cosine')",
}


def bowl(hparams) -> float:
    """Best, 0, at learning rate 0.001, dropout 0.7 and the cosine."""
    off = math.log10(hparams["learning_rate"] / 0.001) / 4, (hparams["dropout"] - 0.7) / 0.9
    return -(off[0] ** 2) - off[1] ** 2 - 0.2 * (hparams["schedule"] != "cosine")


def scores(name: str, seed: int, trials: int, batch: int = 1) -> list[float]:
    searcher = registry.build(name, make_setting(BOWL, seed=seed))
    history: list[Heard] = []
    while len(history) < trials:
        history = record(history, searcher.ask(batch, history), bowl)
    return [heard.score for heard in history if heard.score is not None]


def test_after_forty_trials_proposals_are_better_than_chance():
    learned = [statistics.median(scores("bohb", seed, 60, 4)[40:]) for seed in range(SEEDS)]
    drawn = [statistics.median(scores("random", seed, 60, 60)[40:]) for seed in range(SEEDS)]
    assert sum(a > b for a, b in zip(learned, drawn, strict=True)) >= SEEDS - 1
    assert statistics.median(learned) > statistics.median(drawn) / 3


def proposals(history, count=8):
    return registry.build("bohb", make_setting(BOWL)).ask(count, history)


def drawn(count: int) -> list[Heard]:
    return record([], registry.build("sobol", make_setting(BOWL)).ask(count, []), bowl)


def test_a_third_is_drawn_and_the_rest_learned():
    origins = [p.origin for p in proposals(drawn(20), 120)]
    assert 25 <= origins.count("sobol") <= 55
    assert origins.count("sobol") + origins.count("bohb") == 120


@pytest.mark.parametrize(("count", "learns"), [(5, False), (6, True)])
def test_learning_begins_with_three_more_scores_than_dimensions(count, learns):
    origins = {p.origin for p in proposals(drawn(6)[:count], 12) if p.origin == "bohb"}
    assert bool(origins) == learns


def test_the_highest_rung_with_enough_scores_is_learned_from():
    history = drawn(20)

    def under(rungs):
        return [Heard(h.trial, None, rungs=rungs(number, h.score)) for number, h in enumerate(history)]

    whole = proposals(history)
    assert proposals(under(lambda number, score: {3: -score, 9: score})) == whole
    # Five trials on the higher rung are too few for three dimensions, six are enough.
    few = under(lambda number, score: {3: score, **({9: -score} if number < 5 else {})})
    enough = under(lambda number, score: {3: score, **({9: -score} if number < 6 else {})})
    assert proposals(few) == whole
    assert proposals(enough) != whole


def test_whole_fits_are_one_rung_whether_shorter_ones_came_before_or_not():
    """As of Hyperband, whose last bracket has no rungs: all that ended are learned from together."""
    history = drawn(24)

    def climbed(h):
        return Heard(h.trial, h.score, rungs={3: -h.score, 9: h.score}, whole=True)

    mixed = [climbed(h) if number % 2 else h for number, h in enumerate(history)]
    assert proposals(mixed) == proposals(history) == proposals([climbed(h) for h in history])


@pytest.mark.parametrize("seed", range(3))
def test_trials_are_not_ranked_by_the_folds_that_they_have_seen(seed: int):
    """As of `race-halving`: folds differ by more than trials do, and a race sees some of them."""
    history, rng = drawn(24), random.Random(seed)

    def raced(h):
        easier = rng.choice([-5.0, 0.0, 5.0])
        return Heard(h.trial, h.score, 0.1, rungs={3: rng.random(), 9: (h.score or 0.0) + easier}, whole=True)

    assert proposals([raced(h) for h in history]) == proposals(history)


def test_where_no_score_is_expected_whole_fits_are_ranked_by_what_they_have_seen():
    history = drawn(24)
    scores = {h.trial.number: h.score or 0.0 for h in history}
    rungs = {number: {3: -score, 9: score} for number, score in scores.items()}
    seen = [Heard(h.trial, None, rungs=rungs[h.trial.number], whole=True) for h in history]
    assert proposals(seen) == proposals(history)


def coordinates(space, hparams) -> list[float]:
    point = space.point(hparams)
    assert point is not None
    return point.tolist()


def test_running_and_failed_trials_are_turned_away_from():
    history = drawn(30)
    space = bohb_search._Space(make_setting(BOWL))
    before = bohb_search._divided(space, history)
    tried = registry.build("sobol", make_setting(BOWL)).ask(2, history)
    running = bohb_search._divided(space, record(history, tried))
    failed = bohb_search._divided(space, record(history, tried, constant(None)))
    assert before
    assert running
    assert failed
    for good, rest in (running, failed):
        assert [p.tolist() for p in good] == [p.tolist() for p in before[0]]
        assert [p.tolist() for p in rest[-2:]] == [coordinates(space, p.hparams) for p in tried]
        assert len(rest) == len(before[1]) + 2


def test_the_best_and_the_rest_are_divided_as_in_the_paper():
    space = bohb_search._Space(make_setting(BOWL))
    for count in (6, 10, 30, 60):
        history = drawn(count)
        parts = bohb_search._divided(space, history)
        assert parts is not None
        inside = [h for h in history if space.point(h.trial.hparams) is not None]
        best = max(4, int(0.15 * len(inside)))
        assert len(parts[0]) == best
        assert len(parts[1]) == max(4, len(inside) - best)
        ranked = sorted(inside, key=lambda heard: -(heard.score or 0))
        assert [p.tolist() for p in parts[0]] == [coordinates(space, h.trial.hparams) for h in ranked[:best]]
