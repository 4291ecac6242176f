"""Decoding by processes: the same bytes, whatever crashes, hangs or is killed."""

from __future__ import annotations

import fcntl
import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import decode, decode_crew, sources, volume_files
from nachos_jax.data.pixels import Pixels
from nachos_jax.data.reading import Opening
from nachos_jax.runtime.alone import alone
from nachos_jax.tasks.classification import TASK
from tests.inputs import dense

STORED = {"height": 0, "width": 0, "channels": 0, "aspect": "stretch"}
FAULTY = """
import os, signal, time
import numpy as np
from nachos_jax.core.errors import UsageError

def open_cases(faults):
    def read(row):
        fault = faults.get(str(row), "")
        if fault.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, fault))
        if fault == "hang":
            time.sleep(600)
        if fault:
            raise UsageError(fault)
        return np.full((4, 5, 1), row % 251, np.uint8)
    return read
"""


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Pixels]:
    """Cases that other processes open, with faults by row."""
    (tmp_path / "faulty_cases.py").write_text(FAULTY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(count: int, **faults: str) -> Pixels:
        named = {name.removeprefix("row"): fault for name, fault in faults.items()}
        opening = Opening("faulty_cases", "open_cases", {"faults": named})
        return Pixels(count, lambda row: f"case {row}", opening)

    return make


def in_file(folder: Path) -> decode.Allocate:
    return lambda shape, dtype: np.lib.format.open_memmap(
        folder / f"{len(list(folder.iterdir()))}.npy", mode="w+", dtype=dtype, shape=shape
    )


def test_a_crash_is_the_fault_of_its_case_alone(cases: Callable[..., Pixels], tmp_path: Path):
    seen: list[int] = []
    pixels = cases(300, row0="SIGSEGV", row1="broken", row70="SIGABRT", row71="SIGSEGV", row299="SIGKILL")
    made = decode.decode(pixels, STORED, in_file(tmp_path), lambda done, _: seen.append(done))
    assert [row for row, _ in made.faults] == [0, 1, 70, 71, 299]
    assert [row for row, _ in made.transient] == [299]  # others end a process so, not a file
    told = dict(made.faults)
    assert told[1] == "case 1: broken"
    assert told[70].startswith("case 70: its decoder has crashed (SIGABRT)")
    assert "SIGSEGV" in told[0]
    assert "SIGSEGV" in told[71]
    kept = np.delete(np.arange(300), [0, 1, 70, 71, 299])
    np.testing.assert_array_equal(made.values[:, 0, 0, 0], kept % 251)
    assert seen[-1] == 300
    assert sum(made.sizes.values()) == 295


@pytest.mark.thorough
def test_a_decoder_that_hangs_is_ended(
    cases: Callable[..., Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(decode_crew, "PATIENCE", 4.0)
    made = decode.decode(cases(200, row40="hang"), STORED, in_file(tmp_path))
    assert [row for row, _ in made.faults] == [40]
    assert "still at work after 4 s" in made.faults[0][1]


def test_volumes_are_ordered_one_by_one_by_few_processes(
    cases: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(decode_crew.cores, "available", lambda: 96)
    counts: list[int] = []

    class Counted(decode_crew.Processes):
        def __init__(self, count: int, *more: Any):
            counts.append(count)
            super().__init__(0, *more)

    monkeypatch.setattr(decode_crew, "Processes", Counted)
    images = cases(20_000)
    opened = images.open
    assert isinstance(opened, Opening)
    volumes = replace(images, open=replace(opened, large=True))
    assert isinstance(volume_files.opening([]), Opening)
    assert volume_files.opening([]).large
    assert {len(block) for block in decode_crew.blocks_of(volumes)} == {1}
    assert len(decode_crew.blocks_of(images)[0]) > 1
    for pixels in (images, volumes):
        with decode_crew.crew(pixels, STORED):
            pass
    assert counts == [64, 16]


def test_an_answer_that_has_come_is_not_late(cases: Callable[..., Pixels], tmp_path: Path):
    images, done = in_file(tmp_path)((2, 4, 5, 1), np.dtype(np.uint8)), {}
    opened = cases(2).open
    assert isinstance(opened, Opening)
    with decode_crew.Processes(1, opened, STORED) as crew:
        free = crew._free()
        assert free is not None
        crew._send(free, 0, [0, 1], str(images.filename))  # pyrefly: ignore[missing-attribute]
        assert crew._answering(60.0)
        free.since -= 2 * decode_crew.PATIENCE
        answering, told = crew._answering, iter([[]])
        # As where this process slept between its wait and its look at the clock.
        crew._answering = lambda seconds: next(told, None) or answering(seconds)
        while not done:
            crew._hear(done, images)
    assert [one.fault for one in done[0]] == ["", ""]


def test_processes_that_cannot_start_say_why(cases: Callable[..., Pixels], tmp_path: Path):
    (tmp_path / "faulty_cases.py").write_text("raise ImportError('no such decoder')")
    with pytest.raises(UsageError, match=r"cannot start .*no such decoder"):
        decode.decode(cases(200), STORED, in_file(tmp_path))


@pytest.fixture
def data(config: Callable[..., DataConfig], tmp_path: Path) -> DataConfig:
    """230 pictures, enough for processes."""
    rng = np.random.default_rng(0)
    for number in range(230):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 7), np.uint8)).save(path)
    return config(source="folder", path=str(tmp_path / "images"), subject=WAIVER)


def test_processes_give_the_bytes_of_threads(data: DataConfig, monkeypatch: pytest.MonkeyPatch):
    by_processes = sources.load(data, TASK)
    monkeypatch.setattr(decode_crew, "FEW", 1000)
    by_threads = sources.load(replace(data, cache=data.cache + "2"), TASK)
    assert by_processes.hash == by_threads.hash
    np.testing.assert_array_equal(dense(by_processes), dense(by_threads))


LAUNCH = """
import json, sys
from nachos_jax.config.run_config import DataConfig
from nachos_jax.data import sources
from nachos_jax.tasks.classification import TASK
def progress(done, count):
    print("decoded", done, flush=True)
print(sources.load(DataConfig(**json.loads(sys.argv[1])), TASK, progress).hash)
"""


def launched(data: DataConfig) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LAUNCH, json.dumps(vars(data))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.thorough
def test_killed_at_any_point_the_next_launch_goes_on(data: DataConfig):
    first = launched(data)
    assert first.stdout is not None
    assert first.stdout.readline().startswith("decoded")
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    assert any(path.name.startswith(".tmp-") for path in Path(data.cache).iterdir())
    sources.load(data, TASK)
    assert sorted(path.suffix for path in Path(data.cache).iterdir()) == [".json", ".npy"]


@pytest.mark.thorough
def test_of_two_at_once_one_decodes_and_the_other_waits(data: DataConfig):
    both = [launched(data), launched(data)]
    told = [process.communicate(timeout=120)[0].splitlines() for process in both]
    assert told[0][-1] == told[1][-1]
    assert sorted(bool(len(lines) > 1) for lines in told) == [False, True]
    assert len(list(Path(data.cache).iterdir())) == 2


def test_a_lock_keeps_others_out_and_goes_with_its_holder(tmp_path: Path):
    lock = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from nachos_jax.runtime.alone import alone\n"
        "with alone(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiter = subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True)
    assert waiter.stdout is not None
    assert not select.select([waiter.stdout], [], [], 1.0)[0]
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert waiter.stdout.readline() == "held\n"
    waiter.kill()
    waiter.wait()
    waiter.stdout.close()
    assert lock.exists()
    start = time.monotonic()
    with alone(lock, "x") as held:
        assert held
    assert time.monotonic() - start < 5
    assert not lock.exists()


def test_who_is_interrupted_while_waiting_leaves_the_lock_to_its_holder(tmp_path: Path, monkeypatch):
    def interrupted(file: int, how: int) -> None:
        if how & fcntl.LOCK_NB:
            raise BlockingIOError
        raise KeyboardInterrupt

    lock = tmp_path / "lock"
    with alone(lock, "x"):
        with monkeypatch.context() as patched:
            patched.setattr("fcntl.flock", interrupted)
            with pytest.raises(KeyboardInterrupt), alone(lock, "x"):
                pass
        assert lock.exists()
    assert not lock.exists()


@pytest.mark.thorough
def test_skipped_cases_leave_no_trace_but_their_names(data: DataConfig, tmp_path: Path):
    for name in ("a/004.png", "b/005.png"):
        path = tmp_path / "images" / name
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UsageError, match=r"(?s)004\.png.*005\.png.*2 of 230 images.*on_error = 'skip'"):
        sources.load(data, TASK)
    skip = replace(data, on_error="skip")
    first, again = sources.load(skip, TASK), sources.load(skip, TASK)
    for cohort in (first, again):
        assert [name for name, _ in cohort.skipped] == ["a/004.png", "b/005.png"]
        assert "left out 2 image(s) that cannot be read" in cohort.notes[-1]
        assert len(cohort.table) == len(cohort.targets) == len(dense(cohort)) == 228
    assert again.hash == first.hash
    for name, _ in first.skipped:
        (tmp_path / "images" / name).unlink()
    without = sources.load(data, TASK)
    assert without.hash == first.hash
    np.testing.assert_array_equal(dense(without), dense(first))


def test_a_class_does_not_vanish_in_silence(data: DataConfig, tmp_path: Path):
    (tmp_path / "images/c").mkdir()
    (tmp_path / "images/c/0.png").write_bytes(b"none")
    with pytest.raises(UsageError, match=r"no image of class 'c' can be read: .*c/0\.png"):
        sources.load(replace(data, on_error="skip"), TASK)


def test_crop_needs_a_size(data: DataConfig):
    with pytest.raises(UsageError, match=r"aspect = 'crop' .* set config.data.height and config.data.width"):
        sources.load(replace(data, aspect="crop"), TASK)
