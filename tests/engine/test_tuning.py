"""The choice of lowering and packing, with made-up clocks."""

from __future__ import annotations

import json

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
    before = jax.config.jax_compilation_cache_dir
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
    assert json.loads(file.read_text())["choice"] == {"packing": "map", "convolution": "im2col"}
    forget(monkeypatch)
    assert tuning.choose(KEY, (A, B), Bench(monkeypatch, {A: 0.1, B: 0.2}).prepare) == B
    other = Bench(monkeypatch, {A: 0.1, B: 0.2})
    assert tuning.choose({**KEY, "device": "another"}, (A, B), other.prepare) == A
    assert other.calls


@pytest.mark.parametrize("content", ["", "{", "[]", '{"choice": 3}', '{"choice": {"packing": "x"}}'])
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


def test_a_candidate_that_fails_is_out(monkeypatch):
    assert tuning.choose(KEY, (A, B, C), Bench(monkeypatch, {A: None, B: 0.2, C: 0.1}).prepare) == C
    with pytest.raises(RuntimeError, match="custom/map does not compile"):
        tuning.choose({"other": 1}, (A, B), Bench(monkeypatch, {A: None, B: None}).prepare)


def test_a_single_candidate_is_not_timed(monkeypatch):
    bench = Bench(monkeypatch, {A: 1.0})
    assert tuning.choose(KEY, (A,), bench.prepare) == A
    assert not bench.calls


def test_what_is_configured_is_not_changed():
    for platform in ("cpu", "gpu", "tpu", "unheard-of"):
        free = tuning.candidates(platform, "auto", "auto")
        assert len(free) == len(set(free)) > 1
        assert tuning.candidates(platform, "vmap", "shift") == (Choice("vmap", "shift"),)
        assert {c.packing for c in tuning.candidates(platform, "blocks", "auto")} == {"blocks"}
        assert {c.convolution for c in tuning.candidates(platform, "auto", "im2col")} == {"im2col"}
    assert "lax" not in {c.convolution for c in tuning.candidates("cpu", "auto", "auto")}
