"""Permutation importance: what made the scores is found, what did not is small."""

from __future__ import annotations

import numpy as np
import pytest

from nachos_jax.report.numbers.importance import FEWEST, importance

pytestmark = pytest.mark.usefixtures("whole_forests")

NAMES = ["rate", "optimizer", "nothing", "momentum"]


def trials(count=40, studies=3):
    draw, found = np.random.default_rng(0), []
    for study in range(studies):
        for _ in range(count // studies):
            adam = bool(draw.integers(2))
            hparams = {
                "rate": float(draw.uniform()),
                "optimizer": "adam" if adam else "sgd",
                "nothing": int(draw.integers(5)),
            }
            if not adam:
                hparams["momentum"] = 0.9
            score = hparams["rate"] + 0.5 * adam + 10.0 * study  # outer folds differ far more than trials
            found.append((study, hparams, score))
    return found


def test_what_made_the_scores_comes_first():
    found = {name: value or 0.0 for name, value in importance(NAMES, trials()).items()}
    assert found["rate"] > found["nothing"]
    assert found["rate"] + found["optimizer"] + found["momentum"] > 5 * found["nothing"]
    assert all(value >= 0 for value in found.values())


@pytest.mark.thorough
def test_it_is_deterministic():
    first = importance(NAMES, trials())
    assert importance(NAMES, trials()) == first


def test_few_trials_say_nothing():
    assert importance(NAMES, trials()[: FEWEST - 1]) == dict.fromkeys(NAMES)
    assert importance([], trials()) == {}


def test_trials_alone_in_their_study_say_nothing():
    """Each is the mean of its study, so all would count as 0 and every hyperparameter as without effect."""
    alone = [(10 + number, hparams, score) for number, (_, hparams, score) in enumerate(trials()[:10])]
    assert importance(NAMES, alone) == dict.fromkeys(NAMES)
    assert importance(NAMES, alone + trials()) == importance(NAMES, trials())


def test_equal_scores_hang_on_nothing():
    same = [(study, hparams, 0.5) for study, hparams, _ in trials()]
    assert importance(NAMES, same) == dict.fromkeys(NAMES, 0.0)
