"""What the markers of a JPEG or JPEG 2000 stream say; decoders hide it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")
_START, _END, _SCAN, _TABLES, _LOSSLESS = 0xD8, 0xD9, 0xDA, 0xC4, 0xF7
_SIZES = {*range(0xC0, 0xD0), _LOSSLESS} - {_TABLES, 0xC8, 0xCC}
_HUFFMAN = (0xC0, 0xC1, 0xC2, 0xC3)
_NO_MARKER = re.compile(rb"\xff[\x01-\xbf]|\xff{64,}+(?!\xd9)")
_JPEG_2000 = b"\xff\x4f\xff\x51"
_JP2 = b"\0\0\0\x0cjP  "


def size(stream: bytes) -> tuple[int, int] | None:
    """(height, width) that a JPEG, JPEG-LS or JPEG 2000 stream holds, or None if it does not say."""
    if not stream.startswith(b"\xff\xd8"):
        place = stream[:4096].find(_JPEG_2000)  # behind the boxes of a JP2 file, if there are any
        if place < 0:
            return None
        right, bottom, left, top = (
            int.from_bytes(stream[place + 8 + 4 * i : place + 12 + 4 * i]) for i in range(4)
        )
        return bottom - top, right - left
    for kind, start, _ in _segments(stream):
        if kind in _SIZES:
            return (
                int.from_bytes(stream[start + 3 : start + 5]),
                int.from_bytes(stream[start + 5 : start + 7]),
            )
    return None


def fault(stream: bytes) -> str:
    """What shows that a part of a JPEG or JPEG 2000 picture is lost or overwritten; "" if nothing does.

    Decoders take whatever they find for pixels, zeros too, and say nothing.
    """
    if not stream.startswith(b"\xff\xd8"):
        return _fault_of_boxes(stream)
    process, first, kind = 0, {}, 0
    for kind, start, end in _segments(stream):
        if kind in _SIZES:
            process = kind
        elif kind == _TABLES:
            first |= _first_symbols(stream[start + 2 : end])
        elif kind == _SCAN and process != _LOSSLESS:  # whose marks are stuffed in another way
            coded = process in _HUFFMAN
            hole = _hole(stream, end, _too_many_zeros(stream[start:end], first) if coded else None)
            if hole:
                return f"is damaged from byte {hole:,} on"
    return "" if kind == _END else "does not end"


def _fault_of_boxes(stream: bytes) -> str:
    """Of a JP2 file: the boxes in front of its picture must lead to it (ITU-T T.800, annex I)."""
    place = 12 if stream.startswith(_JP2) else len(stream)
    while place < len(stream) and stream[place + 4 : place + 8] != b"jp2c":
        length = int.from_bytes(stream[place : place + 4])
        if length < 8:  # decoders wait here for ever
            return f"is damaged from byte {place:,} on"
        place += length
    return ""


def _segments(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment of the first picture (ITU-T T.81, annex B), previews in them."""
    place = 2
    while marker := _MARKER.search(stream, place):
        kind, start = marker[1][0], marker.end()
        place = start + int.from_bytes(stream[start : start + 2])
        yield kind, start, place
        if kind in (_START, _END):
            return


def _hole(stream: bytes, start: int, zeros: int | None) -> int:
    """Where the coded data from `start` on cannot be what an encoder wrote, or 0; `zeros` are too many."""
    following = _MARKER.search(stream, start)
    end = following.end() if following else len(stream)
    found = [_NO_MARKER.search(stream, start, end)]
    if zeros:
        found.append(re.compile(rb"\0{%d}" % zeros).search(stream, start, end))
    return min((match.start() for match in found if match), default=0)


def _first_symbols(tables: bytes) -> dict[int, int]:
    """Table (its class and number in one byte) -> what a code of zeros stands for (B.2.4.2)."""
    first, place = {}, 0
    while place + 17 < len(tables):
        first[tables[place]] = tables[place + 17]
        place += 17 + sum(tables[place + 1 : place + 17])
    return first


def _too_many_zeros(header: bytes, first: Mapping[int, int]) -> int | None:
    """A run of zero bytes that no encoder writes in this scan; None where a flat region can be just that.

    It can where no difference and no coefficient have codes of zeros, as in tables made for one picture; not
    between the coefficients of a progressive picture, whose ends of blocks are counted (G.1.2.2).
    """
    if len(header) < 6:
        return None
    begin, end, refined = header[-3], header[-2], header[-1] >> 4
    if begin and end:
        return 128
    tables = header[4:-3:2]
    used = [table >> 4 for table in tables] + [16 | table & 15 for table in tables if end]
    flat = refined or all(first.get(table, 0) & 15 == 0 for table in used)
    return None if flat else 64
