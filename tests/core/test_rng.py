"""Random streams: their names and first values are part of every stored result."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nachos_jax.core import rng
from nachos_jax.core.rng import Purpose
from nachos_jax.core.types import EpochLimit, Fit

FIT = Fit({"learning_rate": 0.02, "optimizer": "sgd"}, (0, 3), 7, EpochLimit(30, 8, 0.0), "abc")
STREAMS = [[499994104, 772345254], [495281689, 302802009], [1045876666, 2318775679], [1745853803, 65194210]]
STREAMS += [[1938219513, 245571295]]
BITS = {"INIT": 3573693685, "ORDER": 1408158944, "AUGMENT": 4078063115, "DROPOUT": 1234276767}
BITS |= {"DRAW": 4173304268}


def test_purposes_keep_their_numbers():
    assert [(purpose.name, purpose.value) for purpose in Purpose] == [
        ("INIT", 0),
        ("ORDER", 1),
        ("AUGMENT", 2),
        ("DROPOUT", 3),
        ("DRAW", 4),
    ]


def test_streams_keep_their_values():
    assert rng.streams(FIT).tolist() == STREAMS


def test_keys_draw_what_they_always_drew():
    streams = jnp.asarray(rng.streams(FIT))
    drawn = {purpose.name: int(jax.random.bits(rng.key(streams, purpose, 5))) for purpose in Purpose}
    assert drawn == BITS


def test_the_limit_and_the_cases_do_not_reach_the_streams():
    other = dataclasses.replace(FIT, limit=EpochLimit(3), cases="xyz")
    np.testing.assert_array_equal(rng.streams(other), rng.streams(FIT))
    turned = dataclasses.replace(FIT, hparams=dict(reversed(list(FIT.hparams.items()))))
    np.testing.assert_array_equal(rng.streams(turned), rng.streams(FIT))


def test_seed_folds_and_hyperparameters_each_change_every_stream():
    changes: tuple[dict[str, Any], ...] = (
        {"seed": 8},
        {"left_out": (0,)},
        {"left_out": ()},
        {"hparams": {**FIT.hparams, "learning_rate": 0.021}},
    )
    all_streams = [rng.streams(FIT), *(rng.streams(dataclasses.replace(FIT, **change)) for change in changes)]
    keys = [tuple(row) for streams in all_streams for row in streams.tolist()]
    assert len(set(keys)) == len(keys) == len(all_streams) * len(Purpose)


def test_every_purpose_and_step_has_a_key_of_its_own():
    streams = rng.streams(FIT)
    assert (streams.shape, streams.dtype) == ((len(Purpose), 2), np.uint32)
    data = [
        tuple(np.asarray(jax.random.key_data(rng.key(jnp.asarray(streams), purpose, step))).tolist())
        for purpose in Purpose
        for step in range(50)
    ]
    assert len(set(data)) == len(data)


def test_a_lane_under_vmap_draws_the_bits_of_a_solo_run():
    many = jnp.asarray([rng.streams(dataclasses.replace(FIT, seed=seed)) for seed in range(3)])

    def draw(streams, step):
        return jax.random.uniform(rng.key(streams, Purpose.ORDER, step), (5,))

    together = jax.jit(jax.vmap(draw))(many, jnp.arange(3, dtype=jnp.int32))
    for lane in range(3):
        np.testing.assert_array_equal(together[lane], draw(many[lane], lane))
