"""What every searcher holds to, whatever it proposes by."""

from __future__ import annotations

import functools
import math

import pytest

from nachos_jax.core.hparams import active, with_absent
from nachos_jax.search import registry
from nachos_jax.search.learned_search import flat_point
from nachos_jax.search.searcher import Heard, Proposal, SearchSetting, identity
from tests import vectors
from tests.search.settings import DEFAULTS, TABLE, ended, make_setting, record

CHOICES = {
    "batch_size": "choice(64, 16, 32)",
    "optimizer": "choice('sgd', 'adam')",
    "nesterov": "choice(True, False)",
    "cnn.width": "integer(14, 18)",
}
RANGES = {
    "batch_size": "choice(64, 16, 32)",
    "optimizer": "choice('sgd', 'adam')",
    "learning_rate": "log(1e-4, 1.0)",
    "momentum": "uniform(0.5, 0.99)",
    "cnn.width": "log_integer(4, 128)",
}
SMALL = {
    "optimizer": "choice('sgd', 'adam')",
    "nesterov": "choice(True, False)",
    "batch_size": "choice(16, 64)",
}
NAMES = (*registry.MODELS, *registry.DRAWN)
EVERY = pytest.mark.parametrize("name", NAMES)
BUT_AX = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.thorough] * (name == "ax")) for name in NAMES]
)
"""Of Ax, whose every question takes seconds, test_ax_search asks the same."""


def space(name: str) -> dict[str, str]:
    return CHOICES if name == "grid" else RANGES


def score(hparams) -> float | None:
    if hparams["batch_size"] == 32 and hparams["optimizer"] == "sgd":
        return None
    return -abs(math.log(hparams["learning_rate"] / 0.01)) - (hparams["optimizer"] == "adam")


def history_of(name: str, count: int = 16, **more) -> list[Heard]:
    """Sobol's trials with scores, failed ones among them; the last two still run."""
    setting = make_setting(space(name), **more)
    history = record([], registry.build("sobol", setting).ask(count, []), score)
    return [*history[:-2], *(Heard(heard.trial) for heard in history[-2:])]


@functools.cache
def asked(name: str, count: int = 2, **more) -> list[Proposal]:
    return registry.build(name, make_setting(space(name), **more)).ask(count, history_of(name))


@BUT_AX
def test_proposals_are_new_canonical_and_within_the_space(name):
    setting = make_setting(space(name))
    known = [heard.trial.hparams for heard in history_of(name)] + [p.hparams for p in asked(name)]
    assert len(set(map(identity, known))) == len(known) == 18
    for proposal in asked(name):
        assert list(proposal.hparams.items()) == list(active({**DEFAULTS, **proposal.hparams}, TABLE).items())
        values = with_absent(proposal.hparams, TABLE)
        for dimension in setting.searched:
            assert dimension.name not in values or dimension.holds(values[dimension.name])
        assert {type(value) for value in proposal.hparams.values()} <= {int, float, str, bool}


@BUT_AX
def test_proposals_follow_from_the_history_however_many_are_asked_for_at_a_time(name):
    history = history_of(name)
    for proposal in asked(name):  # a new searcher each time, as after a kill
        assert registry.build(name, make_setting(space(name))).ask(1, history) == [proposal]
        history = record(history, [proposal])


@BUT_AX
def test_a_searcher_keeps_nothing_of_what_it_was_asked_before(name):
    searcher, history = registry.build(name, make_setting(space(name))), history_of(name)
    assert searcher.ask(2, history) == asked(name)
    searcher.ask(1, record(history, asked(name)))
    assert searcher.ask(2, history) == asked(name)


@BUT_AX
def test_another_seed_gives_other_proposals(name):
    assert asked(name, 1, seed=1) != asked(name)[:1]


@EVERY
def test_the_default_is_first_and_priors_follow_before_anything_is_drawn(name):
    priors = (
        {"batch_size": 32},
        {"batch_size": 64},
        {"optimizer": "adam", "momentum": 0.6},
        {"batch_size": 32},
    )
    first = registry.build(name, make_setting(space(name), priors=priors, initial=2)).ask(4, [])
    assert [p.origin for p in first[:3]] == ["default", "prior", "prior"], "equal ones are one trial"
    assert first[3].origin in (name, "sobol")
    assert [(p.hparams["batch_size"], p.hparams["optimizer"]) for p in first[:3]] == [
        (64, "sgd"),
        (32, "sgd"),
        (64, "adam"),
    ]
    assert "momentum" not in first[2].hparams


@EVERY
def test_priors_take_nothing_from_what_is_drawn(name):
    plain = registry.build(name, make_setting(space(name), initial=9)).ask(9, [])
    prior = {"batch_size": 16, "learning_rate": 0.017}
    more = registry.build(name, make_setting(space(name), initial=9, priors=(prior,))).ask(10, [])
    if name == "grid":
        assert more[1].origin == "prior"
    else:
        assert [p.hparams for p in more[:1] + more[2:]] == [p.hparams for p in plain]


@BUT_AX
def test_a_small_space_is_used_up_and_then_ends(name):
    history: list[Heard] = []
    while new := registry.build(name, make_setting(SMALL, initial=3)).ask(4, history):
        history = record(history, new, lambda hparams: float(hparams["batch_size"]))
    assert len({identity(heard.trial.hparams) for heard in history}) == len(history) == 6
    left = registry.build(name, make_setting(SMALL, initial=3)).ask(4, history[:5])
    assert [proposal.hparams for proposal in left] == [history[5].trial.hparams]


@pytest.mark.parametrize("name", registry.MODELS)
def test_a_study_without_a_score_goes_on_with_sobol(name):
    setting = make_setting(RANGES, initial=2)
    failed = [ended(heard.trial, None) for heard in record([], registry.build("sobol", setting).ask(20, []))]
    assert registry.build(name, setting).ask(3, failed) == registry.build("sobol", setting).ask(3, failed)


def test_a_trial_is_inside_the_space_whatever_does_nothing_beside_its_network():
    """A network that is solved clips no gradients; a search that leaves 0 out is nothing to it."""
    run = vectors.run_config(
        "mlp",
        search__space__architecture="choice('linear', 'mlp')",
        search__space__gradient_clip="log(0.1, 10.0)",
    )
    setting = SearchSetting.of(run, 0)
    solved = active({**run.defaults, "architecture": "linear"}, run.table)
    point = flat_point(setting, solved)
    assert point is not None
    assert point["architecture"] == "linear"
    assert point["gradient_clip"] == pytest.approx(1.0), "the middle of its range"
    unclipped = active({**run.defaults, "architecture": "mlp", "gradient_clip": 0.0}, run.table)
    assert flat_point(setting, unclipped) is None
