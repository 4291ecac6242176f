"""Values of interest -> 0 to 255: a window of values, as radiologists look at images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nachos_jax.config.windows import CT, window
from nachos_jax.core.errors import UsageError
from nachos_jax.data.pixels import ReadCase


@dataclass(frozen=True)
class Windowed:
    """Reads cases and shows them through a window; see `shown`."""

    read: ReadCase
    voi: str

    def __call__(self, row: int) -> np.ndarray:
        """[..., C] uint8 of a case."""
        return shown(self.read(row), self.voi)


def reader(read: ReadCase, voi: str) -> ReadCase:
    """The same function, through a window that the field names; the readers of files see to "file"."""
    return read if window(voi) is None else Windowed(read, voi)


def check(values: np.ndarray, voi: str) -> None:
    """Refuses a window of CT for values that cannot be Hounsfield units.

    Raises:
        UsageError: they have no sign.
    """
    if voi in CT and values.dtype.kind in "bu":
        raise UsageError(
            f"its values are {values.dtype} without sign, no Hounsfield units as config.data.voi = {voi!r} "
            "needs; give centre and width in its own units, like '(128, 256)'."
        )


def mirrored(values: np.ndarray, voi: str) -> np.ndarray:
    """Values about the centre of a window, so that it shows as white what it showed as black.

    Args:
        values: [H, W] of any dtype.
        voi: a value of config.data.voi that names a window.

    Returns:
        [H, W] float32.

    Raises:
        UsageError: as `check`.
    """
    check(values, voi)
    centre, _ = window(voi) or (0.0, 0.0)
    return (2 * centre - values.astype(np.float64)).astype(np.float32)


def shown(values: np.ndarray, voi: str) -> np.ndarray:
    """An image or volume through a window.

    Args:
        values: [..., C] of a stored dtype, C 1.
        voi: a value of config.data.voi that names a window.

    Returns:
        [..., C] uint8: what lies below the window is 0, above it 255, between in proportion (LINEAR_EXACT of
        DICOM part 3, C.11.2.1.3.2); NaN stays refused.

    Raises:
        UsageError: colour, or a window of CT on values that cannot be Hounsfield units.
    """
    found = window(voi)
    if found is None:
        return values
    if values.shape[-1] != 1:
        raise UsageError(
            f"it is in colour, and config.data.voi = {voi!r} is a window of gray values; set it to ''."
        )
    check(values, voi)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return values  # which is refused with its place
    centre, width = found
    part = (values.astype(np.float64) - (centre - width / 2)) / width
    return np.round(np.clip(part, 0, 1) * 255).astype(np.uint8)
