"""Decoded pixels on disk: a .npy file, mapped into memory when it is read, and a .json beside it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import caches, expanded
from nachos_jax.core.types import digest
from nachos_jax.data.content import pixel_digest
from nachos_jax.data.decode import Allocate
from nachos_jax.runtime import cores

VERSION = 3
"""Raised whenever decoding changes, so that no cache of an older rule is used."""
Sizes = Counter[tuple[int, ...]]
"""Number of images of each shape, as they were before they were prepared."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoded:
    """Pixels with their digest.

    Attributes:
        images: [N, H, W, C], read-only when mapped from the cache.
        sha256: of dtype, shape and bytes.
        sizes: of the images as stored.
    """

    images: np.ndarray
    sha256: str
    sizes: Sizes = field(default_factory=Counter)


def folder(configured: str) -> Path:
    """The cache folder: the configured one, else nachos_jax in $XDG_CACHE_HOME or ~/.cache.

    Raises:
        UsageError: no home folder is known.
    """
    if configured:
        return Path(expanded(configured))
    known = caches()
    if known is None:
        raise UsageError("no home folder is known to keep decoded pixels in: set config.data.cache.")
    return Path(known) / "nachos_jax"


def key(files: Sequence[Path], keys: Sequence[str], preparation: Mapping[str, Any]) -> str:
    """Digest of all that the decoded pixels depend on: the content of each file, and the options.

    Every launch reads every file for it: names, sizes and times can be equal where pixels are not.
    """
    with ThreadPoolExecutor(min(16, cores.available())) as pool:
        contents = list(pool.map(_content, files))
    return digest([VERSION, contents, list(keys), dict(preparation)], length=32)


def _content(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def decoded(place: Path, name: str, build: Callable[[Allocate], tuple[np.ndarray, Sizes]]) -> Decoded:
    """The cached pixels, or those that `build` makes, which are then kept.

    Args:
        place: cache folder.
        name: what `key` returned.
        build: fills the array that it asks for and returns it, with the sizes of the images as stored.

    Returns:
        The pixels, mapped into memory.

    Raises:
        UsageError: the cache folder cannot be written to, or whatever `build` raises.
    """
    data, facts = place / f"{name}.npy", place / f"{name}.json"
    found = _load(data, facts)
    if found is None:
        _store(data, facts, build)
        found = _load(data, facts)
    if found is None:
        raise UsageError(
            f"{data} was written but cannot be read back; set config.data.cache to a folder on another disk."
        )
    return found


def _load(data: Path, facts: Path) -> Decoded | None:
    """The cached pixels, or None when they are missing or damaged; every byte is read and compared."""
    try:
        known = json.loads(facts.read_text(encoding="utf-8"))
        images = np.load(data, mmap_mode="r", allow_pickle=False)
        if pixel_digest(images) == known["sha256"]:
            return Decoded(
                images, known["sha256"], Counter({tuple(shape): n for *shape, n in known["sizes"]})
            )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        pass
    log.warning("%s is damaged: its pixels are decoded anew", data)
    return None


def _store(data: Path, facts: Path, build: Callable[[Allocate], tuple[np.ndarray, Sizes]]) -> None:
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=data.parent, prefix=".tmp-")
        os.close(handle)
    except OSError as error:
        raise _unwritable(data.parent, error) from error
    path = Path(temporary)

    def allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        # Disk blocks are taken now: a full disk then raises here, not as a bus error in the mapped pages.
        mapped = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        with open(path, "r+b") as file:
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return mapped

    try:
        images, sizes = build(allocate)
        images.flush()  # type: ignore[attr-defined]
        known = {
            "version": VERSION,
            "sizes": [[*shape, number] for shape, number in sorted(sizes.items())],
            "sha256": pixel_digest(images),
        }
        del images
        # The facts last: they say that the pixels are whole. Old facts stay until then, because the same
        # key always gives the same ones, and another process may be reading.
        _commit(path, data)
        _write(facts, json.dumps(known, indent=1, sort_keys=True))
    except OSError as error:
        raise _unwritable(data.parent, error) from error
    finally:
        path.unlink(missing_ok=True)


def _commit(temporary: Path, path: Path) -> None:
    with open(temporary, "r+b") as file:
        os.fsync(file.fileno())
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def _write(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    _commit(Path(temporary), path)


def _unwritable(place: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the cache folder {place} cannot be written to ({error.strerror}); set config.data.cache to a "
        "folder with free space."
    )
