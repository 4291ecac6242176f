"""Decoding of one frame of a DICOM file, by the same decoders on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels.decoders.base import get_decoder

from nachos_jax.core.errors import UsageError
from nachos_jax.data.dicom_header import INTACT, frames

PLUGINS = ("pydicom", "pillow", "pylibjpeg")
"""Tried in this order; others that happen to be installed are not, because lossy pictures differ by them."""
PACKAGES = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle"


def decoded(dataset: pydicom.Dataset, path: Path, frame: int = 0) -> np.ndarray:
    """One frame as stored; YBR_FULL colours have become RGB.

    Args:
        dataset: what `dicom_header.opened` returns.
        path: its file.
        frame: counted from 0.

    Returns:
        [H, W] or [H, W, samples].

    Raises:
        UsageError: a compression without decoder, or pixels that cannot be decoded.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UsageError(
            f"{path}: the transfer syntax {syntax.name} ({syntax}) has no decoder; store the file as "
            "Explicit VR Little Endian, e.g. with dcmdjpeg or gdcmconv --raw."
        ) from error
    plugins = (
        [name for name in PLUGINS if name in decoder.available_plugins] if syntax.is_encapsulated else [""]
    )
    reasons = []
    for plugin in plugins:
        try:
            return _frame(decoder, dataset, plugin, frame)
        except Exception as error:  # decoders of damaged files raise anything
            reasons.append(" ".join(str(error).split()))
    cure = f"install a decoder with: pip install {PACKAGES}; or store the file uncompressed"
    if plugins:
        cure = f"{INTACT}; or, if it is intact, {cure}" if decoder.missing_dependencies else INTACT
    reason = reasons[-1] if reasons else "no decoder is installed"
    raise UsageError(
        f"{path}: the pixels cannot be decoded, transfer syntax {syntax.name} ({reason}); {cure}."
    )


def _frame(decoder: Any, dataset: pydicom.Dataset, plugin: str, frame: int) -> np.ndarray:
    index = frame if frames(dataset) > 1 else None
    # Unused bits are looked at afterwards: clearing them would hide values that lie beyond.
    values, _ = decoder.as_array(dataset, index=index, decoding_plugin=plugin, correct_unused_bits=False)
    return values
