"""Calls made by a second process: the same results, and none is lost with it."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import warnings

import pytest

from nachos_jax.runtime import elsewhere
from nachos_jax.runtime.elsewhere import Companion, accompanied_by, call, no_more, serve

SERVING = """
import json, sys
from nachos_jax.runtime.elsewhere import serve
rest = serve(sys.stdin, lambda name, value: print(json.dumps({name: value}), flush=True))
print(json.dumps({"rest": rest}), flush=True)
"""


@pytest.fixture
def companion():
    """Makes a companion of a process that runs some code, and ends it."""
    made = []

    def make(code=SERVING):
        words = [sys.executable, "-c", code]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        made.append(Companion(process, lambda _: None))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        with contextlib.suppress(BrokenPipeError), one.process:
            pass


def test_a_call_is_made_by_the_second_process_while_there_is_one(companion):
    assert call(os.getpid) == os.getpid()
    one = companion()
    with accompanied_by(one):
        assert call(os.getpid) == one.process.pid
        assert call(math.hypot, 3, 4) == 5
        no_more(one)
        assert call(os.getpid) == os.getpid()
    assert call(os.getpid) == os.getpid()
    one.say("something else")
    assert json.loads(one.heard("rest")) == "something else"


def test_what_fails_or_warns_there_is_done_here_and_the_next_call_there(companion):
    one = companion()
    with accompanied_by(one):
        with pytest.raises(ValueError, match="math domain error"):
            call(math.sqrt, -1.0)
        with pytest.warns(UserWarning, match="odd"):
            call(warnings.warn, "odd")
        assert call(os.getpid) == one.process.pid


@pytest.mark.parametrize("code", ["", "import sys; sys.stdin.readline()", "import os; os.abort()"])
def test_without_the_process_a_call_is_made_here(companion, code):
    with accompanied_by(companion(code)):
        assert [call(os.getpid), call(os.getpid)] == [os.getpid()] * 2


def test_what_a_library_prints_there_is_no_answer(companion):
    one = companion("print('odd'); print(3)" + SERVING)
    with accompanied_by(one):
        assert call(os.getpid) == one.process.pid


def test_a_process_that_hangs_is_ended(companion, monkeypatch):
    monkeypatch.setattr(elsewhere, "LONGEST", 0.2)
    one = companion("import time; time.sleep(600)")
    with accompanied_by(one):
        assert call(os.getpid) == os.getpid()
    assert one.process.wait() == -signal.SIGKILL


def test_serving_ends_with_its_input():
    assert serve(io.StringIO(""), lambda *_: None) == ""
