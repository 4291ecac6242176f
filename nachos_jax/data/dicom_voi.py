"""The values of interest that a DICOM header names, as grey levels (DICOM part 3, C.11.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.dicom_values import groups, looked_up

_CURE = "give centre and width in config.data.voi, like '(40, 400)', or set it to ''"


def shown(values: np.ndarray, dataset: Any, path: Path, frame: int = 0) -> np.ndarray:
    """Values through the VOI LUT of the header, or through the first of its windows.

    Args:
        values: [H, W] in the units of the modality, MONOCHROME1 not yet inverted.
        dataset: the header.
        path: its file.
        frame: counted from 0, whose own window counts where there is one.

    Returns:
        [H, W] uint8; images of 8 bits without LUT and window as they are.

    Raises:
        UsageError: neither is there, or one that means nothing.
    """
    if dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        levels = looked_up(values, item, dataset, path, "VOI")
        top = 2 ** int(item.LUTDescriptor[2]) - 1
        return np.round(np.minimum(levels / top, 1) * 255).astype(np.uint8)
    for place in (*reversed(groups(dataset, frame, "FrameVOILUTSequence")), dataset):
        centre, width = (_first(place, name) for name in ("WindowCenter", "WindowWidth"))
        if centre is not None and width is not None:
            function = str(place.get("VOILUTFunction") or "LINEAR").upper()
            return _levels(values, centre, width, function, path)
    if values.dtype == np.uint8:
        return values
    raise UsageError(
        f"{path} names no VOI LUT and no window, and config.data.voi = 'file' needs one: {_CURE}."
    )


def _first(place: Any, name: str) -> float | None:
    """The first of several numbers, or None where there is none."""
    value = place.get(name)
    try:
        return None if value is None else float(np.atleast_1d(np.asarray(value, np.float64))[0])
    except (TypeError, ValueError, IndexError):
        return None


def _levels(values: np.ndarray, centre: float, width: float, function: str, path: Path) -> np.ndarray:
    least = 1 if function == "LINEAR" else 0
    known = function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
    if not known or not np.isfinite((centre, width)).all() or width < least or width == 0:
        raise UsageError(
            f"{path} names the window {centre:g}, {width:g} with the function {function}, which means "
            f"nothing: {_CURE}."
        )
    wide = values.astype(np.float64)
    if function == "SIGMOID":  # C.11.2.1.3.1
        with np.errstate(over="ignore"):
            part = 1 / (1 + np.exp(-4 * (wide - centre) / width))
    else:
        if function == "LINEAR":  # C.11.2.1.2.1
            centre, width = centre - 0.5, width - 1
        part = (wide - centre) / width + 0.5 if width else wide > centre
    return np.round(np.clip(part, 0, 1) * 255).astype(np.uint8)
