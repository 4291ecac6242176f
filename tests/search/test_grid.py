"""The grid: everything once, in an order that only the seed changes, and refusals with a cure."""

from __future__ import annotations

import pytest

from nachos_jax.core import space
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import by_name
from nachos_jax.search import grid_search, registry
from nachos_jax.search.searcher import identity
from tests.search.settings import TABLE, make_setting

TEXTS = {
    "optimizer": "choice('sgd', 'adam')",
    "nesterov": "choice(True, False)",
    "cnn.width": "integer(1, 40)",
}


def grid(**more):
    return registry.build("grid", make_setting(TEXTS, **more)).ask(1000, [])


def test_every_configuration_once_the_default_first_the_rest_shuffled_by_the_seed():
    proposals = grid()
    assert len(proposals) == len({identity(p.hparams) for p in proposals}) == 3 * 40
    assert {p.origin for p in proposals[1:]} == {"grid"}
    assert {identity(p.hparams) for p in proposals} == set(map(identity, make_setting(TEXTS).grid()))
    assert grid(study=3) == grid(study=None) == proposals
    assert grid(seed=1)[1:] != proposals[1:]
    half = [int(p.hparams["cnn.width"]) for p in proposals[1:60]]
    assert min(half) <= 5, "half of a grid reaches everywhere"
    assert max(half) >= 35


@pytest.mark.parametrize("text", ["uniform(0.0, 0.5)", "log(1e-4, 1.0)"])
def test_a_range_of_real_numbers_is_refused_with_values_that_work(text):
    name = "dropout" if text.startswith("uniform") else "learning_rate"
    with pytest.raises(UsageError, match=f"config.search.space.{name} is a range") as refusal:
        registry.build("grid", make_setting({name: text}))
    cure = str(refusal.value).split('"')[1]
    assert space.parse(cure, by_name(TABLE)[name], name).kind == "choice"
    assert len(registry.build("grid", make_setting({name: cure})).ask(9, [])) >= 3


def test_a_range_that_nothing_makes_active_does_not_matter():
    assert len(registry.build("grid", make_setting({"beta1": "uniform(0.5, 0.9)"})).ask(9, [])) == 1


def test_a_grid_beyond_all_trials_is_refused(monkeypatch):
    assert grid_search.LARGEST == 100_000
    monkeypatch.setattr(grid_search, "LARGEST", 2000)  # to count more takes seconds
    with pytest.raises(UsageError, match="more than 2,000"):
        registry.build("grid", make_setting({"cnn.width": "integer(1, 1024)", "batch_size": "integer(1, 2)"}))
