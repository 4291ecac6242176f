"""Asks in the background: order, one a study, errors, closing."""

from __future__ import annotations

import threading

import pytest

from nachos_jax.search.background import Background
from nachos_jax.search.searcher import Proposal

PROPOSALS = [Proposal({"learning_rate": 0.1}, "ax")]
SOON = 30.0


@pytest.fixture
def background():
    background = Background()
    yield background
    background.close()


def test_ready_hands_out_what_is_finished_and_only_once(background):
    gate = threading.Event()
    background.submit(0, lambda: PROPOSALS)
    background.submit(None, lambda: PROPOSALS if gate.wait(SOON) else [])
    assert background.ready(SOON) == [(0, PROPOSALS)]
    assert background.ready() == []
    assert background.busy
    gate.set()
    assert background.ready(SOON) == [(None, PROPOSALS)]
    assert not background.busy
    assert background.ready() == []


def test_asks_run_one_after_another_outside_the_calling_thread(background):
    seen = []
    for study in range(5):
        background.submit(study, lambda study=study: seen.append((study, threading.get_ident())) or [])
    while background.busy:
        background.ready(SOON)
    assert [study for study, _ in seen] == [0, 1, 2, 3, 4]
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_a_study_asks_once_at_a_time(background):
    background.submit(1, lambda: PROPOSALS)
    with pytest.raises(ValueError, match="study 1 has already asked"):
        background.submit(1, lambda: PROPOSALS)
    assert background.ready(SOON) == [(1, PROPOSALS)]
    background.submit(1, lambda: [])
    assert background.ready(SOON) == [(1, [])]


def test_an_error_is_raised_once_and_loses_no_other_answer(background):
    done = threading.Event()
    background.submit(0, lambda: PROPOSALS)
    background.submit(1, lambda: 1 // 0)
    background.submit(2, lambda: done.set() or PROPOSALS)
    assert done.wait(SOON)
    with pytest.raises(ZeroDivisionError):
        background.ready(SOON)
    answers = background.ready(SOON)
    while background.busy:
        answers += background.ready(SOON)
    assert answers == [(0, PROPOSALS), (2, PROPOSALS)]


def test_close_drops_what_has_not_begun():
    background, begun, gate, ran = Background(), threading.Event(), threading.Event(), []
    background.submit(0, lambda: begun.set() or ran.append(gate.wait(SOON)) or [])
    background.submit(1, lambda: ran.append("dropped") or [])
    assert begun.wait(SOON)
    closing = threading.Thread(target=background.close)
    closing.start()
    while background.busy:
        pass
    gate.set()
    closing.join(SOON)
    assert ran == [True]
    with pytest.raises(RuntimeError):
        background.submit(2, lambda: [])
