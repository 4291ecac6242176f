"""What the markers of a JPEG or JPEG 2000 stream say; decoders hide it."""

from __future__ import annotations

import re

_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")
_START, _END = 0xD8, 0xD9
_SIZES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_JPEG_2000 = b"\xff\x4f\xff\x51"


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
    return _picture(stream)[0]


def ends(stream: bytes) -> bool:
    """Whether the picture of a JPEG stream ends with its mark; without, its last part is lost or overwritten.

    Decoders take whatever follows for pixels, zeros too, and say nothing.
    """
    return not stream.startswith(b"\xff\xd8") or _picture(stream)[1]


def _picture(stream: bytes) -> tuple[tuple[int, int] | None, bool]:
    """Size and end of the first picture (ITU-T T.81, annex B); previews lie in segments, which are passed."""
    found, place = None, 2
    while marker := _MARKER.search(stream, place):
        kind, place = marker[1][0], marker.end()
        if kind in (_START, _END):
            return found, kind == _END
        if kind in _SIZES and found is None:
            found = (
                int.from_bytes(stream[place + 3 : place + 5]),
                int.from_bytes(stream[place + 5 : place + 7]),
            )
        place += int.from_bytes(stream[place : place + 2])
    return found, False
