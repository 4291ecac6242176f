"""Runs that began under the default policy of an earlier version."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nachos_jax.config.differences import differences
from nachos_jax.config.parsing import POLICY
from nachos_jax.protocol.run import begun
from tests import tiny


def store(policy: str | None) -> Any:
    """A run directory that began so; None for a new one."""
    known = None if policy is None else {"config": tiny.run_config(search__policy=policy).raw}
    return cast(Any, SimpleNamespace(run=lambda: known))


@pytest.mark.parametrize("then", ["race", "race-short"])
def test_a_config_that_leaves_the_policy_open_takes_the_default_of_then(then):
    config = tiny.run_config(search__policy="")
    assert config.search.policy == POLICY != then
    found = begun.settled(config, store(then))
    assert found.search.policy == found.raw["search"]["policy"] == then
    assert differences(store(then).run()["config"], found.raw, found.table) == []
    assert config.raw["search"]["policy"] == POLICY, "the config itself stays what it was"


@pytest.mark.parametrize("then", [None, POLICY, "full", "hyperband"])
def test_nothing_else_is_taken_from_a_directory(then):
    config = tiny.run_config(search__policy="")
    assert begun.settled(config, store(then)) is config


def test_a_policy_that_is_named_stays():
    config = tiny.run_config(search__policy=POLICY)
    assert begun.settled(config, store("race")) is config
