"""Random and Sobol: trials drawn without looking at data."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import active
from nachos_jax.search import registry
from nachos_jax.search.searcher import SearchSetting, identity
from tests.search.settings import DEFAULTS, MIXED, TABLE, constant, make_setting, record

DRAWN = pytest.mark.parametrize("name", ["random", "sobol"])


def ask(name: str, count: int, texts=MIXED, **more):
    return registry.build(name, make_setting(texts, **more)).ask(count, [])


@DRAWN
def test_first_is_the_default(name):
    first, second = ask(name, 2)
    assert (first.origin, second.origin) == ("default", name)
    assert first.hparams == active(DEFAULTS, TABLE)


@DRAWN
@settings(max_examples=20)
@given(steps=st.lists(st.integers(0, 5), max_size=8), seed=st.integers(0, 2**40))
def test_asking_in_steps_with_new_searchers_equals_asking_at_once(name, steps, seed):
    history = []
    for count in steps:
        searcher = registry.build(name, make_setting(MIXED, seed=seed))
        history = record(history, searcher.ask(count, history), constant(0.5))
    at_once = ask(name, sum(steps), seed=seed)
    assert [(heard.trial.hparams, heard.trial.origin) for heard in history] == [
        (p.hparams, p.origin) for p in at_once
    ]


@DRAWN
def test_one_searcher_may_be_asked_about_any_history(name):
    searcher = registry.build(name, make_setting(MIXED))
    history = record([], searcher.ask(10, []))
    assert searcher.ask(3, history[:4]) == ask(name, 7)[4:]
    assert searcher.ask(3, []) == ask(name, 3)


@DRAWN
def test_studies_share_their_trials_and_seeds_do_not(name):
    assert ask(name, 12, study=0) == ask(name, 12, study=3) == ask(name, 12, study=None)
    assert ask(name, 12) != ask(name, 12, seed=1)


@DRAWN
def test_trials_are_distinct_and_hold_only_what_is_active(name):
    proposals = ask(name, 200)
    assert len({identity(p.hparams) for p in proposals}) == 200
    for proposal in proposals:
        full = {**DEFAULTS, **proposal.hparams}
        assert list(proposal.hparams.items()) == list(active(full, TABLE).items())
        assert ("momentum" in proposal.hparams) == (proposal.hparams["optimizer"] == "sgd")
        assert ("beta1" in proposal.hparams) == (proposal.hparams["optimizer"] != "sgd")
        assert ("cnn.width" in proposal.hparams) == (proposal.hparams["architecture"] == "cnn")
    assert {p.hparams["optimizer"] for p in proposals} == {"sgd", "adam", "adamw"}


@DRAWN
def test_values_are_plain_python_numbers(name):
    for proposal in ask(name, 30):
        assert {type(value) for value in proposal.hparams.values()} <= {int, float, str, bool}
        assert type(proposal.hparams["batch_size"]) is int
        assert type(proposal.hparams["learning_rate"]) is float


@DRAWN
def test_a_logarithmic_range_is_drawn_evenly_in_its_logarithm(name):
    proposals = ask(name, 1001, {"learning_rate": "log(1e-5, 1e-1)"})[1:]
    logs = [math.log10(float(p.hparams["learning_rate"])) for p in proposals]
    assert stats.kstest(logs, stats.uniform(-5, 4).cdf).pvalue > 0.01
    assert (
        stats.kstest([p.hparams["learning_rate"] for p in proposals], stats.uniform(0, 0.1).cdf).pvalue < 1e-6
    )


def test_sobol_fills_the_square_more_evenly_than_random():
    texts = {"dropout": "uniform(0.0, 0.5)", "momentum": "uniform(0.0, 0.9)"}

    def discrepancy(name):
        rows = [
            [float(p.hparams["dropout"]) / 0.5, float(p.hparams["momentum"]) / 0.9]
            for p in ask(name, 65, texts)[1:]
        ]
        return stats.qmc.discrepancy(rows)

    assert discrepancy("sobol") < discrepancy("random") / 3


@DRAWN
def test_a_finite_space_is_used_up_exactly(name):
    texts = {
        "optimizer": "choice('sgd', 'adam')",
        "nesterov": "choice(True, False)",
        "batch_size": "choice(16, 64)",
        "warmup_epochs": "choice(0, 1, 5)",
    }
    searcher = registry.build(name, make_setting(texts))
    expected = {
        identity(
            active({**DEFAULTS, "optimizer": o, "nesterov": n, "batch_size": b, "warmup_epochs": w}, TABLE)
        )
        for o, n, b, w in product(("sgd", "adam"), (True, False), (16, 64), (0.0, 1.0, 5.0))
    }
    proposals = searcher.ask(1000, [])
    assert len(expected) == 18
    assert {identity(p.hparams) for p in proposals} == expected
    assert len(proposals) == 18
    assert searcher.ask(1, record([], proposals)) == []
    assert searcher.ask(5, record([], proposals[:16])) == proposals[16:]


@pytest.mark.thorough
@DRAWN
def test_rare_values_of_a_finite_space_come_in_the_end(name):
    # The largest of 600 values of a logarithmic range is drawn once in about 4,000 points.
    proposals = ask(name, 2000, {"cnn.width": "log_integer(1, 600)"})
    assert sorted(p.hparams["cnn.width"] for p in proposals) == list(range(1, 601))


@DRAWN
@pytest.mark.parametrize("texts", [{}, {"beta1": "uniform(0.5, 0.9)"}, {"cnn.width": "choice(16)"}])
def test_nothing_that_matters_is_searched(name, texts):
    assert [p.origin for p in ask(name, 5, texts)] == ["default"]


def test_a_dimension_that_is_never_active_takes_no_part():
    assert ask("sobol", 9, {"beta1": "uniform(0.5, 0.9)", "dropout": "uniform(0, 0.5)"}) == ask(
        "sobol", 9, {"dropout": "uniform(0, 0.5)"}
    )


@settings(max_examples=30)
@given(data=st.data())
def test_grid_holds_each_active_configuration_once(data):
    choices = {
        "optimizer": ["sgd", "adam", "adamw"],
        "nesterov": [True, False],
        "schedule": ["constant", "inverse_time", "cosine"],
        "decay": [0.0, 0.5],
        "architecture": ["cnn", "resnet"],
        "resnet.depth": [18, 34],
    }
    chosen = {
        name: data.draw(st.lists(st.sampled_from(values), min_size=1, unique=True))
        for name, values in choices.items()
        if data.draw(st.booleans())
    }
    setting = make_setting(
        {name: f"choice({', '.join(map(repr, values))})" for name, values in chosen.items()}
    )
    oracle = {
        identity(active({**DEFAULTS, **dict(zip(chosen, values, strict=True))}, TABLE))
        for values in product(*chosen.values())
    }
    grid = [identity(hparams) for hparams in setting.grid()]
    assert len(grid) == len(set(grid))
    assert set(grid) == oracle


def test_an_unknown_searcher_is_refused_with_the_list():
    with pytest.raises(UsageError, match='\'tpe\': must be one of "ax", "bohb", "sobol", "random", "grid"'):
        registry.build("tpe", make_setting(MIXED))


def test_a_setting_that_contradicts_its_table_is_refused():
    good = make_setting(MIXED)
    space = make_setting({"dropout": "uniform(0, 0.5)"}).space
    rows = tuple(row for row in TABLE if row.name != "dropout")
    with pytest.raises(UsageError, match="dropout is searched but"):
        SearchSetting(good.defaults, space, rows, 0, 0, 4)
    defaults = {name: value for name, value in DEFAULTS.items() if name != "momentum"}
    with pytest.raises(UsageError, match="momentum has no default"):
        SearchSetting(defaults, good.space, TABLE, 0, 0, 4)


def test_a_default_outside_its_row_is_refused():
    with pytest.raises(UsageError, match="learning_rate = -1.0"):
        ask("sobol", 1, learning_rate=-1.0)
