"""Headers of many files, read by threads, in the order of the files, with a line of progress."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from nachos_jax.runtime.bar import Bar

T = TypeVar("T")
THREADS = 16
"""More than there are cores: they wait for disks, those of a network above all."""


def read(reader: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """What a reader says of each file, in their order, whatever finishes first.

    Args:
        reader: tells of damage, and does not raise.
        paths: the files.
    """
    found: list[T] = []
    # Here, since filters of warnings are one thing for all threads; they would show values.
    with warnings.catch_warnings(), Bar("headers", "files", len(paths), last=False) as bar:
        warnings.simplefilter("ignore")
        with ThreadPoolExecutor(THREADS) as threads:
            for one in threads.map(reader, paths):
                found.append(one)
                bar.show(len(found), len(paths))
    return found
