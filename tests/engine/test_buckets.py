"""Which fits may share a compiled program."""

from __future__ import annotations

import dataclasses

import pytest

from nachos_jax.core.types import EpochLimit
from nachos_jax.engine.buckets import bucket_of
from tests import tiny


@pytest.fixture(scope="module")
def run():
    return tiny.run_config()


def bucket(run, **hparams):
    return bucket_of(tiny.fit(run, **hparams), run.table)


def test_values_that_keep_shapes_share_a_bucket(run):
    fit = tiny.fit(run)
    others = [
        dataclasses.replace(fit, left_out=(2,)),
        dataclasses.replace(fit, seed=9),
        dataclasses.replace(fit, limit=EpochLimit(99)),
        tiny.fit(run, learning_rate=0.5, schedule="cosine", dropout=0.3, rotation=20.0, nesterov=False),
        tiny.fit(run, schedule="inverse_time", class_weight_exponent=1.0, label_smoothing=0.1),
    ]
    assert {bucket_of(other, run.table) for other in others} == {bucket_of(fit, run.table)}


def test_adam_and_adamw_share_a_bucket_and_sgd_has_its_own(run):
    assert bucket(run, optimizer="adam") == bucket(run, optimizer="adamw") != bucket(run, optimizer="sgd")
    assert dict(bucket(run, optimizer="adamw"))["optimizer"] == "adam"


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 8), ("cnn.width", 8), ("cnn.stages", 2), ("norm", "group")]
)
def test_a_static_value_chooses_the_bucket(run, name, value):
    assert bucket(run, **{name: value}) != bucket(run)
    assert dict(bucket(run, **{name: value}))[name] == value


def test_another_architecture_has_another_bucket_without_the_rows_of_the_first(run):
    names = set(dict(bucket(run, architecture="resnet")))
    assert not any(name.startswith("cnn.") for name in names)
    assert any(name.startswith("resnet.") for name in names)


def test_a_bucket_is_in_the_order_of_the_table_whatever_the_order_of_the_fit(run):
    fit = tiny.fit(run)
    turned = dataclasses.replace(fit, hparams=dict(reversed(list(fit.hparams.items()))))
    order = [row.name for row in run.table if row.static and row.name in fit.hparams]
    assert [name for name, _ in bucket_of(turned, run.table)] == order
    assert bucket_of(turned, run.table) == bucket_of(fit, run.table)
