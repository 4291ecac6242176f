"""The choice of lowering and packing, with made-up clocks."""

from __future__ import annotations

import gc
import json
import os
import threading
import weakref

import jax
import pytest

from nachos_jax.engine import tuning
from nachos_jax.engine.tuning import Choice

A, B, C = Choice("map", "custom"), Choice("map", "im2col"), Choice("vmap", "lax")
KEY = {"device": "cpu", "bucket": [["batch_size", 16]]}


class Bench:
    """Candidates whose steps take the seconds given on a clock of their own."""

    def __init__(self, monkeypatch, seconds):
        self.seconds, self.now, self.calls = seconds, 0.0, []
        monkeypatch.setattr(tuning, "_clock", lambda: self.now)

    def prepare(self, choice):
        if self.seconds[choice] is None:
            raise RuntimeError(f"{choice} does not compile")

        def steps():
            self.calls.append(choice)
            self.now += self.seconds[choice]

        return steps


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache folder of the test's own, and an empty memory."""
    before = jax.config.jax_compilation_cache_dir  # pyrefly: ignore[missing-attribute]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "xla"))
    monkeypatch.setattr(tuning, "_remembered", {})
    yield tmp_path / "xla"
    jax.config.update("jax_compilation_cache_dir", before)


def forget(monkeypatch):
    monkeypatch.setattr(tuning, "_remembered", {})


def test_the_fastest_wins_and_is_timed_in_turn(monkeypatch):
    bench = Bench(monkeypatch, {A: 0.03, B: 0.01, C: 0.02})
    assert tuning.choose(KEY, (A, B, C), bench.prepare) == B
    assert bench.calls[:3] == [A, B, C], "a first round that does not count"
    assert bench.calls[3:] == [A, B, C] * 5


@pytest.mark.parametrize(("second", "winner"), [(0.0951, A), (0.0949, B)])
def test_the_first_stays_unless_another_is_clearly_faster(monkeypatch, second, winner):
    bench = Bench(monkeypatch, {A: 0.1, B: second})
    assert tuning.choose(KEY, (A, B), bench.prepare) == winner


def test_slow_candidates_are_timed_less_often(monkeypatch):
    bench = Bench(monkeypatch, {A: 3.0, B: 1.0})
    assert tuning.choose(KEY, (A, B), bench.prepare) == B
    assert bench.calls == [A, B, A, B]


def test_an_answer_is_remembered_in_the_process_and_on_disk(monkeypatch, folder):
    bench = Bench(monkeypatch, {A: 0.2, B: 0.1})
    for _ in range(2):
        assert tuning.choose(KEY, (A, B), bench.prepare) == B
    assert len(bench.calls) == 12
    (file,) = folder.glob("tuned-*.json")
    kept = json.loads(file.read_text())
    assert kept["key"] == KEY
    assert kept["choice"] == {"packing": "map", "convolution": "im2col"}
    assert kept["milliseconds"] == {"custom/map": 200.0, "im2col/map": 100.0}
    assert not {file.stat().st_mode & 0o077, folder.stat().st_mode & 0o077} - {0}, "private"
    forget(monkeypatch)
    assert tuning.choose(KEY, (A, B), Bench(monkeypatch, {A: 0.1, B: 0.2}).prepare) == B
    other = Bench(monkeypatch, {A: 0.1, B: 0.2})
    assert tuning.choose({**KEY, "device": "another"}, (A, B), other.prepare) == A
    assert other.calls


def test_what_the_launch_has_agreed_on_is_kept_and_not_the_own_winner(monkeypatch, folder):
    bench = Bench(monkeypatch, {A: 0.2, B: 0.1})

    def others_were_first(_, answer):
        assert answer() == str(B)
        assert not folder.exists(), "nothing is agreed yet"
        return str(A)

    assert tuning.choose(KEY, (A, B), bench.prepare, others_were_first) == A
    (file,) = folder.glob("tuned-*.json")
    kept = json.loads(file.read_text())
    assert kept["choice"] == {"packing": "map", "convolution": "custom"}
    assert kept["milliseconds"] == {"custom/map": 200.0, "im2col/map": 100.0}
    forget(monkeypatch)
    assert tuning.choose(KEY, (A, B), bench.prepare, lambda *_: str(B)) == B
    assert json.loads(file.read_text())["choice"]["convolution"] == "im2col", (
        "also without an answer of its own"
    )
    assert len(bench.calls) == 12


FOREIGN = json.dumps({"key": {}, "choice": {"packing": "map", "convolution": "im2col"}})
UNKNOWN = json.dumps({"key": KEY, "choice": {"packing": "vmap", "convolution": "lax"}})
SPOILT = ["", "{", "[]", "[" * 100_000, '{"choice": 3}', '{"choice": {"packing": "x"}}', FOREIGN, UNKNOWN]


@pytest.mark.parametrize("content", SPOILT)
def test_a_spoilt_file_is_timed_again_and_mended(monkeypatch, folder, content):
    tuning.choose(KEY, (A, B), Bench(monkeypatch, {A: 0.2, B: 0.1}).prepare)
    (file,) = folder.glob("tuned-*.json")
    file.write_text(content)
    forget(monkeypatch)
    assert tuning.choose(KEY, (A, B), Bench(monkeypatch, {A: 0.1, B: 0.2}).prepare) == A
    assert json.loads(file.read_text())["choice"]["convolution"] == "custom"


@pytest.mark.parametrize("place", [None, "gs://bucket/cache", "/proc/no/such/place"])
def test_no_place_to_keep_it_stops_nothing(monkeypatch, place):
    jax.config.update("jax_compilation_cache_dir", place)
    bench = Bench(monkeypatch, {A: 0.2, B: 0.1})
    assert tuning.choose(KEY, (A, B), bench.prepare) == B
    assert tuning.choose(KEY, (A, B), bench.prepare) == B
    assert len(bench.calls) == 12, "remembered in the process"


def test_a_disk_that_is_full_stops_nothing_and_keeps_no_scraps(monkeypatch, folder):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    assert tuning.choose(KEY, (A, B), Bench(monkeypatch, {A: 0.2, B: 0.1}).prepare) == B
    assert list(folder.iterdir()) == []


def test_a_wider_choice_is_timed_anew(monkeypatch):
    """An answer among few candidates says nothing of those that were not timed."""
    seconds = {A: 0.3, B: 0.2, C: 0.1}
    assert tuning.choose(KEY, (A, B), Bench(monkeypatch, seconds).prepare) == B
    assert tuning.choose(KEY, (A, B, C), Bench(monkeypatch, seconds).prepare) == C


def test_a_candidate_that_fails_is_out(monkeypatch):
    assert tuning.choose(KEY, (A, B, C), Bench(monkeypatch, {A: None, B: 0.2, C: 0.1}).prepare) == C
    with pytest.raises(RuntimeError, match="custom/map does not compile"):
        tuning.choose({"other": 1}, (A, B), Bench(monkeypatch, {A: None, B: None}).prepare)
    assert tuning.choose({"other": 1}, (A, B), Bench(monkeypatch, {A: 0.1, B: 0.2}).prepare) == A, "not kept"


@pytest.mark.parametrize("run", [0, 1, 3])
def test_a_candidate_that_fails_in_any_run_is_out(monkeypatch, run):
    bench = Bench(monkeypatch, {A: 0.01, B: 0.02, C: 0.03})

    def prepare(choice):
        steps = bench.prepare(choice)

        def fails_once():
            if choice == A and bench.calls.count(A) == run:
                raise RuntimeError("out of memory")
            steps()

        return fails_once

    assert tuning.choose(KEY, (A, B, C), prepare) == B
    assert bench.calls.count(A) == run, "not run again"
    assert bench.calls.count(B) == bench.calls.count(C) == 6


def test_the_arrays_of_a_failed_candidate_are_let_go(monkeypatch):
    class State:
        pass

    seen, held = [], []

    def prepare(choice):
        def steps():
            state = State()
            if choice == A:
                seen.append(weakref.ref(state))
                raise RuntimeError("out of memory")
            gc.collect(1)  # what is old is not what this is about, and takes seconds
            held.append(seen[0]() is not None)

        return steps

    assert tuning.choose(KEY, (A, B), prepare) == B
    assert not any(held)


def test_an_interrupt_starts_no_further_compilation(monkeypatch):
    closing, started = threading.Event(), []

    class Pool(tuning.ThreadPoolExecutor):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            closing.set()
            super().shutdown(wait=wait)

    def prepare(choice):
        started.append(choice)
        if choice == A:
            raise KeyboardInterrupt
        assert closing.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "ThreadPoolExecutor", Pool)
    more = [Choice("blocks", str(number)) for number in range(5)]
    with pytest.raises(KeyboardInterrupt):
        tuning.choose(KEY, (A, *more), prepare)
    assert set(started) <= {A, *more[:2]}


def asked(steps, name="run"):
    """A run of so many lane steps; the few steps of the bench count as 10."""
    return tuning.Asker(name, steps, 10)


def test_a_run_that_would_not_win_the_timing_back_takes_the_first_one(monkeypatch, folder):
    bench = Bench(monkeypatch, {A: 0.2, B: 0.1, C: 0.3})
    assert tuning.choose(KEY, (A, B, C), bench.prepare, asker=asked(1_000)) == A
    assert not bench.calls, "not even the first one is tried"
    # 2 others of 2 s cost more than 3 % of 6,600 steps of 0.02 s.
    assert tuning.choose(KEY, (A, B, C), bench.prepare, asker=asked(6_600, "longer")) == A
    assert bench.calls == []
    assert tuning.choose(KEY, (A, B, C), bench.prepare, asker=asked(6_700, "just")) == B
    assert tuning.choose(KEY, (A, B, C), bench.prepare, asker=asked(1_000)) == A, "it goes on as it began"
    forget(monkeypatch)
    assert tuning.choose(KEY, (A, B, C), bench.prepare, asker=asked(1_000)) == A, "also in a new process"
    assert tuning.choose(KEY, (A, B, C), bench.prepare, asker=asked(1_000, "new")) == B, "the answer is known"


def test_a_first_one_that_fails_leaves_the_choice_to_timing(monkeypatch):
    bench = Bench(monkeypatch, {A: None, B: 0.1})
    assert tuning.choose(KEY, (A, B), bench.prepare, asker=asked(10**6)) == B


def test_a_single_candidate_is_not_timed(monkeypatch):
    bench = Bench(monkeypatch, {A: 1.0})
    assert tuning.choose(KEY, (A,), bench.prepare) == A
    assert not bench.calls


def test_what_is_configured_is_not_changed():
    for platform in ("cpu", "gpu", "tpu", "unheard-of"):
        free = tuning.candidates(platform, "auto", "auto")
        assert len(free) == len(set(free))
        assert (len(free) > 1) == (platform != "cpu"), "nothing is timed where the answer is known"
        assert tuning.candidates(platform, "vmap", "shift") == (Choice("vmap", "shift"),)
        assert {c.packing for c in tuning.candidates(platform, "blocks", "auto")} == {"blocks"}
        assert {c.convolution for c in tuning.candidates(platform, "auto", "im2col")} == {"im2col"}
    assert "lax" not in {c.convolution for c in tuning.candidates("cpu", "auto", "auto")}
    assert tuning.candidates("cpu", "auto", "lax") == (Choice("map", "lax"),)
    assert tuning.candidates("tpu", "auto", "custom")[0] == Choice("vmap", "custom")


def test_candidates_follow_the_shape_of_a_case():
    def lowerings(platform, *shape):
        return [choice.convolution for choice in tuning.candidates(platform, "auto", "auto", shape)]

    small = lowerings("cpu", 28, 28, 1)
    assert small == lowerings("cpu") == lowerings("cpu", 1, 28, 28, 1) == lowerings("cpu", 512)
    assert small[0] == lowerings("cpu", 128, 128, 3)[0] == "split"
    assert lowerings("cpu", 32, 48, 32, 1)[0] == "split"
    for platform in ("gpu", "tpu", "unheard-of"):
        assert lowerings(platform, 128, 128, 3) == lowerings(platform, 28, 28, 1)
        volumes = tuning.candidates(platform, "auto", "auto", (32, 48, 32, 1))
        assert volumes[0] == Choice("map", "lax")
        assert len(volumes) > 1


def test_a_processor_predicts_few_images_together():
    assert tuning.held_batch("cpu", (28, 28, 1), 256) == 16
    assert tuning.held_batch("cpu", (32, 48, 32, 1), 8) == 8  # all that the task allows
    assert tuning.held_batch("cpu", (768,), 256) == 256  # one product of matrices
    assert tuning.held_batch("gpu", (28, 28, 1), 256) == 256
