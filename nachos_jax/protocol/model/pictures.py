"""The picture of an explanation: the image, beside it the same image under the map."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

METHODS = {
    "gradcam": "Grad-CAM of {name}: 1 = a cell that adds about {peak:.2g} to its logit; line at 0.5",
    "occlusion": "Occlusion of {name}: 1 = covering it takes {peak:.2g} off the probability; line at 0.5",
}
"""The methods of `nachos_jax.protocol.model.explain`, and what the scale of their maps means."""

SMALLEST, LARGEST = 256, 512
"""Pixels of a panel's longer side: smaller images are enlarged, larger ones reduced."""

_LEAST = 560
"""Pixels of the width of a picture with words, so that narrow images leave room for them."""

_MARGIN, _BAR, _DIGITS, _LINE, _TEXT = 12, 14, 20, 18, 13
"""Pixels: margin, colour bar, numbers beside it, height of a line of words, size of its letters."""

_THINNEST, _THICKEST = 0.1, 0.65
"""How much of the colour covers the image where the map is 0 and where it is 1."""

_PAPER, _INK = (255, 255, 255), (28, 32, 36)
_VIRIDIS = np.array(
    [
        (68, 1, 84), (72, 20, 103), (72, 38, 119), (69, 55, 129), (63, 71, 136), (57, 86, 140),
        (50, 100, 142), (44, 114, 142), (39, 127, 142), (33, 141, 141), (31, 154, 138), (41, 168, 131),
        (66, 182, 117), (103, 195, 92), (149, 208, 64), (202, 218, 43), (253, 231, 37),
    ]
)  # fmt: skip
"""Seventeen even steps of viridis: perceptually uniform, and brighter is more in print without colour."""


def picture(image: np.ndarray, heat: np.ndarray, words: Sequence[str] = (), largest: int = LARGEST) -> bytes:
    """Draws the image, the image under the map, and the map's scale.

    A white line with a black rim runs where the map is half of 1, so that the places that count most are
    found without colour too.

    Args:
        image: [H, W, C] of a stored dtype, shown between its own darkest and brightest pixels, the first
            channel where they are not three; of a volume [D, H, W, C] three planes through one place.
        heat: [H, W] or [D, H, W] in [0, 1].
        words: lines to write below; letters that the font lacks become plain ones, or "?".
        largest: pixels of a panel's longer side to which large images are reduced.

    Returns:
        The PNG file.
    """
    if image.ndim == 4:
        place = _highest(heat)
        image, heat = planes(image, place, image.max()), planes(heat[..., None], place, 0.0)[..., 0]
    shown = _panel(image, largest)
    width, height = shown.size
    value = _resized(heat, shown.size)
    across = max(2 * width + 4 * _MARGIN + _BAR + _DIGITS, _LEAST if words else 0)
    whole = Image.new("RGB", (across, height + 2 * _MARGIN + _LINE * len(words)), _PAPER)
    whole.paste(shown, (_MARGIN, _MARGIN))
    whole.paste(_overlay(shown, value), (width + 2 * _MARGIN, _MARGIN))
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(_TEXT)
    _scale(whole, pen, font, 2 * width + 3 * _MARGIN, height)
    for number, line in enumerate(words):
        place = (_MARGIN, height + round(1.5 * _MARGIN) + number * _LINE)
        pen.text(place, _short(line, font, whole.width - 2 * _MARGIN), _INK, font)
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()


def legend(method: str, name: str, peak: float) -> str:
    """What the map of a class says in a line; `peak` is what its 1 stands for."""
    if not peak > 0:
        return f"No place spoke for {name}: the map is empty."
    return METHODS[method].format(name=name, peak=peak)


def planes(volume: np.ndarray, place: Sequence[int], line: float) -> np.ndarray:
    """[H + 2 D + 2, max(W, H), C]: planes across depth, height and width through a voxel, one below another.

    Those across height and width have the depth downwards. Lines of one value part them; what they do not
    fill is the smallest value.
    """
    z, y, x = place
    found = (volume[z], volume[:, y], volume[:, :, x])
    wide = max(plane.shape[1] for plane in found)
    edges = [((0, int(number < 2)), (0, 0), (0, 0)) for number in range(3)]
    filled = [
        np.pad(plane, ((0, 0), (0, wide - plane.shape[1]), (0, 0)), constant_values=volume.min())
        for plane in found
    ]
    return np.concatenate(
        [np.pad(plane, edge, constant_values=line) for plane, edge in zip(filled, edges, strict=True)]
    )


def _highest(heat: np.ndarray) -> tuple[int, ...]:
    """The voxel of the map's peak, the middle one of a map without."""
    if not heat.any():
        return tuple(side // 2 for side in heat.shape)
    return tuple(int(place) for place in np.unravel_index(int(heat.argmax()), heat.shape))


def _panel(image: np.ndarray, largest: int) -> Image.Image:
    """The image as RGB, its 0.5th percentile black and its 99.5th white, in the size of a panel."""
    values = (image if image.shape[2] == 3 else image[..., :1]).astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    if high <= low:
        low, high = float(values.min()), max(float(values.max()), float(values.min()) + 1.0)
    levels = np.round(255 * np.clip((values - low) / (high - low), 0.0, 1.0)).astype(np.uint8)
    shown = Image.fromarray(np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels)
    longer = max(shown.size)
    if longer > largest:
        across, down = (max(1, round(side * largest / longer)) for side in shown.size)
        return shown.resize((across, down), Image.Resampling.BOX)
    # By a whole number and without smoothing: one sees the pixels that the network saw.
    factor = -(-SMALLEST // longer)
    return shown.resize((shown.width * factor, shown.height * factor), Image.Resampling.NEAREST)


def _resized(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[height, width] float32 in [0, 1]."""
    smooth = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth), 0.0, 1.0)


def _colour(value: np.ndarray) -> np.ndarray:
    """[..., 3] float64 colours of values in [0, 1]."""
    steps = np.linspace(0.0, 1.0, len(_VIRIDIS))
    return np.stack([np.interp(value, steps, channel) for channel in _VIRIDIS.T], axis=-1)


def _overlay(shown: Image.Image, value: np.ndarray) -> Image.Image:
    """The image in gray, coloured the more, the higher the map."""
    gray = np.repeat(np.asarray(shown.convert("L"), np.float64)[..., None], 3, axis=2)
    cover = (_THINNEST + (_THICKEST - _THINNEST) * value)[..., None]
    mixed = (1.0 - cover) * gray + cover * _colour(value)
    inner, outer = _rims(value >= 0.5)
    mixed[outer], mixed[inner] = 0.0, 255.0
    return Image.fromarray(np.round(mixed).astype(np.uint8))


def _rims(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels at the border of a region, within it and around it; the border of the image is none."""
    from scipy import ndimage

    shrunk = np.asarray(ndimage.binary_erosion(inside, border_value=1), bool)
    return inside & ~shrunk, np.asarray(ndimage.binary_dilation(inside), bool) & ~inside


def _scale(whole: Image.Image, pen: ImageDraw.ImageDraw, font: Any, left: int, height: int) -> None:
    """The bar from 0 to 1, with a mark at the half where the line runs."""
    colours = np.round(_colour(np.linspace(1.0, 0.0, height))).astype(np.uint8)
    whole.paste(Image.fromarray(np.repeat(colours[:, None], _BAR, axis=1)), (left, _MARGIN))
    for text, place in (("1", 0.0), ("0.5", 0.5), ("0", 1.0)):
        y = _MARGIN + round(place * (height - 1))
        pen.line((left, y, left + _BAR + 3, y), _INK)
        anchor = {"1": "lt", "0.5": "lm", "0": "lb"}[text]
        pen.text((left + _BAR + 6, y), text, _INK, font, anchor)


def _short(line: str, font: Any, room: int) -> str:
    """The line in letters that the font has, cut where the room ends."""
    line = "".join(c for c in unicodedata.normalize("NFKD", line) if not unicodedata.combining(c))
    line = "".join(c if c.isascii() and c.isprintable() else "?" for c in line)
    if font.getlength(line) <= room:
        return line
    while line and font.getlength(line + "...") > room:
        line = line[:-1]
    return line + "..."
