"""External cases from another source or from Python, read and prepared like those that models learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.data import arrays, decode, features, given, reading, sources
from nachos_jax.data.arrays import ArrayCases
from nachos_jax.data.columns import Columns
from nachos_jax.data.joined import Joined
from nachos_jax.data.store import Dense
from nachos_jax.data.table import Cohort
from nachos_jax.data.targets import TargetReader, Targets
from nachos_jax.data.vectors import Vectors

_SIDES = {"depth": "slices", "height": "rows", "width": "columns"}


@dataclass(frozen=True)
class _Partial:
    """Reads targets of which nothing is learned: some classes may have no case."""

    reader: TargetReader

    @property
    def masks(self) -> bool:
        return self.reader.masks

    def targets(self, columns: Columns, names: Sequence[str]) -> Targets:
        return self.reader.targets(replace(columns, partial=True), names)

    def part(self, targets: Targets, rows: np.ndarray) -> Targets:
        return self.reader.part(targets, rows)


EXTERNAL = "external"
"""Site of external cases from Python that name none."""


def of_arrays(cases: ArrayCases, reader: TargetReader, inside: Cohort) -> Cohort:
    """External cases that are given from Python.

    Args:
        cases: the arrays; the order of classes, labels and features, and what stands for a missing value,
            are those inside, and folds are not read.
        reader: the task.
        inside: the cases that models learn from, given from Python too.

    Returns:
        Their cohort; a class may be without cases.

    Raises:
        UsageError: as `nachos_jax.data.arrays.cohort`, or another kind of cases, class, size, number of
            channels or bit depth than inside.
    """
    like = inside.preparation
    known = inside.targets.names if inside.targets.has.shape[1] else ()
    _refuse_other_places(cases, reader, known)
    own = replace(
        cases, names=known, folds=None, impute=like.get("impute", ""), volume=like.get("volume", "")
    )
    vectors = isinstance(inside.store, Vectors)
    if not reader.masks and (np.ndim(cases.images) == 2) != vectors:
        what, other = ("vectors [N, D]", "images") if vectors else ("images", "vectors [N, D]")
        raise UsageError(f"external cases: the cases inside are {what}, and these are {other}.")
    try:
        found = _fitting(arrays.cohort(own, _Partial(reader), like), inside)
    except UsageError as error:
        raise UsageError(f"external cases: {error}") from error
    if found.table.sites is not None:
        return found
    return replace(found, table=replace(found.table, sites=np.full(len(found.table), EXTERNAL)))


def _refuse_other_places(cases: ArrayCases, reader: TargetReader, known: Sequence[str]) -> None:
    """Refuses names in another order where columns or numbers stand for them by their place."""
    by_place = reader.masks or np.ndim(cases.targets) == 2
    if by_place and len(cases.names) and tuple(cases.names) != tuple(known):
        what = "the numbers of masks" if reader.masks else "the columns of targets"
        raise UsageError(
            f"external cases: {what} stand for {', '.join(map(repr, cases.names))}, and inside for "
            f"{', '.join(map(repr, known))}: put them in the order inside, and name them so or not at all."
        )


def load(
    data: DataConfig, reader: TargetReader, inside: Cohort, progress: decode.Progress | None = None
) -> Cohort:
    """The cases of config.data.external_path.

    Args:
        data: config.data, by which `inside` was read.
        reader: the task.
        inside: the cases that models learn from.
        progress: see `nachos_jax.data.sources.load`.

    Returns:
        Their cohort; a class may be without cases. Without a column of sites all are of one site, which is
        named after the file.

    Raises:
        UsageError: as `nachos_jax.data.sources.load`, or another class, size, number of channels or bit depth
            than inside.
    """
    path = data.external_path
    kind, _ = given.other_kind(data.source, Path(expanded(path)))
    if kind:
        raise UsageError(
            f"config.data.external_path = {path!r} is {kind}, and config.data.path is "
            f"{given.READS[data.source]}: give external cases in the same form as those inside."
        )
    own = replace(
        data,
        path=path,
        external_path="",
        fold_key="",
        predefined=False,
        classes=inside.targets.names if inside.targets.has.shape[1] else (),
        columns=(),
        described=tuple(dict.fromkeys((*data.columns, *data.described))),
        like={**inside.preparation, **_embedded(data)},
    )
    try:
        found = _fitting(sources.load(own, _Partial(reader), progress), inside)
    except UsageError as error:
        told = str(error).replace("config.data.path", "config.data.external_path")
        own_words = "config.data.external_path" in told.partition("\n")[0]
        raise UsageError(told if own_words else f"external cases, {path}: {told}") from error
    if found.table.sites is not None:
        return found
    sites = np.full(len(found.table), Path(expanded(path)).name.partition(".")[0])
    return replace(found, table=replace(found.table, sites=sites))


def _embedded(data: DataConfig) -> dict[str, Any]:
    """How the images inside were prepared before `nachos embed` made vectors of them; {} of other vectors."""
    told = features.embedding(Path(expanded(data.path))) if data.source == "vectors" else {}
    return {features.IMAGES: told[features.IMAGES]} if features.IMAGES in told else {}


def _fitting(cohort: Cohort, inside: Cohort) -> Cohort:
    """The cohort in the stored dtype of the cases inside; refused where networks could not read it."""
    if isinstance(cohort.store, Vectors):
        return cohort
    beside, others = (isinstance(of.store, Joined) for of in (cohort, inside))
    if beside != others:
        have, lack = ("these", "those inside") if beside else ("those inside", "these")
        raise UsageError(
            f"vectors stand beside the images of {have}, and none beside {lack}: give them for both, or for "
            "none."
        )
    own, wanted = cohort.preparation, inside.preparation
    if own["channels"] != wanted["channels"]:
        raise UsageError(
            f"the images have {own['channels']} channel(s), and those inside {wanted['channels']}: save them "
            "like those, or set config.data.channels for both."
        )
    if own.get("unit") != wanted.get("unit"):
        raise UsageError(
            f"volumes of masks are known in {own.get('unit')}, and inside in {wanted.get('unit')}: give the "
            "spacing of both, or of none."
        )
    dtype = inside.store.dtype
    if not reading.same_depth(cohort.store.dtype, dtype):
        raise UsageError(
            f"the images are stored as {cohort.store.dtype}, and those inside as {dtype}: their values are "
            "on other scales; convert them to the same bit depth."
        )
    images = cohort.store.images if isinstance(cohort.store, Joined) else cohort.store
    if not isinstance(images, Dense):
        return cohort
    sides = [name for name in _SIDES if own.get(name) != wanted.get(name)]
    if sides:
        one, other = (" x ".join(str(of[name]) for name in _SIDES if name in of) for of in (own, wanted))
        raise UsageError(
            f"the images have {one} pixels, and those inside {other}: resize them, or set "
            f"{' and '.join(f'config.data.{name}' for name in _SIDES if name in own)}, which resizes both."
        )
    if images.dtype == dtype or not reading.fits(images.values, dtype):
        return cohort
    images = Dense(images.values.astype(dtype))
    store = replace(cohort.store, images=images) if isinstance(cohort.store, Joined) else images
    return replace(cohort, store=store)
