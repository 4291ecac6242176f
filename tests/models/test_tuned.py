"""Every family of the zoo can be split at a freeze point: nothing is lost, nothing is trained twice."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nachos_jax.models import tuned
from nachos_jax.models.tuned import ACTIVATIONS, PIXELS, Part, layout
from nachos_jax.models.zoo import registry
from nachos_jax.models.zoo.place import noted
from tests.tiers import mostly_thorough

SIDE = 80
FAMILIES = ("resnet18", "efficientnet_b0", "efficientnet_lite0", "vit_small_patch16", "convnext_tiny")
FAMILIES += ("densenet121", "mobilenet_v3_large", "vgg16", "efficientnet_v2_s", "inception_v3", "xception")


@mostly_thorough("name", FAMILIES, kept=("resnet18", "vgg16", "convnext_tiny", "efficientnet_lite0"))
def test_the_weights_of_front_and_tail_are_those_of_the_network(name: str):
    network = registry.network(name)
    layer, start = network.layers[-1], network.layers[-3]
    whole = noted(lambda w, x: network.features(w, x, layer), (1, SIDE, SIDE, 3))
    found = layout(Part(network, start, layer, PIXELS, (SIDE, SIDE, 3)))
    trained = [weight for stage in found.trained for weight in stage]
    parts = [*found.front, *trained, *found.statistics]
    assert len(parts) == len(set(parts))
    assert set(parts) == set(whole.zeros)
    assert trained
    assert not [weight for weight in trained if "running" in weight]
    assert found.features == whole.shape[1]

    # Given activations a lane holds the same, without the front.
    front, _ = network.split(start, layer)
    shape = (1, SIDE, SIDE, 3)
    for stage in front.values():
        shape = noted(stage, shape).shape
    alone = layout(Part(network, start, layer, ACTIVATIONS, shape[1:]))
    assert (alone.front, alone.trained, alone.features) == ({}, found.trained, found.features)
    everything = layout(Part(network, "all", layer, PIXELS, (SIDE, SIDE, 3)))
    assert not everything.front
    assert len(everything.trained) > len(found.trained)


def test_rates_fall_from_the_head_and_stand_at_0_while_it_is_alone():
    stages = (("a",), ("b", "c"), ("d",))
    traced = {"tuned.backbone_rate": 0.5, "tuned.layer_decay": 0.1, "tuned.head_epochs": 2.0}
    traced = {name: jnp.float32(value) for name, value in traced.items()}
    for epoch, top in ((0, 0.0), (1, 0.0), (2, 0.5), (7, 0.5)):
        found = tuned._by_name(stages, traced, jnp.int32(epoch))["pretrained"]
        expected = {"a": 0.01 * top, "b": 0.1 * top, "c": 0.1 * top, "d": top}
        assert set(found) == set(expected)
        np.testing.assert_allclose([found[n] for n in "abcd"], [expected[n] for n in "abcd"], rtol=1e-6)
