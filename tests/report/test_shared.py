"""Calls shared out between a process and a copy of it."""

from __future__ import annotations

import functools
import os
import time

import pytest

from nachos_jax.report.page import writer
from nachos_jax.report.page.shared import at_once, shared

pytestmark = pytest.mark.filterwarnings("ignore:os.fork")  # JAX warns where other tests have started it here


def who(number: int, slow: float = 0.0) -> tuple[int, int]:
    time.sleep(slow)
    return number, os.getpid()


def test_results_stand_in_the_order_of_the_calls():
    assert shared([functools.partial(who, n) for n in range(5)], at_once) == [
        (n, os.getpid()) for n in range(5)
    ]
    assert shared([], writer.forked) == []


def test_whoever_is_free_takes_the_next(tmp_path):
    def made(number: int) -> tuple[int, int]:
        with open(tmp_path / "made", "a") as file:
            file.write(f"{number}\n")
        return who(number, 0.5 if number == 0 else 0.02)

    found = shared([functools.partial(made, n) for n in range(8)], writer.forked)
    assert [number for number, _ in found] == [*range(8)]
    assert sorted((tmp_path / "made").read_text().split()) == [str(n) for n in range(8)], "each is made once"
    by = [process for _, process in found]
    assert len(set(by)) == 2
    assert by.count(by[0]) == 1, "the others are made while the long one is"


def test_what_a_copy_took_and_lost_is_made_here():
    here = os.getpid()

    def lost(number: int) -> tuple[int, int]:
        if os.getpid() != here:
            os._exit(1)
        return who(number, 0.05)

    assert shared([functools.partial(lost, n) for n in range(4)], writer.forked) == [
        (n, here) for n in range(4)
    ]


def test_an_error_is_told():
    def broken() -> None:
        raise ValueError("what cannot be drawn")

    with pytest.raises(ValueError, match="cannot be drawn"):
        shared([broken, broken], writer.forked)
