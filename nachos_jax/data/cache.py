"""Decoded pixels on disk: a .npy file, mapped into memory when it is read, and a .json beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import tokenize
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.config.windows import OF_FILE
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import caches, expanded
from nachos_jax.core.types import digest
from nachos_jax.data.content import pixel_digest
from nachos_jax.data.decode import BLOCK, Allocate, Images, Progress, decode, refuse
from nachos_jax.data.pixels import Pixels
from nachos_jax.data.volumes import WHOLE
from nachos_jax.runtime import cores
from nachos_jax.runtime.alone import alone

VERSION = 4
"""Raised whenever decoding changes, so that no cache of an older rule is used."""
WINDOWS = 1
"""Raised whenever decoding through a window that the config names changes, likewise."""
FLATTENED = 1
"""Raised whenever images of volumes are made otherwise, likewise."""
LEFT_OUT = 2
"""Raised whenever others are left out as unreadable, so that no such cache of an older rule is used."""
_AT_ONCE = 1 << 23
"""Bytes of a file that is read whole to be hashed."""
Sizes = Counter[tuple[int, ...]]
"""Number of images of each shape, as they were before they were prepared."""
Build = Callable[[Allocate], Images]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoded:
    """Pixels with their digest.

    Attributes:
        images: [N, H, W, C], read-only when mapped from the cache.
        sha256: of dtype, shape and bytes.
        sizes: of the images as stored.
        faults: (row, why) of each case that cannot be read and is not among the images.
    """

    images: np.ndarray
    sha256: str
    sizes: Sizes = field(default_factory=Counter)
    faults: tuple[tuple[int, str], ...] = ()


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
        blocks = [files[start : start + BLOCK] for start in range(0, len(files), BLOCK)]
        contents = [one for block in pool.map(_contents, blocks) for one in block]
    rules: list[Any] = [VERSION]
    rules += [WINDOWS] if preparation.get("voi") not in (None, "", OF_FILE) else []
    rules += [["flattened", FLATTENED]] if preparation.get("volume") not in (None, "", WHOLE) else []
    return digest([*rules, contents, list(keys), dict(preparation)], length=32)


def _contents(files: Sequence[Path]) -> list[str]:
    found = []
    for file in files:
        with open(file, "rb", buffering=0) as opened:
            # Small files at once: the buffer that is made for each takes longer than they do.
            small = os.fstat(opened.fileno()).st_size <= _AT_ONCE
            sha = hashlib.sha256(opened.readall()) if small else hashlib.file_digest(opened, "sha256")
            found.append(sha.hexdigest())
    return found


def decoded(place: Path, name: str, build: Build, tolerant: bool = False) -> Decoded:
    """The cached pixels, or those that `build` makes, which are then kept.

    Of several processes that want the same pixels one makes them and the others wait.

    Args:
        place: cache folder.
        name: what `key` returned.
        build: fills an array that it asks for, and returns it with what is known of it.
        tolerant: whether pixels that lack the cases which cannot be read serve.

    Returns:
        The pixels, mapped into memory.

    Raises:
        UsageError: the cache folder cannot be written to, or whatever `build` raises.
    """
    names = (name, f"{name}-{_readable()}") if tolerant else (name,)
    found = _known(place, names)
    if found is None:
        with _alone(place, name):
            found = _known(place, names) or _store(place, name, build)
    return found


def _readable() -> str:
    """Names what lacks cases; what does so for want of an optional decoder serves until that is there."""
    packages = ("pylibjpeg", "openjpeg", "libjpeg", "nrrd", "nibabel")
    known = [find_spec(name) is not None for name in packages]
    return f"readable-{digest([LEFT_OUT, known], length=8)}"


def _known(place: Path, names: Sequence[str]) -> Decoded | None:
    for name in names:
        found = _load(place / f"{name}.npy", place / f"{name}.json")
        if found is not None:
            return found
    return None


@contextlib.contextmanager
def _alone(place: Path, name: str) -> Generator[None]:
    try:
        place.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            if stack.enter_context(alone(place / f".{name}.lock", "decoding the same images")):
                for left in place.glob(f".tmp-{name}-*"):  # by a process that was killed
                    left.unlink(missing_ok=True)
            yield
    except OSError as error:
        raise _unwritable(place, error) from error


def _load(data: Path, facts: Path) -> Decoded | None:
    """The cached pixels, or None when they are missing or damaged; every byte is read and compared."""
    try:
        known = json.loads(facts.read_text(encoding="utf-8"))
        images = np.load(data, mmap_mode="r", allow_pickle=False)
        if pixel_digest(images) == known["sha256"]:
            sizes = Counter({tuple(shape): n for *shape, n in known["sizes"]})
            faults = tuple((int(row), str(why)) for row, why in known.get("faults", ()))
            return Decoded(images, known["sha256"], sizes, faults)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, EOFError, ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError):
        pass
    log.warning("%s is damaged: its pixels are decoded anew", data)
    return None


def _store(place: Path, name: str, build: Build) -> Decoded:
    """Makes the pixels and keeps them."""
    with contextlib.ExitStack() as stack:

        def allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
            handle, temporary = tempfile.mkstemp(dir=place, prefix=f".tmp-{name}-")
            os.close(handle)
            stack.callback(Path(temporary).unlink, missing_ok=True)
            # Disk blocks are taken now: a full disk then raises here, not as a bus error in the mapped pages.
            mapped = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
            with open(temporary, "r+b") as file:
                if hasattr(os, "posix_fallocate"):  # macOS has none
                    os.posix_fallocate(file.fileno(), 0, os.path.getsize(temporary))
            return mapped

        made = build(allocate)
        mapped: Any = made.values
        path, sha256 = Path(mapped.filename), made.sha256 or pixel_digest(mapped)
        del mapped
        known = {
            "version": VERSION,
            "sizes": [[*shape, number] for shape, number in sorted(made.sizes.items())],
            "sha256": sha256,
        } | ({"faults": list(made.faults)} if made.faults else {})
        # The facts last: they say that the pixels are whole. Old facts stay until then, because the same
        # key always gives the same ones, and another process may be reading.
        final = f"{name}-{_readable()}" if made.faults else name
        _commit(path, place / f"{final}.npy")
        _write(place / f"{final}.json", json.dumps(known, indent=1, sort_keys=True))
        images = np.load(place / f"{final}.npy", mmap_mode="r", allow_pickle=False)
        return Decoded(images, sha256, made.sizes, made.faults)


def _commit(temporary: Path, path: Path) -> None:
    # Not made sure that it is on disk, which takes as long as a tenth of the decoding: every byte is compared
    # with the digest before it is used, and what a failure of the machine has cut short is decoded anew.
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


def in_memory(pixels: Pixels, preparation: Mapping[str, Any], progress: Progress | None = None) -> Decoded:
    """The same of cases that no cache keeps.

    Raises:
        UsageError: cases that cannot be read.
    """
    made = decode(pixels, preparation, np.empty, progress)
    refuse(made.faults, pixels.count)
    return Decoded(made.values, made.sha256, made.sizes)
