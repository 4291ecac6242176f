"""That the model of Ax learns: too slow for every run of the tests."""

from __future__ import annotations

from tests.search.test_ax_search import SMOOTH, origins, smooth, study


def test_the_model_finds_the_top_of_a_bowl_better_than_random():
    learned = study("ax", SMOOTH, 16, smooth, batch=2, initial=6)
    random = study("random", SMOOTH, 16, smooth)
    best = [max(heard.score for heard in history) for history in (learned, random)]
    assert origins(learned) == ["default"] + ["sobol"] * 5 + ["ax"] * 10
    assert best[0] > -0.003
    assert best[0] > best[1] / 3
    tail = [heard.trial.hparams for heard in learned[-4:]]
    assert sum(0.004 < h["learning_rate"] < 0.025 and abs(h["dropout"] - 0.3) < 0.15 for h in tail) >= 3
