"""What users search and no trial could have is refused at the door; what the default space holds is not."""

from __future__ import annotations

from typing import Any

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.run import door
from nachos_jax.protocol.run.configure import checked
from tests import masks, tiny


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"training__optimizer": "adamw", "search__space__momentum": "uniform(0.6, 0.9)"},
            r"config\.search\.space\.momentum does nothing beside optimizer = 'adamw': .* acts with 'sgd'\. "
            r"Set config\.training\.optimizer to one of these, or config\.search\.space\.momentum to ''",
        ),
        (
            {"search__space__beta1": "uniform(0.6, 0.9)"},
            r"config\.search\.space\.beta1 does nothing beside optimizer = 'sgd': .* with 'adam', 'adamw'",
        ),
    ],
)
def test_a_space_that_no_trial_reaches_is_refused(changes: dict[str, Any], told: str):
    cohort = tiny.cohort()
    run = tiny.run_config(**changes)
    with pytest.raises(UsageError, match=told):
        door.check(run, cohort, tiny.folds(cohort))
    door.check(run, cohort, tiny.folds(cohort), begun=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"training__optimizer": "adamw", "search__space__momentum": "uniform(0.5, 0.99)"},
        {"search__space__optimizer": "choice('sgd', 'adam')", "search__space__beta1": "uniform(0.6, 0.9)"},
        {
            "search__space__architecture": "choice('cnn', 'resnet')",
            "search__space__resnet__width": "choice(4, 8)",
        },
    ],
)
def test_a_space_that_some_trial_reaches_and_the_default_one_are_not(changes: dict[str, Any]):
    cohort = tiny.cohort()
    door.check(tiny.run_config(**changes), cohort, tiny.folds(cohort))


def test_what_is_planned_from_the_cases_bars_nothing():
    run = masks.config(model__unet__depth=0, search__space__unet__deep_supervision="choice(False, True)")
    door.check_space(checked(run))
    run = masks.config(model__unet__depth=2, search__space__unet__deep_supervision="choice(False, True)")
    with pytest.raises(UsageError, match="does nothing beside unet.depth = 2"):
        door.check_space(checked(run))


def test_a_space_of_another_network_is_told(caplog: pytest.LogCaptureFixture):
    cohort = tiny.cohort()
    run = tiny.run_config(model__architecture="resnet", search__space__cnn__width="choice(4, 8)")
    door.check(run, cohort, tiny.folds(cohort))
    assert "config.search.space.cnn.width does nothing: the network is resnet" in caplog.text
