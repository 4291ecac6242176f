"""Cases are read, prepared and put into the array of all, here or in another process."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nachos_jax.core.errors import TransientError, UsageError
from nachos_jax.data.pixels import ReadCase
from nachos_jax.data.preparation import prepare


@dataclass(frozen=True)
class Opening:
    """What another process can open too: a function by name, with arguments that JSON can hold.

    Attributes:
        module: where the function is.
        name: of the function, which returns one that reads a case.
        arguments: of the function.
        large: whether cases are volumes, which take seconds and much memory each, instead of single images.
    """

    module: str
    name: str
    arguments: Mapping[str, Any]
    large: bool = False

    def __call__(self) -> ReadCase:
        """The function that reads a case."""
        return getattr(importlib.import_module(self.module), self.name)(**self.arguments)


@dataclass(frozen=True)
class Told:
    """What became of a case.

    Attributes:
        row: its number.
        fault: why it cannot be read; "" if it can.
        stored: its shape as stored.
        shape: as prepared.
        dtype: as prepared.
        fits: whether it stands in the array now.
        transient: whether the next launch may well read it: the machine has failed, and not the file.
    """

    row: int
    fault: str = ""
    stored: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    dtype: str = ""
    fits: bool = False
    transient: bool = False


def packed(told: Sequence[Told]) -> str:
    """The same as JSON for another process: what rows after one another have in common once."""
    runs: list[tuple[list[Any], list[int]]] = []
    for one in told:
        common = [one.fault, one.stored, one.shape, one.dtype, one.fits, one.transient]
        if not runs or runs[-1][0] != common:
            runs.append((common, []))
        runs[-1][1].append(one.row)
    return json.dumps(runs)


def unpacked(text: str) -> list[Told]:
    """What `packed` has packed."""
    return [
        Told(row, fault, tuple(stored), tuple(shape), dtype, fits, transient)
        for (fault, stored, shape, dtype, fits, transient), rows in json.loads(text)
        for row in rows
    ]


def read_rows(
    read: ReadCase, rows: Sequence[int], preparation: Mapping[str, Any], images: np.ndarray | None
) -> list[Told]:
    """Reads cases, and writes those that fit into the array of all; None only looks at them."""
    return [_told(read, row, preparation, images) for row in rows]


def _told(read: ReadCase, row: int, preparation: Mapping[str, Any], images: np.ndarray | None) -> Told:
    try:
        stored = read(row)
        fault = not_finite(stored)
        if fault:
            return Told(row, fault)
        image = prepare(stored, preparation)
    except UsageError as error:
        return Told(row, str(error), transient=isinstance(error, TransientError))
    except MemoryError:
        return Told(row, "it needs more memory than there is: free some", transient=True)
    fitting = images is not None and _fits(image, images)
    if images is not None and fitting:
        images[row] = image
    return Told(row, "", stored.shape, image.shape, image.dtype.str, fitting)


def _fits(image: np.ndarray, images: np.ndarray) -> bool:
    alike = image.shape == images.shape[1:] and same_depth(image.dtype, images.dtype)
    return alike and fits(image, images.dtype)


def not_finite(image: np.ndarray) -> str:
    """What to say of pixels that are NaN or infinite; "" if there are none."""
    bad = np.argwhere(~np.isfinite(image)) if image.dtype.kind == "f" else np.empty((0, 3))
    if not len(bad):
        return ""
    *piece, row, column, _ = bad[0].tolist()
    at = "".join(f"slice {number}, " for number in piece)
    return (
        f"{len(bad)} pixel(s) are NaN or infinite (the first at {at}row {row}, column {column}); mend the "
        "image or drop the case."
    )


def same_depth(a: np.dtype, b: np.dtype) -> bool:
    """Whether both dtypes hold 8-bit images, or neither does."""
    return (a == np.uint8) == (b == np.uint8)


def fits(image: np.ndarray, dtype: np.dtype) -> bool:
    """Whether every value of the image can be stored as `dtype` without change."""
    if np.can_cast(image.dtype, dtype):
        return True
    if dtype.kind == "f" or image.dtype.kind == "f":
        return False
    return bool(np.iinfo(dtype).min <= image.min() and image.max() <= np.iinfo(dtype).max)
