"""Whether a PNG file is as it was written; decoders pass over its checksums."""

from __future__ import annotations

import zlib

_START = b"\x89PNG\r\n\x1a\n"


def fault(stream: bytes) -> str:
    """What shows that a part of a PNG is lost or overwritten; "" if nothing does (PNG 3rd edition, 5.3)."""
    place, kind, seen = len(_START), b"", memoryview(stream)
    while stream.startswith(_START) and kind != b"IEND":
        length = int.from_bytes(stream[place : place + 4])
        kind = stream[place + 4 : place + 8]
        end = place + 8 + length
        if end + 4 > len(stream):
            return "does not end"
        # Chunks in small letters, of text or colour, change no pixel.
        if kind[:1].isupper() and zlib.crc32(seen[place + 4 : end]) != int.from_bytes(stream[end : end + 4]):
            return f"is damaged between bytes {place:,} and {end + 4:,}"
        place = end + 4
    return ""
