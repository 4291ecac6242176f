"""What a deployed model decides: on its probabilities as they are, rounded only where they are written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from nachos_jax.protocol.model import decision
from nachos_jax.protocol.model.deployed import DeployedModel, Network

DESCRIPTION = {
    "classes": ["benign", "malignant"],
    "channels": 1,
    "preparation": {"height": 1, "width": 1},
    "decision": {"positive": "malignant", "threshold": 1 - 5e-9, "temperature": 1.0},
}
LOGITS = np.asarray([[0.0, 18.4], [0.0, 20.0]], np.float32)


def test_a_probability_below_a_threshold_near_1_does_not_pass_it():
    """Both are 1 in float32."""
    architecture: Any = SimpleNamespace(task=SimpleNamespace(held_batch=2))
    weights: Any = {}
    model = DeployedModel(DESCRIPTION, [Network(architecture, weights, lambda _: LOGITS)])
    images = np.zeros((2, 1, 1, 1), np.uint8)
    shown, column = decision.applied(DESCRIPTION, model.unrounded(images), ["threshold"])
    assert column == ("called_malignant", ["no", "yes"])
    np.testing.assert_array_equal(shown, model.predictions(images))
    assert shown.dtype == np.float32
    assert shown[:, 1].tolist() == [1.0, 1.0]
    assert model.predictions(images[:0]).shape == (0, 2)
