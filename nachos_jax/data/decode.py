"""All pixels of a cohort in one array: decoded, prepared, and checked case by case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import SHOWN
from nachos_jax.data.content import RunningDigest, pixel_digest
from nachos_jax.data.decode_crew import BLOCK, Crew, blocks_of, crew
from nachos_jax.data.pixels import Pixels
from nachos_jax.data.reading import Told, not_finite, same_depth

Allocate = Callable[[tuple[int, ...], np.dtype], np.ndarray]
"""Shape and dtype -> an array to fill, in memory or in a file."""
Progress = Callable[[int, int], None]
"""Called with (cases decoded, cases in all)."""

_MORE = "There may be more: decoding has stopped here."
SKIP = "config.data.on_error = 'skip' leaves them out, and says so in every output."
_TRANSIENT = (
    "The machine has failed, and not the files: the next launch may well read them, and a run has the same "
    "cases at every launch, so config.data.on_error = 'skip' does not leave them out. Mend what is told, or "
    "drop them from the data."
)
LISTED = 100
"""Broken cases that a message names."""


@dataclass(frozen=True)
class Images:
    """What could be read of N cases.

    Attributes:
        values: [n, H, W, C] of the n cases that can be read, in their order.
        sizes: how many images had which shape as stored.
        faults: (row, why) of each case that cannot be read.
        transient: those of them that the next launch may well read.
        sha256: what `content.pixel_digest` says of the values; "" where nobody has looked.
    """

    values: np.ndarray
    sizes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    faults: tuple[tuple[int, str], ...] = ()
    transient: tuple[tuple[int, str], ...] = ()
    sha256: str = ""


def decode(
    pixels: Pixels, preparation: Mapping[str, Any], allocate: Allocate, progress: Progress | None = None
) -> Images:
    """Reads every case that can be read into one array.

    The first of them fixes shape and dtype. Where a later one of 16 or more bits does not fit that dtype, all
    start again as float32; 8-bit images are never mixed with others, whose values mean something else.

    Args:
        pixels: N cases, at least one.
        preparation: see `preparation.prepare`.
        allocate: gives the array to fill; asked again for another shape or dtype.
        progress: told how far it is.

    Raises:
        UsageError: images that differ from the first in size, channels or bits (it names the first ten), or
            none that can be read.
    """
    with crew(pixels, preparation) as decoders:
        first = _first(decoders, pixels)
        told: list[Told] = []
        images, dtype, sha256 = np.empty(0), np.dtype(first.dtype), ""
        while not told:
            images = allocate((pixels.count, *first.shape), dtype)
            with RunningDigest(images.dtype, images.shape) as digest:
                told = _fill(images, first, decoders, pixels, progress, digest)
                sha256 = digest.hexdigest() if told else ""
            dtype = np.dtype(np.float32)
    sizes, faults = Counter(one.stored for one in told if not one.fault), _faults(told, pixels)
    transient = _faults([one for one in told if one.transient], pixels)
    if faults:
        images = _without([row for row, _ in faults], images, allocate)
        sha256 = pixel_digest(images)
    return Images(images, sizes, faults, transient, sha256)


def refuse(faults: Sequence[tuple[int, str]], count: int, cure: str = "") -> None:
    """Raises UsageError when cases cannot be read: the first hundred with the reason each, and how many."""
    if not faults:
        return
    lines = [why for _, why in faults[:LISTED]]
    more = [f"and {len(faults) - LISTED:,} more"] if len(faults) > LISTED else []
    number = f"\n{len(faults):,} of {count:,} images cannot be read." if len(faults) > 1 else ""
    raise UsageError("\n  ".join([*lines, *more]) + number + (f" {cure}" if cure else ""))


def refuse_unread(made: Images, count: int, skip: bool) -> None:
    """Raises UsageError of cases that cannot be read; where these are skipped, of transient faults alone.

    Args:
        made: what could be read.
        count: cases in all.
        skip: whether config.data.on_error says so.
    """
    if skip:
        refuse(made.transient, count, _TRANSIENT)
    refuse(() if skip else made.faults, count, SKIP if len(made.faults) > len(made.transient) else "")


def _first(decoders: Crew, pixels: Pixels) -> Told:
    """The first case that can be read."""
    broken: list[Told] = []
    for (told,) in decoders.told(([row] for row in range(pixels.count)), None):
        if not told.fault:
            return told
        broken.append(told)
    raise UsageError("\n  ".join(why for _, why in _faults(broken, pixels)[:LISTED]))


def _fill(
    images: np.ndarray,
    first: Told,
    decoders: Crew,
    pixels: Pixels,
    progress: Progress | None,
    digest: RunningDigest,
) -> list[Told]:
    """Decodes all cases into `images`, which fit the first; [] if a case needs a wider dtype."""
    found: list[Told] = []
    misfits: list[str] = []
    for told in decoders.told(blocks_of(pixels), images):
        found += told
        digest.add(images[told[0].row : told[-1].row + 1])
        for one in told:
            if not one.fault and not one.fits:
                misfits.append(_misfit(one, images, pixels, first.row))
        if "" in misfits:
            return []
        if len(misfits) >= SHOWN:
            misfits[SHOWN:] = [_MORE]
            break
        if progress:
            progress(len(found), pixels.count)
    if misfits:
        raise UsageError("\n  ".join([*(why for _, why in _faults(found, pixels)[:SHOWN]), *misfits]))
    return found


def _faults(told: Sequence[Told], pixels: Pixels) -> tuple[tuple[int, str], ...]:
    """Rows that cannot be read, and why, with where they are."""
    named = ((one.row, pixels.where(one.row), one.fault) for one in told if one.fault)
    return tuple((row, fault if where in fault else f"{where}: {fault}") for row, where, fault in named)


def _without(rows: Sequence[int], images: np.ndarray, allocate: Allocate) -> np.ndarray:
    """The images but those of some rows, in an array of their own."""
    kept = np.delete(np.arange(len(images)), rows)
    fewer = allocate((len(kept), *images.shape[1:]), images.dtype)
    for start in range(0, len(kept), BLOCK):
        fewer[start : start + BLOCK] = images[kept[start : start + BLOCK]]
    return fewer


def finite(image: np.ndarray, where: str) -> None:
    """Raises UsageError naming the case when a pixel is NaN or infinite."""
    fault = not_finite(image)
    if fault:
        raise UsageError(f"{where}: {fault}")


def _misfit(told: Told, images: np.ndarray, pixels: Pixels, sample: int) -> str:
    """Why an image cannot stand among the others; "" where a wider dtype would help."""
    where, first = pixels.where(told.row), pixels.where(sample)
    (*size, c), (*sides, channels) = told.shape, images.shape[1:]
    if c != channels:
        return (
            f"{where} is {_colour(c)}, {first} is {_colour(channels)}; set config.data.channels = 1 (all "
            "gray) or 3 (all colour)."
        )
    if size != sides:
        own, other = ("x".join(map(str, lengths)) for lengths in (size, sides))
        deep = len(size) == 3
        what, order = ("voxels", "depth x height x width") if deep else ("pixels", "height x width")
        fields = "config.data.depth, " if deep else ""
        return (
            f"{where} has {own} {what}, {first} has {other} ({order}); set {fields}config.data.height and "
            f"config.data.width to resize all {'volumes' if deep else 'images'} to one size."
        )
    if same_depth(np.dtype(told.dtype), images.dtype):
        return ""
    return (
        f"{where} is stored as {np.dtype(told.dtype)}, {first} as {images.dtype}: their values are on "
        "other scales; convert all images to one bit depth."
    )


def _colour(channels: int) -> str:
    return {1: "gray", 3: "colour"}.get(channels, f"of {channels} channels")
