"""Processes that are forked from a server which has imported what takes seconds, and has started no JAX."""

from __future__ import annotations

import multiprocessing
from typing import Any

PRELOADED = (
    "nachos_jax.cli.commands",
    "nachos_jax.cluster.service",
    "nachos_jax.protocol.crew.worker",
    "nachos_jax.protocol.evaluate",
    "orbax.checkpoint",
    "tests.tiny",
)
"""All that any test wants: the first process that begins decides."""


def context() -> Any:
    """What makes such processes, each of which is at work at once."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(list(PRELOADED))
    return made
