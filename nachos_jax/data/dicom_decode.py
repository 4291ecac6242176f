"""Decoding of one frame of a DICOM file, by the same decoders on every machine."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels.decoders.base import get_decoder

from nachos_jax.core.errors import UsageError, refuse_transient
from nachos_jax.data.dicom_header import INTACT, frames

PLUGINS = ("pillow", "pylibjpeg")
"""Tried in this order; others that happen to be installed are not, because lossy pictures differ by them."""
RLE = ("pydicom",)
"""Alone where it decodes: pylibjpeg-rle ends in a panic of Rust on damaged files."""
_PYDICOM = "Unable to decode as exceptions were raised by all available plugins: "
# It logs with its traceback what the messages below say in words.
logging.getLogger("pydicom.pixels.decoders.base").setLevel(logging.CRITICAL)
PACKAGES = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"


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
        encapsulated = syntax.is_encapsulated
    except (NotImplementedError, ValueError) as error:
        raise UsageError(
            f"{path}: the transfer syntax {syntax.name} ({syntax}) has no decoder; store the file as "
            "Explicit VR Little Endian, e.g. with dcmdjpeg or gdcmconv --raw."
        ) from error
    known = RLE if RLE[0] in decoder.available_plugins else PLUGINS
    plugins = [name for name in known if name in decoder.available_plugins] if encapsulated else [""]
    reasons = []
    for plugin in plugins:
        try:
            return _frame(decoder, dataset, plugin, frame)
        except Exception as error:  # decoders of damaged files raise anything
            refuse_transient(error, path)
            reasons.append(" ".join(str(error).split()).removeprefix(_PYDICOM))
    if any(map(_ran_out, reasons)):
        refuse_transient(MemoryError(), path)
    cure = INTACT
    if encapsulated:
        lacks = known is PLUGINS and "pylibjpeg" not in plugins
        other = f"install a decoder with: pip install {PACKAGES}" if lacks else "store it uncompressed"
        cure = f"{INTACT}; or, if it is intact, {other}"
    reason = reasons[-1] if reasons else "no decoder is installed"
    raise UsageError(
        f"{path}: the pixels cannot be decoded, transfer syntax {syntax.name} ({reason}); {cure}."
    )


def _ran_out(reason: str) -> bool:
    """Whether a decoder had no memory: pydicom keeps the words of an error, which of Pillow's are none."""
    known = any(words in reason for words in ("Unable to allocate", "out of memory"))
    return known or reason in (f"{name}:" for name in (*PLUGINS, *RLE))


def _frame(decoder: Any, dataset: pydicom.Dataset, plugin: str, frame: int) -> np.ndarray:
    index = frame if frames(dataset) > 1 else None
    # Unused bits are looked at afterwards: clearing them would hide values that lie beyond.
    values, _ = decoder.as_array(dataset, index=index, decoding_plugin=plugin, correct_unused_bits=False)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
