"""Taking leave of a launch: process 0 learns whether something is wrong, or was only stopped."""

from __future__ import annotations

import contextlib
import math

import pytest

from nachos_jax.cli import launched
from nachos_jax.cluster.board import Board, Leave, Party
from nachos_jax.cluster.messages import MemoryMessages
from nachos_jax.core.errors import UsageError
from nachos_jax.runtime.stopping import StoppedError


@pytest.mark.parametrize(
    ("error", "leave"),
    [
        (None, Leave()),
        (UsageError("other cases"), Leave("other cases")),
        (StoppedError("stopped by SIGTERM"), Leave("stopped by SIGTERM", stopped=True)),
        (KeyError("a mistake"), Leave("it was ended by an error; see its own output")),
    ],
)
def test_a_worker_says_how_it_ended(error, leave):
    board = Board(MemoryMessages(), 1)
    met = contextlib.nullcontext() if error is None else pytest.raises(type(error))
    with met, launched._taking_leave(Party(board, 2, math.inf, math.inf)):
        if error is not None:
            raise error
    assert board.left() == {1: leave}
