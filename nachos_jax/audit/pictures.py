"""Pictures of cases for the page of an audit, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

from nachos_jax.audit.grays import middle
from nachos_jax.data.store import Store

SIDE = 160
"""Pixels of the longer side."""


def of_cases(store: Store, rows: Iterable[int]) -> dict[int, str]:
    """A small picture of each case by its row number; none of vectors."""
    if len(store.shape) == 1:
        return {}
    return {row: _picture(middle(np.asarray(store.one(row), np.float32))) for row in rows}


def _picture(values: np.ndarray) -> str:
    """The image between its own darkest and brightest values, in gray or colour, as a PNG file."""
    low, high = float(values.min()), float(values.max())
    levels = (255 * (values - low) / max(high - low, 1e-6)).astype(np.uint8)
    image = Image.fromarray(levels[..., 0] if levels.shape[-1] != 3 else levels)
    factor = SIDE / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
