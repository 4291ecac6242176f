"""Streamed cases give what resident cases give: same batches, same curves, same weights."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.data.store import Dense
from nachos_jax.data.stream import WindowReader
from nachos_jax.engine import memory
from nachos_jax.engine.windows import divide
from tests import tiny
from tests.inputs import dense


@pytest.fixture(scope="module")
def cohort():
    return tiny.cohort()


def both(cohort, **changes):
    """Records and payloads of the same fits, resident and streamed, and the streaming pool."""
    found = []
    for residency in ("resident", "stream"):
        run = tiny.run_config(data__residency=residency, **changes)
        fits = [
            tiny.fit(run, (0, 1)),
            tiny.fit(run, (1, 3), learning_rate=0.1),
            tiny.fit(run, (2,), epochs=2),
        ]
        found.append(tiny.train(fits, run, cohort, devices=2))
    return found


@pytest.fixture(scope="module")
def trained(cohort):
    """What `both` gives for a packing and a window, trained once."""
    known = {}

    def find(packing, window):
        if packing not in known:
            changes = {"data__window": window, "engine__packing": packing, "engine__lanes": 2}
            known[packing] = both(cohort, training__batch_size=8, **changes)
        return known[packing]

    return find


@pytest.mark.parametrize(
    ("packing", "window", "windows"),
    [pytest.param("map", 96, 1, marks=pytest.mark.thorough), ("vmap", 40, 3)],
)
def test_streamed_fits_equal_resident_fits(trained, window, windows, packing):
    """A map over three windows: the test of augmentation below."""
    assert divide(tiny.CASES, window, 0).count == windows
    (records, payloads, _), (streamed, streamed_payloads, pool) = trained(packing, window)
    assert pool.streams
    assert streamed.keys() == records.keys()
    for fit, record in records.items():
        other = streamed[fit]
        np.testing.assert_allclose(other.training_loss, record.training_loss, rtol=1e-5)
        for fold, curve in record.curves.items():
            np.testing.assert_allclose(other.curves[fold].loss, curve.loss, rtol=1e-4)
        for name, data in payloads[fit].items():
            ours, theirs = load(data), load(streamed_payloads[fit][name])
            for key in ours:
                np.testing.assert_allclose(theirs[key], ours[key], rtol=1e-3, atol=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("deep", [False, True])
def test_streamed_augmentation_and_dropout_draw_the_same_numbers(cohort, deep):
    changes = {"data__window": 40, "training__batch_size": 8, "training__dropout": 0.3}
    changes |= {"augmentation__noise": 0.2, "augmentation__flip_vertical": 0.5}
    if deep:
        changes |= {"augmentation__rotation": 20.0, "augmentation__flip_depth": 0.5, "training__epochs": 2}
    (records, _, _), (streamed, _, pool) = both(tiny.volumes() if deep else cohort, **changes)
    assert pool.streams
    for fit, record in records.items():
        np.testing.assert_allclose(streamed[fit].training_loss, record.training_loss, rtol=1e-4)


@pytest.mark.thorough
def test_windows_change_the_batches_so_the_comparison_can_fail(trained):
    (whole, _, _), _ = trained("map", 96)
    (divided, _, _), _ = trained("vmap", 40)
    assert whole.keys() == divided.keys()
    for fit, record in whole.items():
        assert not np.allclose(divided[fit].training_loss, record.training_loss, rtol=1e-3)


def test_what_fits_into_half_of_the_memory_stays(cohort):
    size = dense(cohort).nbytes
    assert memory.stays("auto", size, 2 * size)
    assert not memory.stays("auto", size, 2 * size - 1)
    assert memory.stays("resident", size, 0)
    assert not memory.stays("stream", 0, size)


@pytest.mark.thorough
def test_automatic_residency_streams_what_does_not_fit(cohort, monkeypatch):
    run = tiny.run_config()
    assert not tiny.train([tiny.fit(run)], run, cohort)[2].streams
    monkeypatch.setattr(memory, "stays", lambda *_: False)
    assert tiny.train([tiny.fit(run)], run, cohort)[2].streams


def test_the_reader_yields_the_windows_asked_for(tmp_path):
    images = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(50, 3, 2, 1))
    images[:] = np.arange(50, dtype=np.uint8)[:, None, None, None]
    windows = divide(50, 16, seed=1)
    reader = WindowReader(Dense(images), np.arange(50), windows.cases.reshape(windows.count, -1))
    seen = []
    for number, pixels, labels in reader.read([2, 0, 3, 1]):
        real = windows.cases.reshape(windows.count, -1)[number] >= 0
        assert (pixels[real, 0, 0, 0] == labels[real]).all()
        assert (labels[real] == windows.cases.reshape(windows.count, -1)[number][real]).all()
        seen.append((number, set(labels[real].tolist())))
    assert [number for number, _ in seen] == [2, 0, 3, 1]
    assert set.union(*(cases for _, cases in seen)) == set(range(50))
