"""Volumes of files brought to one spacing, which their headers tell: of those that can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import decode, volume_files, volumes
from nachos_jax.data.cache import Decoded
from nachos_jax.data.pixels import Pixels, Source
from nachos_jax.data.resampling import Spacing, common, sides_at

Read = Callable[[Pixels, Mapping[str, Any]], Decoded]
"""Pixels and preparation -> what could be read of them."""


@dataclass(frozen=True, eq=False)
class OneSpacing:
    """N volumes, and what their headers say.

    Attributes:
        source: where they lie.
        data: config.data, whose `spacing` says how the common one is found.
        sides: [N, 3] voxels as stored; zeros of a volume whose header cannot be read.
        spacings: [N, 3] mm of a voxel, likewise.
        readable: [N] bool, those whose header can be read.
    """

    source: Source
    data: DataConfig
    sides: np.ndarray
    spacings: np.ndarray
    readable: np.ndarray

    def read(self, wanted: Mapping[str, Any], read: Read) -> tuple[Decoded, dict[str, Any]]:
        """Reads the volumes at the spacing that is common to those that can be read.

        A header may be whole and its voxels not. Which they are is known when they have been read; if the
        spacing is another without them, all are read again, so that what is left out leaves no trace.

        Args:
            wanted: the preparation.
            read: reads the volumes.

        Returns:
            What could be read, and the preparation with the spacing.

        Raises:
            UsageError: no size is wanted, or none can be read.
        """
        known = self.readable.copy()
        while True:
            spacing = self._common(known)
            self._refuse_no_size(spacing, known)
            asked = {**wanted, "spacing": list(spacing), "aspect": volumes.WINDOW}
            opening = volume_files.opening(self.source.volumes, spacing, self.data.voi)
            found = read(replace(self.source.pixels, open=opening, keys=self._keys()), asked)
            known[[row for row, _ in found.faults]] = False
            if self._common(known) == spacing:
                return found, asked

    def note(self, prepared: Mapping[str, Any], left_out: Sequence[int]) -> str:
        """What was done to the volumes, for people; `left_out` are rows that could not be read."""
        spacing, data = prepared["spacing"], self.data
        sides = np.delete(self._sides_at(spacing), left_out, axis=0)
        cut = int((sides > [data.depth, data.height, data.width]).any(axis=1).sum())
        return (
            f"volumes are resampled to {_told(spacing)} mm (depth x height x width); {cut:,} are cut to the "
            "size wanted"
        )

    def _keys(self) -> tuple[str, ...]:
        """Of the cache: the same files give other voxels where their headers are read otherwise."""
        pairs = zip(self.source.pixels.keys, self.spacings.tolist(), strict=True)
        return tuple(f"{key} {spacing}" for key, spacing in pairs)

    def _common(self, known: np.ndarray) -> Spacing:
        """The given spacing, or that of known cases inside; of all that are known where none is inside."""
        given = self.data.like.get("spacing")
        if given:
            return given
        columns = replace(self.source.columns, spellings=self.data.spellings).without(np.flatnonzero(~known))
        inside = known.copy()
        inside[known] = ~columns.away(self.data.external)
        rows = inside if inside.any() else known
        return common(self.spacings[rows], self.sides[rows], self.data.spacing)

    def _sides_at(self, spacing: Sequence[float]) -> np.ndarray:
        """[N, 3] voxels of each volume at a spacing."""
        rows = zip(self.sides, self.spacings, strict=True)
        return np.asarray([sides_at(sides, own, spacing) for sides, own in rows])

    def _refuse_no_size(self, spacing: Spacing, known: np.ndarray) -> None:
        if self.data.depth:
            return
        sides = self._sides_at(spacing)[known]
        middle, most = (" x ".join(map(str, row.astype(int))) for row in (np.median(sides, 0), sides.max(0)))
        raise UsageError(
            f"config.data.spacing = {self.data.spacing!r}: at {_told(spacing)} mm the volumes have different "
            f"sizes, {middle} in the middle and at most {most}. Set config.data.depth, config.data.height "
            "and config.data.width; what is larger is cut about its middle, what is smaller filled up."
        )


def of(source: Source, data: DataConfig) -> OneSpacing:
    """Reads the headers of volumes.

    Raises:
        UsageError: these are no whole volumes in files; or a header cannot be read or tells no spacing, and
            config.data.on_error does not skip its case, or none is left.
    """
    if not source.volumes or data.volume != volumes.WHOLE:
        raise UsageError(
            f"config.data.spacing = {data.spacing!r} resamples whole volumes from files (config.data.source "
            "= 'csv' or 'folder', config.data.volume = 'whole'): set it to ''."
        )
    grids = volume_files.grids(source.volumes)
    faults = tuple((row, grid.fault) for row, grid in enumerate(grids) if grid.fault)
    if data.on_error != "skip" or len(faults) == len(grids):
        decode.refuse(faults, len(grids), decode.SKIP)
    return OneSpacing(
        source,
        data,
        np.asarray([grid.sides for grid in grids]),
        np.asarray([grid.spacing for grid in grids], float),
        np.asarray([not grid.fault for grid in grids]),
    )


def _told(spacing: Sequence[float]) -> str:
    return " x ".join(f"{step:.3g}" for step in spacing)
