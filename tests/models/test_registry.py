"""The registry: what it finds, what it refuses, and that one file is enough to add an architecture."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from nachos_jax import models
from nachos_jax.core.hparams import by_name
from nachos_jax.models import registry
from nachos_jax.models.blocks import Mode, evaluation

BEFORE = ("cnn", "gradient_boosting", "linear", "logistic", "mlp", "random_forest")


def test_rows_and_defaults_agree():
    rows = registry.hyperparameters()
    assert registry.names() == (*BEFORE, "resnet", "tuned", "unet")
    assert [row.name for row in rows[:2]] == ["architecture", "norm"]
    assert len(by_name(rows)) == len(rows)
    nested = registry.defaults()
    assert nested["architecture"] == "cnn"
    assert nested["norm"] == "batch"
    assert nested["cnn"] == {"stages": 3, "width": 16}
    assert nested["resnet"] == {"depth": 18, "version": 1, "width": 64, "stem": "small"}
    for row in rows:
        owner, _, name = row.name.partition(".")
        traced = row.name == "linear.c" or (bool(name) and registry.hosted(owner))
        traced = traced or (owner == "tuned" and name != "statistics")
        assert row.static != traced, "one solution serves all strengths of a penalty"
        assert row.check(row.default, row.name) == row.default


@pytest.fixture
def another_file(tmp_path, monkeypatch):
    """Puts a file beside the architectures, for the length of a test."""

    def write(text):
        (tmp_path / "tiny.py").write_text(textwrap.dedent(text))
        registry._files.cache_clear()

    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    yield write
    sys.modules.pop("nachos_jax.models.tiny", None)
    registry._files.cache_clear()


TINY = """
    from flax import nnx
    from nachos_jax.core.hparams import Hyperparameter
    from nachos_jax.models.blocks import Head, draw_weights

    HYPERPARAMETERS = (
        Hyperparameter("tiny.x", "integer", 1, 9, when=("architecture", ("tiny",)), default=DEFAULT),
    )

    def build(hparams, shape, outputs, dtype, lowering, rngs):
        network = Head(shape[-1], outputs)
        draw_weights(network, rngs)
        return network
"""


def test_one_file_adds_an_architecture(another_file):
    another_file(TINY.replace("DEFAULT", "4"))
    assert registry.names() == (*BEFORE, "resnet", "tiny", "tuned", "unet")
    assert registry.defaults()["tiny"] == {"x": 4}
    chosen = {"architecture": "tiny", "norm": "batch", "tiny.x": 4}
    registry.check(chosen, (1, 1, 2))
    module = registry.build(chosen, (4, 4, 2), 3, jnp.float32, "lax", nnx.Rngs(params=jax.random.key(0)))
    x = jnp.zeros((5, 4, 4, 2))
    for mode in (Mode(True, 0.1, jax.random.key(0), {}), evaluation({"tiny.x": 4.0})):
        assert module(x, mode).shape == (5, 3)
    assert registry.frozen(chosen) == {}


def test_frozen_weights_are_those_of_the_file(another_file):
    more = """
    def frozen(hparams):
        return {"backbone": hparams["tiny.x"]}
    """
    another_file(TINY.replace("DEFAULT", "4") + more)
    assert registry.frozen({"architecture": "tiny", "norm": "batch", "tiny.x": 4}) == {"backbone": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TINY.replace("DEFAULT", "None"), "with a default"),
        (TINY.replace("DEFAULT", "4").replace("tiny.x", "other.x"), "must be called tiny.x"),
        (TINY.replace("DEFAULT", "4").replace("def build", "def make"), "no function build"),
        (TINY.replace("DEFAULT", "40"), "from 1 to 9"),
    ],
)
def test_a_file_that_breaks_the_contract_is_refused(another_file, text, message):
    another_file(text)
    with pytest.raises((TypeError, ValueError), match=message):
        registry.names()


@pytest.mark.thorough
def test_reading_the_table_starts_no_device():
    code = (
        "from nachos_jax.models import registry; registry.defaults();"
        "from jax._src import xla_bridge; assert not xla_bridge._backends"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
