"""Subject ids replaced by keyed hashes: the same key gives the same ids, without it none can be told."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from nachos_jax.core.errors import UsageError
from nachos_jax.data.spellings import canonical, is_missing

BYTES, DIGITS = 32, 16


def read_key(path: Path, output: Path) -> tuple[bytes, bool]:
    """The key in a file, which is made with random bytes, for its owner alone, if it is not there.

    Args:
        path: of the key.
        output: folder of what `nachos init` writes, which people hand on.

    Returns:
        The key, and whether it was made now.

    Raises:
        UsageError: the key would lie in the output folder, or a file that is no key.
    """
    if output.resolve() in (path.resolve(), *path.resolve().parents):
        raise UsageError(
            f"--pseudonyms={path}: the key would lie in {output}, and who has both could tell the patients: "
            "name a file elsewhere."
        )
    if not path.exists():
        if not path.absolute().parent.is_dir():
            raise UsageError(f"--pseudonyms={path}: there is no folder {path.absolute().parent}; make it.")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(BYTES) + "\n")
        return read_key(path, output)[0], True
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (ValueError, OSError) as error:
        raise UsageError(
            f"--pseudonyms={path} is no key of `nachos init` ({error}); name a file that is not there yet."
        ) from error
    if len(key) < BYTES // 2:
        raise UsageError(f"--pseudonyms={path} holds {len(key)} bytes, too few for a key: name another file.")
    return key, False


def replaced(values: Sequence[str], key: bytes) -> list[str]:
    """Each id as the first 16 hex digits of its HMAC-SHA256 (RFC 2104); missing ones stay missing.

    All spellings of an id, see `nachos_jax.data.spellings.canonical`, give one pseudonym.
    """
    return [
        ""
        if is_missing(value)
        else hmac.new(key, canonical(value).encode(), hashlib.sha256).hexdigest()[:DIGITS]
        for value in values
    ]
