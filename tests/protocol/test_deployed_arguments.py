"""What a deployed model is asked from Python: arguments that would be taken for something else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nachos_jax import UsageError
from nachos_jax.protocol.model.deployed import DeployedModel, Network

DESCRIPTION = {
    "classes": ["benign", "malignant"],
    "channels": 1,
    "preparation": {"height": 1, "width": 1},
}
IMAGES = np.zeros((3, 1, 1, 1), np.uint8)
KEPT: Any = {"classes": [0, 1, 1], "method": "gradcam"}


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The classes that a network is asked about."""
    asked: list[np.ndarray] = []

    def explain(_: Any, _images: Any, classes: np.ndarray) -> Any:
        asked.append(classes)
        return SimpleNamespace(maps=np.zeros((len(classes), 1, 1)), peak=np.zeros(len(classes)))

    monkeypatch.setattr("nachos_jax.protocol.model.networks.explainer", lambda *_: explain)
    return asked


def model() -> DeployedModel:
    network: Any = SimpleNamespace(task=SimpleNamespace(held_batch=3))
    return DeployedModel(DESCRIPTION, [Network(network, {}, None)])  # pyrefly: ignore[bad-argument-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classes": [1, 1]},
            r"classes of shape \(2,\), dtype int64: .* for each image, \[3\], its place in",
        ),
        ({"classes": 1}, r"classes of shape \(\), dtype int64"),
        ({"classes": np.ones((3, 1), int)}, r"classes of shape \(3, 1\), dtype int64"),
        ({"classes": ["benign", "benign", "malignant"]}, r"dtype <U9: .* its place in 'benign', 'malignant'"),
        ({"classes": [0, 1, 2]}, r"classes\[2\] = 2: must be a whole number from 0 to 1"),
        ({"classes": [0, -1, 0]}, r"classes\[1\] = -1: must be"),
        ({"classes": [0.7, 0, 0]}, r"classes\[0\] = 0.7: must be"),
        ({"classes": [0, np.nan, 0]}, r"classes\[1\] = nan: must be"),
        ({"method": "grad-cam"}, "method = 'grad-cam': must be one of 'gradcam', 'occlusion'"),
    ],
    ids=str,
)
def test_classes_and_methods_that_there_are_not_are_not_explained(explained, changes, message):
    with pytest.raises(UsageError, match=message):
        model().explain(IMAGES, **{**KEPT, **changes})
    assert not explained


@pytest.mark.parametrize("kind", [int, float, np.uint8, bool])
def test_whole_numbers_of_any_type_are_classes(explained, kind):
    model().explain(IMAGES, np.asarray([0, 1, 1], kind))
    assert [classes.tolist() for classes in explained] == [[0, 1, 1]]
    assert explained[0].dtype == np.int32
