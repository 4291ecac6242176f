"""Losses that are solved: where a case is certain, its gradient keeps its digits in single precision."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit, softmax

from nachos_jax.tasks.classification import ClassDevice
from nachos_jax.tasks.multilabel import LabelsDevice
from nachos_jax.tasks.task import Told


def slopes(device: Any, outputs: np.ndarray, targets: Any, own: dict[str, Any]) -> np.ndarray:
    told = Told(None, None, own, {"label_smoothing": jnp.float32(0.0)})
    chosen = jnp.ones(len(outputs), bool)
    return np.asarray(jax.grad(lambda x: device.total(x, targets, chosen, told)[0])(jnp.asarray(outputs)))


def test_of_classes():
    outputs = np.asarray([[20.0, 0.0, -3.0], [-2.0, 0.5, 25.0]], np.float32)
    labels = jnp.asarray([0, 2], jnp.int32)
    found = slopes(ClassDevice(3), outputs, labels, {"class_weights": jnp.ones(3)})
    p = softmax(outputs.astype(np.float64), axis=1)
    others = p * (np.arange(3) != np.asarray(labels)[:, None])
    wanted = np.where(others > 0, others, -others.sum(1, keepdims=True))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_of_labels():
    outputs = np.asarray([[20.0, -20.0], [-18.0, 25.0]], np.float32)
    there = np.asarray([[1.0, 0.0], [0.0, 1.0]], np.float32)
    found = slopes(LabelsDevice(2), outputs, jnp.asarray(there), {"weights": jnp.ones((2, 2))})
    wrong = np.where(there > 0.5, -outputs, outputs).astype(np.float64)
    np.testing.assert_allclose(found, np.where(there > 0.5, -1, 1) * expit(wrong), rtol=1e-5)
