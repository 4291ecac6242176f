"""Lanes that learn masks: the same beside others, from disk and on any device, and they learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.core.hparams import active
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.engine import memory
from nachos_jax.protocol.run.configure import checked
from tests import masks, tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def cohort():
    return masks.cohort()


def trained(cohort, fits: list[dict[str, Any]], devices: int = 1, **changes: Any):
    """Records, payloads by number of the fit, and the pool."""
    run = checked(masks.config(**changes))
    made = []
    for number, values in enumerate(fits):
        own = active({**run.defaults, **values}, run.table)
        limit, left_out = (EpochLimit(2), (number % masks.FOLDS,)) if number % 2 else (run.limit, (0, 1))
        made.append(Fit(own, left_out, run.seed, limit, "cases"))
    records, payloads, pool = tiny.train(made, run, cohort, devices=devices)
    return [records[fit.id] for fit in made], [payloads[fit.id] for fit in made], pool


FITS: list[dict[str, Any]] = [
    {"learning_rate": 0.02},
    {"learning_rate": 0.003, "segmentation.normalisation": "ct"},
    {"learning_rate": 1e30},
]
TOGETHER = {"engine__lanes": 2, "training__epochs": 20, "training__patience": 20}


@pytest.fixture(scope="module")
def together(cohort):
    """All fits in lanes beside each other; one of them meets NaN."""
    return trained(cohort, FITS, **TOGETHER)


@pytest.mark.thorough
def test_a_fit_beside_others_is_bit_for_bit_what_it_is_alone(cohort, together):
    records, payloads, _ = together
    assert records[2].status == "diverged"
    for number in (0, 1):
        alone, own, _ = trained(cohort, [{}] * number + [FITS[number]], **TOGETHER)
        assert alone[number] == records[number]
        assert own[number] == payloads[number]


@pytest.mark.thorough
def test_masks_are_learnt(together):
    (record, *_), _, _ = together
    scores = [score for curve in record.curves.values() for score in curve.score]
    assert max(score for score in scores if score is not None) > 0.4
    losses = [loss for loss in record.training_loss if loss is not None]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.thorough
@pytest.mark.parametrize("budget", [False, True])
def test_streamed_cases_give_what_resident_ones_give(budget: bool, monkeypatch: pytest.MonkeyPatch):
    """Resampled ones, which bring more along; streamed as asked for, or as a device is too small."""
    given = [replace(pair, spacing=(2.0, 1.0, 1.0 + 0.1 * row)) for row, pair in enumerate(masks.pairs())]
    cohort = masks.cohort(masks.Rules(spacing="median"), given)
    changes = {"data__window": 4, "training__batch_size": 1}
    records, payloads, pool = trained(cohort, FITS[:2], **changes)
    # On two devices, what is more.
    if budget:
        monkeypatch.setattr(memory, "allowance", lambda *_: 2 * cohort.store.nbytes - 1)
    streamed, others, streaming = trained(
        cohort, FITS[:2], 2, data__residency="auto" if budget else "stream", **changes
    )
    assert (pool.streams, streaming.streams) == (False, True)
    for one, other in zip(records, streamed, strict=True):
        assert other.training_loss == pytest.approx(one.training_loss, rel=1e-4)
    for one, other in zip(payloads, others, strict=True):
        for name, data in one.items():
            ours, theirs = load(data), load(other[name])
            for key in ours:
                np.testing.assert_allclose(theirs[key], ours[key], rtol=1e-2, atol=1e-3)
