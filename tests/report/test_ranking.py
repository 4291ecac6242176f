"""Curves rank cases as the areas that are printed in them do."""

from __future__ import annotations

import numpy as np
import pytest

from nachos_jax.metrics import classification, curves
from nachos_jax.report.sections.classification import figures


@pytest.mark.parametrize("event", [0, 1])
def test_the_curve_of_two_classes_has_the_area_whichever_is_drawn(event: int):
    """Logits that differ by 40 and more all give a probability of 1."""
    labels = np.asarray([0, 1, 0, 1, 0, 1])
    logits = np.asarray([40.0, 50.0, 45.0, 60.0, -60.0, -40.0])
    predicted = np.stack([1 / (1 + np.exp(logits)), 1 / (1 + np.exp(-logits))], axis=1)
    drawn = curves.roc(labels == event, figures._scores(predicted, event))
    area = classification.evaluate("auc", labels, predicted, ("no", "yes")).value
    assert np.trapezoid(drawn.y, drawn.x) == pytest.approx(area)
    assert len(drawn.x) == 7, "a point a case: none are tied"


def test_of_many_classes_each_has_its_probability():
    predicted = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    np.testing.assert_array_equal(figures._scores(predicted, 2), predicted[:, 2])
