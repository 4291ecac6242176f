"""Fields that belong to one task."""

from __future__ import annotations

import pytest

from nachos_jax.config.defaults import default_values
from nachos_jax.config.parsing import parse
from nachos_jax.configs import base
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter

TABLE = base.table()


def test_a_run_has_the_hyperparameters_of_its_task_alone():
    row = Hyperparameter("regression.power", "float", 0.0, 9.0, default=2.0, tasks=("regression",))
    table = (*TABLE, row)
    values = default_values(table)
    values["data"]["source"] = "digits"
    values["search"]["space"]["regression"]["power"] = "uniform(1.0, 3.0)"
    values["search"]["space"]["label_smoothing"] = "uniform(0.0, 0.2)"
    headlines = {"classification": "balanced_accuracy", "regression": "mae"}
    values["search"]["space"]["regression"]["power"] = ""
    run = parse(values, default_values(table), table, headlines)
    assert run.search.metric == run.raw["search"]["metric"] == "balanced_accuracy"
    assert {"regression.power", "regression.loss"} & set(run.defaults) == set()
    assert [dimension.name for dimension in run.search.space] == ["label_smoothing"]
    values["task"]["name"] = "regression"
    with pytest.raises(UsageError, match="label_smoothing = 'uniform.*does nothing for config.task.name"):
        parse(values, default_values(table), table, headlines)
    values["search"]["space"]["label_smoothing"] = ""
    values["search"]["space"]["regression"]["power"] = "uniform(1.0, 3.0)"
    run = parse(values, default_values(table), table, headlines)
    assert run.search.metric == "mae"
    assert run.defaults["regression.power"] == 2.0
    assert "label_smoothing" not in run.defaults
    assert [dimension.name for dimension in run.search.space] == ["regression.power"]
    values["task"]["regression"]["power"] = 10.0
    with pytest.raises(
        UsageError, match=r"config\.task\.regression\.power = 10.0: must be a number from 0 to 9"
    ):
        parse(values, default_values(table), table, headlines)
