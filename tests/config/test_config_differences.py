"""What may differ between a config and that of a run which is taken up again."""

from __future__ import annotations

import json

import pytest

from nachos_jax import default_config
from nachos_jax.config.differences import differences
from nachos_jax.configs import base
from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.protocol.run.configure import checked
from tests.fields import leaves, plain, with_value

FIELDS = dict(leaves(plain()))
SAME_RESULTS = {"data.cache", "data.path", "data.residency", "data.spellings", "deploy.members"}
SAME_RESULTS |= {"data.equal_images", "data.allow", "data.external_path"}
SAME_RESULTS |= {"backbone.weights", "backbone.licence", "backbone.pretrained_on"}
SAME_RESULTS |= {key for key in FIELDS if key.startswith(("engine.", "report."))}
UNTRIED = {key for key in FIELDS if key.startswith("model.") and key.count(".") == 2}
UNTRIED -= {key for key in UNTRIED if key.startswith("model.cnn.")}


@pytest.mark.parametrize("key", FIELDS)
def test_a_field_that_can_change_results_is_a_difference(key):
    new = with_value(key, "another")
    old = plain(task__name=new["task"]["name"] if key != "task.name" else "classification")
    lines = differences(old, new)
    assert lines == ([] if key in SAME_RESULTS | UNTRIED else [f"{key}: {FIELDS[key]!r} -> 'another'"])
    assert differences(old, old) == []


def test_fields_that_came_or_went_are_differences_too():
    old, new = plain(), plain()
    del new["training"]["dropout"]
    new["training"]["newest"] = 3
    assert differences(old, new) == ["training.dropout: 0.0 -> None", "training.newest: None -> 3"]


def test_the_stored_form_of_a_config_is_no_difference():
    stored = json.loads(json.dumps(checked(default_config_on_digits()).raw))
    assert differences(stored, checked(default_config_on_digits()).raw) == []
    assert stored["search"]["metric"] == "balanced_accuracy", "as it was resolved"


def default_config_on_digits():
    config = default_config()
    config.data.source, config.data.classes = "digits", ("a", "b")
    return config


def test_a_run_of_before_the_protocol_was_a_field_is_taken_up_as_nested():
    old = plain()
    del old["protocol"]
    del old["report"]
    assert differences(old, plain()) == []
    assert differences(old, with_value("protocol", "flat")) == ["protocol: 'nested' -> 'flat'"]


def test_a_run_of_before_there_were_tasks_is_taken_up_as_a_classification():
    old = plain()
    del old["task"]
    del old["data"]["target_keys"]
    for name in ("classification", "regression", "segmentation"):
        del old["search"]["space"][name]
    assert differences(old, plain(), base.table()) == []
    lines = ["task.name: 'classification' -> 'regression'"]
    assert differences(old, with_value("task.name", "regression"), base.table()) == lines


@pytest.mark.parametrize("section", ["model", "task"])
def test_an_architecture_or_a_task_that_the_older_version_lacked_is_no_difference(section):
    new = plain()
    new["model"]["architecture"] = "newest"  # what none tries makes no difference
    new[section]["newest"] = {"width": 3}
    new["search"]["space"]["newest"] = {"width": ""}
    assert differences(plain(model__architecture="newest"), new) == []
    old = json.loads(json.dumps(new))
    new[section]["newest"]["depth"] = 2
    assert differences(old, new) == [f"{section}.newest.depth: None -> 2"]


def test_a_later_row_is_a_difference_only_away_from_what_was_done_before_it():
    row = Hyperparameter("momentum_of_the_mean", "float", 0.0, 1.0, default=0.0, absent=0.0)
    new = plain()
    new["training"][row.name], new["search"]["space"][row.name] = 0.0, ""
    assert differences(plain(), new, [row]) == []
    new["training"][row.name] = 0.5
    assert differences(plain(), new, [row]) == ["training.momentum_of_the_mean: 0.0 -> 0.5"]


@pytest.mark.parametrize("idle", [{"data__source": "csv"}, {"data__target_keys": ["tall", "wide"]}])
def test_class_names_that_nothing_reads_are_no_difference(idle):
    """A run that began with such a key, which is refused now, goes on once the key is taken away."""
    old, new = plain(**idle, data__label_names_key="names"), plain(**idle)
    assert differences(old, new) == []
    assert differences(new, old) == []
    read = plain(data__source="npz", data__label_names_key="names")
    assert differences(read, plain(data__source="npz")) == ["data.label_names_key: 'names' -> 'label_names'"]
    assert "data.label_names_key: 'names' -> 'label_names'" in differences(old, plain(data__source="npz"))
