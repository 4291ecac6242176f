"""Channels, shape and size of an image: the same steps before training and at prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from nachos_jax.core.errors import UsageError
from nachos_jax.data import clahe, volumes
from nachos_jax.data.cropping import foreground_box

BLACK_IS_ZERO = (np.uint8, np.uint16)
_METHODS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(image: np.ndarray, preparation: Mapping[str, Any]) -> np.ndarray:
    """Brings an image to the channels and the size wanted.

    Args:
        image: [H, W, C] of a stored dtype, C 1 or 3; or a volume [D, H, W, C] of any C.
        preparation: "height" and "width" (0 = as stored), "channels" (0 = as stored, 1 or 3) and "aspect":
            "stretch"; "fit" resizes within the size wanted and fills up with black; "crop" does so with the
            part that `cropping.foreground_box` finds; "pad", of models of version 1, fills up with black to
            the ratio wanted before resizing; "interpolation": "bilinear" where it is not there, or "bicubic";
            "facing": "left" or "right" mirrors images whose brighter half is on the other side; "clahe": the
            limit of `nachos_jax.data.clahe`, 0 where it is not there; of volumes "volume" and "depth", see
            `nachos_jax.data.volumes`.

    Returns:
        [height, width, channels] of the same dtype, or [depth, height, width, channels].

    Raises:
        UsageError: channels that are neither gray nor colour, and are to become so; "clahe" of colour.
    """
    if preparation.get("volume"):
        if preparation["volume"] == volumes.WHOLE:
            image = _with_channels(image, preparation["channels"])
            return volumes.sized(_equalised(image, preparation), preparation)
        image = volumes.flattened(image, preparation["volume"])
    image = _facing(_with_channels(image, preparation["channels"]), preparation.get("facing", ""))
    height, width = preparation["height"], preparation["width"]
    if preparation["aspect"] == "crop":
        image = image[foreground_box(image)]
    image = _equalised(image, preparation)
    if not height or image.shape[:2] == (height, width):
        return image
    method = _METHODS[preparation.get("interpolation", "bilinear")]
    if preparation["aspect"] == "pad":
        image = _padded(image, height, width)
    if preparation["aspect"] not in ("fit", "crop"):
        return _resized(image, height, width, method)
    scale = min(height / image.shape[0], width / image.shape[1])
    tall, wide = (max(1, round(side * scale)) for side in image.shape[:2])
    return _framed(_resized(image, tall, wide, method), height, width, _black(image))


def _equalised(image: np.ndarray, preparation: Mapping[str, Any]) -> np.ndarray:
    limit = preparation.get("clahe", 0)
    return clahe.equalised(image, limit) if limit else image


def _facing(image: np.ndarray, side: str) -> np.ndarray:
    """Mirrored where the brighter half is not on the side wanted, "left" or "right"; "" leaves it."""
    if not side:
        return image
    columns = image.astype(np.float64).sum(axis=(0, 2))
    half = len(columns) // 2
    left, right = columns[:half].sum(), columns[len(columns) - half :].sum()
    away = left < right if side == "left" else right < left
    return image[:, ::-1] if away else image


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    if channels in (0, image.shape[-1]):
        return image
    if image.shape[-1] not in (1, 3):
        raise UsageError(
            f"{image.shape[-1]} channels cannot become {channels}: set config.data.channels = 0."
        )
    if channels == 3:
        return np.repeat(image, 3, axis=-1)
    if image.dtype.kind == "f":
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        return (image.astype(np.float32) @ weights)[..., None].astype(image.dtype)
    # ITU-R BT.601 luma with Pillow's rounding, so that it equals Image.convert("L").
    red, green, blue = np.moveaxis(image.astype(np.int64), -1, 0)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)[..., None].astype(image.dtype)


def _padded(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Centres the image in the smallest frame of the ratio height : width that holds it."""
    h, w = image.shape[:2]
    tall, wide = max(h, -(-w * height // width)), max(w, -(-h * width // height))
    return _framed(image, tall, wide, _black(image))


def _framed(image: np.ndarray, height: int, width: int, black: Any) -> np.ndarray:
    """Centres the image on black."""
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    around = ((top, height - image.shape[0] - top), (left, width - image.shape[1] - left), (0, 0))
    return np.pad(image, around, constant_values=black)


def _black(image: np.ndarray) -> Any:
    """0 of unsigned dtypes; of others (Hounsfield units, normalised values) the image's smallest value."""
    return 0 if image.dtype in BLACK_IS_ZERO else image.min()


def _resized(image: np.ndarray, height: int, width: int, method: Image.Resampling) -> np.ndarray:
    """Interpolated; when shrinking Pillow widens the filter, so nothing aliases."""
    size = (width, height)
    if image.dtype == np.uint8:
        # Pillow takes the last of 2 or 4 channels for alpha, which it multiplies the others by.
        parts = [image] if image.shape[2] == 3 else np.moveaxis(image, -1, 0)
        found = [np.asarray(Image.fromarray(part).resize(size, method)) for part in parts]
        return found[0] if image.shape[2] == 3 else np.stack(found, axis=-1)
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, method))
        for plane in np.moveaxis(image.astype(np.float32), -1, 0)
    ]
    values = np.stack(planes, axis=-1)
    if image.dtype.kind == "f":
        return values.astype(image.dtype)
    info = np.iinfo(image.dtype)
    return np.clip(np.round(values), info.min, info.max).astype(image.dtype)
