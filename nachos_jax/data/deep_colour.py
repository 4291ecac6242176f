"""Colour of 16 bits a channel, of which Pillow keeps the upper 8."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import ImageOps

_LOWER = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
"""Raw mode of a decoder -> the one that takes the other byte of each value for the upper one."""


def lower_mode(image: Any) -> str:
    """The raw mode that reads the lower bytes; "" where Pillow has none."""
    modes = {str(tile.args[0] if isinstance(tile.args, tuple) else tile.args) for tile in image.tile}
    mode = modes.pop() if len(modes) == 1 else ""
    known = mode[:-4] in ("RGB", "RGBA") and mode[:-4] == image.mode
    return mode[:-4] + _LOWER.get(mode[-4:], "") if known and mode[-4:] in _LOWER else ""


def read(open_image: Callable[[], Any], lower: str) -> np.ndarray:
    """All bits of a picture, which is decoded twice.

    Args:
        open_image: gives the picture, not yet loaded; called twice.
        lower: what `lower_mode` says of it.

    Returns:
        [H, W, 3 or 4] uint16, upright.
    """
    picture = open_image()
    picture.tile = [
        tile._replace(args=(lower, *tile.args[1:]) if isinstance(tile.args, tuple) else lower)
        for tile in picture.tile
    ]
    high, low = (np.asarray(ImageOps.exif_transpose(image)) for image in (open_image(), picture))
    return high.astype(np.uint16) << 8 | low
