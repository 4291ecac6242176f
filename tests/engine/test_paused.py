"""A fit that goes on from a paused lane ends with the bytes of one that was never paused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.engine import paused
from nachos_jax.engine.bucket_lanes import FitResult
from nachos_jax.engine.pool import LanePool
from nachos_jax.engine.resume import Checkpoints
from tests import tiny
from tests.tiers import mostly_thorough

RUN = tiny.run_config(training__epochs=9, training__patience=4, engine__lanes=4)
SHORT = [EpochLimit(3, 3), EpochLimit(9, 1), EpochLimit(9, 2)]


def train(root: Path | None, fits: list[Fit]) -> tuple[dict[str, FitResult], int]:
    """Results by fit, and epochs trained."""
    cohort = tiny.cohort()
    place = None if root is None else Checkpoints(root, "20260101T000000-00000000-p0")
    pool = LanePool(cohort, tiny.folds(cohort), RUN, place)
    pool.submit(fits)
    found = {}
    while pool.busy or pool.waiting:
        found |= {result.record.fit: result for result in pool.step()}
    pool.close()
    return found, pool.spent.epochs


def full() -> list[Fit]:
    return [fit for fit in tiny.some_fits(RUN) if fit.limit == RUN.limit]


@pytest.mark.parametrize(
    "limit", [SHORT[0], *(pytest.param(limit, marks=pytest.mark.thorough) for limit in SHORT[1:])], ids=str
)
def test_a_longer_fit_goes_on_to_the_same_bytes(limit, tmp_path):
    short = [replace(fit, limit=limit) for fit in full()]
    before, first = train(tmp_path, short)
    assert len(list(paused.folder(tmp_path).iterdir())) == len(short)
    after, second = train(tmp_path, full())
    calm, whole = train(None, full())
    assert after == calm
    assert second < whole, "epochs were spared"
    longest = {r.record.hparams["learning_rate"]: r.record for r in before.values()}
    assert all(record.epochs <= 9 for record in longest.values())
    assert not list(paused.folder(tmp_path).iterdir()), "nothing can follow a full fit"
    assert first > 0


@pytest.mark.thorough
def test_what_a_short_fit_tells_is_the_beginning_of_what_the_long_one_tells(tmp_path):
    limit = EpochLimit(9, 2)
    short, _ = train(tmp_path, [replace(fit, limit=limit) for fit in full()])
    long, _ = train(None, full())
    by_stream = {(str(r.record.hparams), r.record.left_out): r.record for r in long.values()}
    for result in short.values():
        other = by_stream[str(result.record.hparams), result.record.left_out]
        for fold, curve in result.record.curves.items():
            assert other.curves[fold].loss[: len(curve.loss)] == curve.loss


@pytest.mark.thorough
def test_a_damaged_or_lost_lane_costs_epochs_only(tmp_path, caplog):
    train(tmp_path, [replace(fit, limit=SHORT[0]) for fit in full()])
    files = sorted(paused.folder(tmp_path).iterdir())
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-3])
    changed = bytearray(files[2].read_bytes())
    changed[-1] ^= 1
    files[2].write_bytes(bytes(changed))
    after, _ = train(tmp_path, full())
    assert after == train(None, full())[0]
    assert sum("is unreadable" in record.message for record in caplog.records) == 2


def test_a_lane_does_not_serve_a_fit_that_would_have_ended_before(tmp_path):
    fits = full()
    train(tmp_path, [replace(fit, limit=EpochLimit(9, 2)) for fit in fits])
    shorter = [replace(fit, limit=EpochLimit(1, 1)) for fit in fits]
    assert train(tmp_path, shorter)[0] == train(None, shorter)[0]


@pytest.mark.thorough
def test_a_fit_that_was_paused_and_not_recorded_is_not_trained_on(tmp_path):
    """As after a kill between the two: all orders of fits with such a lane and of fits without."""
    limit = EpochLimit(2, 2)
    short = [replace(fit, limit=limit) for fit in full()]
    calm, _ = train(None, short)
    train(tmp_path, short[1::2])
    for order in (short, short[::-1]):
        after, epochs = train(tmp_path, order)
        assert after == calm
        assert all(result.record.epochs <= 2 for result in after.values())
        assert epochs <= 2 * len(short)


def test_the_oldest_lanes_make_room(tmp_path, monkeypatch):
    lanes, arrays = paused.PausedLanes(tmp_path, RUN.limit), {"weights": np.zeros(1000, np.float32)}
    monkeypatch.setattr(paused, "MOST_BYTES", 3 * 4500)
    fits = [replace(fit, limit=SHORT[0]) for fit in full()[:5]]
    kept = []
    for number, fit in enumerate(fits):
        lanes.keep(fit, arrays, {})
        kept.append({path.name for path in paused.folder(tmp_path).iterdir()})
        for path in paused.folder(tmp_path).iterdir():
            if path.name not in set().union(*kept[:-1]):
                os.utime(path, (number, number))
    assert [len(names) for names in kept] == [1, 2, 3, 3, 3]
    assert not kept[-1] & kept[1], "the two that were kept first are gone"
    lanes.keep(fits[0], {"weights": np.zeros(10_000, np.float32)}, {})
    assert {path.name for path in paused.folder(tmp_path).iterdir()} == kept[-1], "too large for any room"


BESIDE = [(EpochLimit(9, 2), EpochLimit(9, 4)), (EpochLimit(9, 4), EpochLimit(9, 2)), (RUN.limit, RUN.limit)]


@mostly_thorough("limits", BESIDE, kept=1, ids=str)
def test_another_study_goes_on_from_a_lane_that_watched_its_fold_beside(limits, tmp_path):
    """Whatever each of them asks for, it gets the bytes of a fit that it has for itself."""
    sides = [
        [replace(fit, limit=limit, asked=(fit.left_out[k],), beside=(fit.left_out[1 - k],)) for fit in full()]
        for k, limit in enumerate(limits)
    ]
    spent = []
    for fits in sides:
        shared, epochs = train(tmp_path, fits)
        calm, _ = train(None, [replace(fit, beside=()) for fit in fits])
        assert shared == calm
        spent.append(epochs)
        assert all(set(shared[fit.id].record.curves) == set(fit.asked or ()) for fit in fits)
    alone = train(None, sides[1])[1]
    assert spent[1] < alone / 2, "most of it had been trained before"


def test_predictions_of_a_later_epoch_are_not_given_for_those_of_an_earlier_one(tmp_path):
    """A lane that went on to a better epoch has lost what it saw at the best one before."""
    fits = [replace(fit, asked=fit.left_out[:1], beside=fit.left_out[1:]) for fit in full()]
    train(tmp_path, fits)
    short = [replace(fit, asked=fit.beside, beside=fit.asked or (), limit=EpochLimit(2, 2)) for fit in fits]
    calm, _ = train(None, [replace(fit, beside=()) for fit in short])
    assert train(tmp_path, short)[0] == calm
