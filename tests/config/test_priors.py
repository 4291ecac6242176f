"""Configurations that the user wants tried: how they come back, and which are refused."""

from __future__ import annotations

import json

import pytest

from nachos_jax import default_config
from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.run.configure import checked
from tests.fields import plain

PRIORS = [{"learning_rate": 0.05, "momentum": 0.7}, {"weight_decay": 1e-5, "optimizer": "sgd"}]


def test_priors_come_back_in_the_type_of_their_rows_and_as_they_were_written():
    config = default_config()
    config.data.source = "digits"
    config.search.priors = tuple(PRIORS)
    run = checked(config)
    assert run.search.priors == tuple(PRIORS)
    assert checked(json.loads(json.dumps(run.raw))) == run


@pytest.mark.parametrize(
    ("prior", "parts"),
    [
        ({"lerning_rate": 0.1}, ["config.search.priors[1]['lerning_rate']", "did you mean 'learning_rate'?"]),
        (
            {"learning_rate": "fast"},
            ["config.search.priors[1]['learning_rate'] = 'fast'", "must be a number"],
        ),
        ({"learning_rate": 5.0}, ["= 5.0 lies outside", "widen config.search.space.learning_rate"]),
        ({"dropout": 0.5}, ["= 0.5 is not searched", "search it in config.search.space.dropout"]),
    ],
)
def test_a_prior_that_cannot_be_tried_is_refused_with_the_cure(prior, parts):
    with pytest.raises(UsageError) as refusal:
        checked(plain(search__priors=[PRIORS[0], prior]))
    assert all(part in str(refusal.value) for part in parts)


def test_priors_are_dictionaries_and_fewer_than_trials():
    with pytest.raises(UsageError, match="config.search.priors = .*must be dictionaries, like"):
        checked(plain(search__priors=["learning_rate"]))
    with pytest.raises(UsageError, match="3 configurations.*trials to 4 at least"):
        checked(plain(search__priors=[PRIORS[0]] * 3, search__trials=3))
    assert len(checked(plain(search__priors=[PRIORS[0]] * 3, search__trials=4)).search.priors) == 3
