"""The digest of pixels, by which caches and cohorts know them."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

CHUNK = 1 << 26
"""Bytes hashed at a time."""


class RunningDigest:
    """The digest of pixels that come one part after another, made in a thread; a context that waits for it.

    Args:
        dtype: of all.
        shape: of all.
    """

    def __init__(self, dtype: np.dtype, shape: tuple[int, ...]):
        self._sha = hashlib.sha256(f"{dtype.str} {shape}".encode())
        self._thread, self._parts = ThreadPoolExecutor(1), []

    def __enter__(self) -> RunningDigest:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def add(self, images: np.ndarray) -> None:
        """The next part, C-ordered, which nobody changes any more."""
        self._parts.append(self._thread.submit(self._sha.update, images.data))

    def hexdigest(self) -> str:
        """Of all parts; they are `pixel_digest` of the whole."""
        for part in self._parts:
            part.result()
        return self._sha.hexdigest()


def pixel_digest(images: np.ndarray) -> str:
    """SHA-256 of dtype, shape and C-order bytes, read piece by piece."""
    sha = hashlib.sha256(f"{images.dtype.str} {images.shape}".encode())
    rows = max(1, CHUNK // max(1, images[:1].nbytes))
    for start in range(0, len(images), rows):
        sha.update(np.ascontiguousarray(images[start : start + rows]).data)
    return sha.hexdigest()
