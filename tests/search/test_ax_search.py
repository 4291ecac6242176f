"""Ax: Sobol first, then a model that follows the scores, rebuilt from the history each time."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from nachos_jax.core.hparams import active
from nachos_jax.search import ax_search, registry
from nachos_jax.search.background import Background
from nachos_jax.search.searcher import Heard, identity
from tests.search.settings import DEFAULTS, MIXED, TABLE, constant, ended, make_setting, record

CONDITIONAL = {
    "optimizer": "choice('sgd', 'adam', 'adamw')",
    "learning_rate": "log(1e-4, 1.0)",
    "momentum": "uniform(0.5, 0.99)",
    "beta1": "uniform(0.5, 0.99)",
}
SMOOTH = {"learning_rate": "log(1e-4, 1.0)", "dropout": "uniform(0.0, 0.9)"}


def smooth(hparams) -> float:
    """A bowl with its top, 0, at learning rate 0.01 and dropout 0.3."""
    return -((math.log10(hparams["learning_rate"] / 0.01) / 2) ** 2) - (2 * (hparams["dropout"] - 0.3)) ** 2


def study(name, texts, total, score, batch=1, history=(), **more):
    history = list(history)
    while len(history) < total:
        searcher = registry.build(name, make_setting(texts, **more))
        history = record(history, searcher.ask(min(batch, total - len(history)), history), score)
    return history


def origins(history):
    return [heard.trial.origin for heard in history]


def test_importing_the_registry_imports_neither_ax_nor_torch_nor_jax():
    code = (
        "import sys, nachos_jax.search.registry, nachos_jax.search.background;"
        "print([name for name in ('ax', 'torch', 'jax', 'scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_initial_trials_are_those_of_sobol_in_every_study():
    expected = registry.build("sobol", make_setting(MIXED)).ask(6, [])
    for number in (0, 4, None):
        assert registry.build("ax", make_setting(MIXED, study=number)).ask(6, []) == expected


def test_without_scores_sobol_goes_on():
    proposals = registry.build("ax", make_setting(MIXED, initial=4)).ask(9, [])
    assert proposals == registry.build("sobol", make_setting(MIXED)).ask(9, [])
    failed = record([], proposals, constant(None))
    assert registry.build("ax", make_setting(MIXED, initial=4)).ask(1, failed)[0].origin == "sobol"


@pytest.mark.thorough
def test_asking_in_one_go_equals_asking_step_by_step_with_what_was_recorded():
    setting, other = make_setting(CONDITIONAL), make_setting(CONDITIONAL, study=1)
    history = study("sobol", CONDITIONAL, 6, lambda hparams: -abs(math.log(hparams["learning_rate"] / 0.02)))
    history = record(history, registry.build("sobol", setting).ask(1, history))
    at_once = registry.build("ax", setting).ask(2, history)
    assert [proposal.origin for proposal in at_once] == ["ax", "ax"]
    for known, expected in ((history, at_once[0]), (record(history, at_once[:1]), at_once[1])):
        assert registry.build("ax", setting).ask(1, known) == [expected]
    assert registry.build("ax", other).ask(1, history) != at_once[:1]


@pytest.mark.thorough
def test_conditional_proposals_are_canonical_and_distinct():
    def score(hparams):
        return -abs(math.log(hparams["learning_rate"] / 0.02)) - (hparams["optimizer"] == "sgd")

    history = study("ax", MIXED, 7, score)
    assert origins(history)[6:] == ["ax"]
    history = study("ax", CONDITIONAL, 8, score, history=history)
    assert origins(history)[7:] == ["ax"]
    assert len({identity(heard.trial.hparams) for heard in history}) == 8
    for heard in history:
        hparams = heard.trial.hparams
        assert list(hparams.items()) == list(active({**DEFAULTS, **hparams}, TABLE).items())
        assert all(type(value) in (int, float, str, bool) for value in hparams.values())


def test_a_small_choice_space_is_used_up_and_then_ends():
    texts = {"batch_size": "choice(16, 64)", "optimizer": "choice('sgd', 'adam')"}
    searcher = registry.build("ax", make_setting(texts, initial=2))
    history = record([], searcher.ask(2, []), lambda hparams: float(hparams["batch_size"]))
    while proposals := searcher.ask(1, history):
        history = record(history, proposals, lambda hparams: float(hparams["batch_size"]))
    assert len({identity(heard.trial.hparams) for heard in history}) == len(history) == 4


@pytest.mark.thorough
def test_failed_trials_count_as_the_worst_and_outsiders_not_at_all():
    # The default has no weight decay, which no logarithmic range reaches.
    setting = make_setting({"weight_decay": "log(1e-6, 1e-2)", "batch_size": "choice(64, 16, 32)"})
    proposals = registry.build("sobol", setting).ask(5, [])
    values = [9.0, 0.25, None, 0.75]
    history = [
        heard if number == 4 else ended(heard.trial, values[number])
        for number, heard in enumerate(record([], proposals))
    ]
    seen = ax_search.observations(setting, history)
    assert [observation.score for observation in seen] == [0.25, 0.25, 0.75, None]
    assert [observation.point["weight_decay"] for observation in seen] == [
        heard.trial.hparams["weight_decay"] for heard in history[1:]
    ]
    assert [observation.point["batch_size"] for observation in seen] == [
        [16, 32, 64].index(int(heard.trial.hparams["batch_size"])) for heard in history[1:]
    ]


class _Client:
    """Takes what the client of Ax is told."""

    told: list

    def __init__(self, **_):
        _Client.told = []

    def attach_trial(self, point):
        return len(self.told)

    def complete_trial(self, index, scores):
        self.told.append(scores["score"])

    def get_next_trials(self, _):
        return {0: {"dropout": 0.1}}

    def configure_experiment(self, *_, **__): ...

    configure_optimization = configure_generation_strategy = configure_experiment


@pytest.mark.parametrize(
    ("errors", "told"),
    [((0.0, 0.0), [0.5, 0.7, 0.5]), ((0.0, 0.02), [(0.5, 0.0), (0.7, 0.02), (0.5, 0.0)])],
)
def test_errors_are_told_where_there_are_any(errors, told, monkeypatch):
    setting = make_setting({"dropout": "uniform(0.0, 0.9)"}, initial=2)
    first, second, third, fourth = record([], registry.build("sobol", setting).ask(4, []))
    history = [
        Heard(first.trial, 0.5, errors[0]),
        Heard(second.trial, 0.7, errors[1]),
        ended(third.trial, None),
        fourth,
    ]

    @contextmanager
    def no_ax():
        yield _Client, SimpleNamespace(RangeParameterConfig=lambda *_, **__: None)

    monkeypatch.setattr(ax_search, "_quiet_ax", no_ax)
    assert ax_search.learned(setting, history) == {"dropout": 0.1}
    assert _Client.told == told


@pytest.mark.thorough
def test_the_model_turns_away_from_where_trials_fail():
    def score(hparams):
        return None if hparams["learning_rate"] > 0.05 else math.log10(hparams["learning_rate"])

    history = study("ax", {"learning_rate": "log(1e-4, 1.0)"}, 12, score, initial=7)
    assert sum(heard.failed for heard in history[:7]) >= 2
    # A third of the space fails, and the best scores lie just before it.
    assert sum(heard.failed for heard in history[7:]) <= 2
    best = [max(heard.score for heard in part if heard.score) for part in (history[:7], history[7:])]
    assert best[1] > best[0]


@pytest.mark.thorough
def test_a_narrow_range_is_proposed_in_too(caplog):
    narrow = {"learning_rate": "log(1e-6, 1e-5)", "weight_decay": "uniform(1e-7, 2e-7)"}
    history = study("ax", narrow, 6, lambda hparams: -math.log10(hparams["learning_rate"]), initial=4)
    assert origins(history)[-2:] == ["ax", "ax"], caplog.text
    for heard in history[-2:]:
        assert 1e-6 <= heard.trial.hparams["learning_rate"] <= 1e-5
        assert 1e-7 <= heard.trial.hparams["weight_decay"] <= 2e-7
    told = ax_search.observations(make_setting(narrow), history)
    assert told[-1].point["learning_rate"] == history[-1].trial.hparams["learning_rate"] * 1e6


@pytest.mark.thorough
def test_equal_scores_are_no_obstacle():
    history = study("ax", SMOOTH, 8, constant(0.5), batch=2)
    assert origins(history)[6:] == ["ax", "ax"]


@pytest.mark.thorough
@pytest.mark.parametrize("initial", [1, 2])
def test_few_initial_trials(initial):
    history = study("ax", SMOOTH, 3, smooth, initial=initial)
    assert origins(history) == ["default", "sobol", "ax"]


def test_sobol_goes_on_where_ax_fails_and_the_log_says_so(monkeypatch, caplog):
    def fail(*arguments):
        raise RuntimeError("matrix is not positive definite")

    history = study("sobol", SMOOTH, 6, smooth)
    expected = registry.build("sobol", make_setting(SMOOTH)).ask(1, history)
    monkeypatch.setattr(ax_search, "propose", fail)
    with caplog.at_level(logging.WARNING, "nachos_jax"):
        assert registry.build("ax", make_setting(SMOOTH)).ask(1, history) == expected
    assert "trial 6" in caplog.text
    assert "not positive definite" in caplog.text


@pytest.mark.thorough
def test_sobol_goes_on_where_ax_repeats_a_trial(monkeypatch, caplog):
    history = study("sobol", SMOOTH, 6, smooth)
    expected = registry.build("sobol", make_setting(SMOOTH)).ask(1, history)
    monkeypatch.setattr(ax_search, "propose", constant(dict(history[3].trial.hparams)))
    with caplog.at_level(logging.WARNING, "nachos_jax"):
        assert registry.build("ax", make_setting(SMOOTH)).ask(1, history) == expected
    assert "an earlier trial again as trial 6" in caplog.text


@pytest.mark.thorough
def test_a_background_thread_proposes_the_same():
    history = study("sobol", SMOOTH, 6, smooth)
    background = Background()
    background.submit(0, lambda: registry.build("ax", make_setting(SMOOTH)).ask(1, history))
    answers = background.ready(120.0)
    background.close()
    assert answers == [(0, registry.build("ax", make_setting(SMOOTH)).ask(1, history))]
    assert answers[0][1][0].origin == "ax"


def test_nothing_of_ax_reaches_the_terminal(capfd):
    history = study("sobol", SMOOTH, 6, smooth)
    assert registry.build("ax", make_setting(SMOOTH)).ask(1, history)[0].origin == "ax"
    assert capfd.readouterr() == ("", "")
