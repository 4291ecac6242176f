"""The digest that a record carries: SHA-256 of its name and its text, in which the digest itself is blank."""

from __future__ import annotations

import hashlib
import re

KEY, BLANK = "digest", "0" * 64
_LINE = re.compile(rb'^ "digest": "([0-9a-f]{64})"', re.MULTILINE)  # one space: a key of the record itself


def fill(text: bytes, name: str) -> bytes:
    """The text of a record with its digest in place of `BLANK`.

    Args:
        text: JSON as `store.dump` writes it, of a record whose key `KEY` is `BLANK`.
        name: what the record is called, so that it cannot stand for another one.
    """
    found = _LINE.search(text)
    assert found is not None
    return _with(text, found, _digest(text, name))


def check(text: bytes, name: str, needed: bool) -> None:
    """Compares the digest in the text of a record.

    Args:
        text: as it was read.
        name: as for `fill`.
        needed: False for a record that may come from a version without digests.

    Raises:
        ValueError: it is not the text's, or there is none.
    """
    found = _LINE.search(text)
    if found is None:
        if needed:
            raise ValueError("it has no digest")
    elif found[1] != _digest(_with(text, found, BLANK.encode()), name):
        raise ValueError("its digest is not that of its content")


def _digest(text: bytes, name: str) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + text).hexdigest().encode()


def _with(text: bytes, found: re.Match[bytes], digest: bytes) -> bytes:
    return text[: found.start(1)] + digest + text[found.end(1) :]
