"""From the data section of a config to a cohort, and from prediction's inputs to images."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.fields import FIELDS
from nachos_jax.config.run_config import DataConfig
from nachos_jax.config.windows import OF_FILE, spelled
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.data import (
    beside,
    cache,
    checks,
    csv_table,
    decode,
    digits,
    features,
    folder,
    given,
    layout,
    mask_folder,
    masks,
    npz,
    one_spacing,
    pair_cache,
    reading,
    source_rules,
    volume_files,
    windows,
)
from nachos_jax.data.arrays import cohort_of
from nachos_jax.data.columns import Columns, case_table, check_cases, further_texts
from nachos_jax.data.image_files import read_files
from nachos_jax.data.joined import Inputs
from nachos_jax.data.pixels import Pixels, ReadCase, Source
from nachos_jax.data.preparation import prepare
from nachos_jax.data.table import JOINED, CaseTable, Cohort
from nachos_jax.data.targets import TargetReader, Targets
from nachos_jax.data.volumes import VolumeFile

READERS = {"digits": digits.read, "npz": npz.read, "folder": folder.read, "csv": csv_table.read}
"""Of images; `nachos_jax.data.features` reads the source "vectors"."""
WITH_MASKS = {"npz": npz.read_masks, "folder": mask_folder.read_masks, "csv": csv_table.read_masks}
Paths = str | os.PathLike | Sequence[str | os.PathLike]
"""One path or several."""

_OF_FILE_NOTE = "grey levels by the VOI LUT of each DICOM header, or by the first of its windows"

log = logging.getLogger(__name__)


def load(data: DataConfig, reader: TargetReader, progress: decode.Progress | None = None) -> Cohort:
    """Reads, checks and decodes the cases of a config.

    Args:
        data: config.data.
        reader: the task, which reads its targets from the columns.
        progress: called with (cases decoded, cases in all); not when the cache serves.

    Returns:
        The cohort; its images are mapped from the cache, except those of the source "digits"; its vectors lie
        in memory.

    Raises:
        UsageError: anything that the case table or the images have wrong, with row and cure.
    """
    if data.spacing and not reader.masks and not data.volume:
        raise UsageError(
            f"config.data.spacing = {data.spacing!r} resamples volumes, and these cases are images: set "
            "config.data.spacing = ''."
        )
    if data.source == "vectors":
        return features.load(data, reader)
    if data.source not in READERS:
        known = ", ".join(map(repr, (*READERS, "vectors")))
        raise UsageError(
            f"config.data.source = {data.source!r}: such cases are passed from Python, see "
            f"nachos_jax.cohort_from_arrays; here it must be one of {known}."
        )
    given.check_source(data.source, Path(expanded(data.path)))
    source_rules.check(data, reader.masks)
    if reader.masks:
        return _with_masks(data, reader, progress)
    return of_source(READERS[data.source](data), data, reader, progress)


def of_source(
    source: Source, data: DataConfig, reader: TargetReader, progress: decode.Progress | None = None
) -> Cohort:
    """The cohort of images that a reader has found; otherwise as `load`."""
    columns = replace(source.columns, spellings=data.spellings)
    check_cases(columns, source.notes)

    def checked(columns: Columns) -> tuple[Targets, CaseTable]:
        _, targets, table = checks.together(
            lambda: _files(source),
            lambda: reader.targets(columns, data.classes),
            lambda: case_table(columns, data.subject == WAIVER),
        )
        return targets, table

    further = beside.read(data, len(columns.names)) if data.features else None
    targets, table = checked(columns)
    wanted = _wanted(data)
    notes, read = source.notes, partial(_decoded, data=data, progress=progress)
    if data.volume and data.spacing:
        resampled = one_spacing.of(source, data)
        pixels, wanted = resampled.read(wanted, read)
        notes = (*notes, resampled.note(wanted, [row for row, _ in pixels.faults]))
    else:
        pixels = read(source.pixels, wanted)
    notes = (*notes, *((_OF_FILE_NOTE,) if data.voi == OF_FILE else ()))
    if not pixels.faults:
        found = cohort_of(table, targets, pixels, wanted, notes)
        found = further.joined(found) if further else found
        return replace(found, doubts=(*source.doubts, *found.doubts))
    skipped = tuple((columns.names[row], why) for row, why in pixels.faults)
    gone = [row for row, _ in pixels.faults]
    fewer, table = checked(columns.without(gone))
    if fewer.names != targets.names:
        lost = checks.listed(name for name in targets.names if name not in fewer.names)
        raise UsageError(
            f"no image of {targets.noun} {lost} can be read: {skipped[0][1]}; replace the files, or leave "
            f"the {targets.noun} out."
        )
    found = cohort_of(table, fewer, pixels, wanted, (*notes, _left_out(skipped)))
    found = further.without(gone).joined(found) if further else found
    return replace(found, skipped=skipped, doubts=(*source.doubts, *found.doubts))


def _wanted(data: DataConfig) -> dict[str, Any]:
    """The preparation of images; what is as it always was is not told, so that older caches serve."""
    if data.aspect == "crop" and not data.height:
        raise UsageError(
            "config.data.aspect = 'crop' gives every image another size: set config.data.height and "
            "config.data.width, to which the parts are resized."
        )
    further = {
        "volume": data.volume,
        "interpolation": "" if data.interpolation == "bilinear" else data.interpolation,
        "voi": spelled(data.voi) if data.voi else "",
        "facing": data.facing,
        "clahe": data.clahe,
    }
    return {
        "height": data.height,
        "width": data.width,
        "channels": data.channels,
        "aspect": "fit" if data.aspect == "pad" else data.aspect,
        **{name: value for name, value in further.items() if value},
        **({"depth": data.depth} if source_rules.whole(data) else {}),
        **({"frame": data.frame} if data.frame >= 0 else {}),
    }


def _decoded(
    pixels: Pixels, wanted: Mapping[str, Any], data: DataConfig, progress: decode.Progress | None
) -> cache.Decoded:
    """The prepared pixels, from the cache where it holds them."""
    shown, skip = pixels, data.on_error == "skip"
    if not isinstance(pixels.open, reading.Opening):  # which sees to the window itself
        shown = replace(pixels, open=lambda: windows.reader(pixels.open(), data.voi))
    if not shown.files:
        return cache.in_memory(shown, wanted, progress)

    def build(allocate: decode.Allocate) -> decode.Images:
        made = decode.decode(shown, wanted, allocate, progress)
        decode.refuse_unread(made, shown.count, skip)
        return made

    return cache.decoded(cache.folder(data.cache), cache.key(shown.files, shown.keys, wanted), build, skip)


def _left_out(skipped: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(f"{name}: {why}" for name, why in skipped[: checks.SHOWN])
    more = f"; and {len(skipped) - checks.SHOWN} more" if len(skipped) > checks.SHOWN else ""
    return f"left out {len(skipped)} image(s) that cannot be read (config.data.on_error): {shown}{more}"


def _with_masks(data: DataConfig, reader: TargetReader, progress: decode.Progress | None) -> Cohort:
    if data.source not in WITH_MASKS:
        raise UsageError(
            f"config.data.source = {data.source!r} gives no masks, which the task learns from: it must be "
            f"one of {', '.join(map(repr, WITH_MASKS))}."
        )
    for name in ("volume", "height", "width", "channels"):
        if getattr(data, name):
            raise UsageError(
                f"config.data.{name} = {getattr(data, name)!r}: images with masks are taken as they are "
                f"stored; set it to {FIELDS[f'data.{name}'].default!r}, and choose the part that a step sees "
                "in config.task.segmentation."
            )
    for name in ("facing", "clahe"):
        if getattr(data, name):
            raise UsageError(
                f"config.data.{name} = {getattr(data, name)!r}: images with masks are taken as they are "
                f"stored; set it to {FIELDS[f'data.{name}'].default!r}."
            )
    if data.on_error != "stop":
        raise UsageError(
            f"config.data.on_error = {data.on_error!r} is for images without masks: set it to 'stop', and "
            "drop the rows of broken files."
        )
    waived = data.subject == WAIVER
    rules = masks.Rules(data.classes, waived, data.spellings, data.spacing, data.external, data.like)
    source = WITH_MASKS[data.source](data)
    if not source.files or source.fault:
        return masks.cohort(source, rules, reader, progress)
    keep = partial(pair_cache.kept, source.files, cache.folder(data.cache))
    return masks.cohort(source, rules, reader, progress, keep)


def _files(source: Source) -> None:
    if source.fault:
        raise source.fault


def with_columns(cohort: Cohort, columns: Mapping[str, Sequence | np.ndarray]) -> Cohort:
    """The cohort with further columns, which nothing but the subgroups of a report reads.

    Args:
        cohort: N cases.
        columns: by name, N texts or numbers each; NaN and "" are not known.

    Raises:
        UsageError: a column of another length or shape.
    """
    cells = {}
    for name, values in columns.items():
        array = np.asarray(values)
        if array.shape[:1] != (len(cohort.table),):
            raise UsageError(
                f"column {name!r} has shape {array.shape} for {len(cohort.table)} cases; give one value each."
            )
        cells[name] = np.asarray(further_texts(array), str)
    table = replace(cohort.table, columns={**cohort.table.columns, **cells})
    return replace(cohort, table=table)


def read_inputs(paths: Paths, preparation: Mapping[str, Any]) -> tuple[list[str], np.ndarray | Inputs]:
    """Reads cases for prediction, prepared as those of training were.

    Args:
        paths: one or several image files, folders (searched at any depth), or CSV tables with a column
            `path`; of vectors, the files of `nachos_jax.data.features`.
        preparation: `Cohort.preparation` of the training data.

    Returns:
        Their paths as given or found, equal ones of several tables with the table before each, and the images
        [N, H, W, C]: in the stored dtype of training, or float32 if that cannot hold the values; of vectors,
        names and features [N, D]; of images with vectors beside them, names and both.

    Raises:
        UsageError: nothing to read, a file twice, masks beside images, an image that cannot be read or whose
            channels or bit depth are not those of training, or features that are not those of training.
    """
    inputs = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if is_vectors(preparation):
        return features.read_inputs(inputs, preparation)
    if JOINED not in preparation:
        return _read_images(inputs, preparation)
    values = beside.read_vectors(inputs, preparation)
    names, images = _read_images(inputs, preparation)
    return names, Inputs(images, values)


def _read_images(paths: Sequence[Path], preparation: Mapping[str, Any]) -> tuple[list[str], np.ndarray]:
    files: dict[tuple[Path, str], str] = {}
    tables: list[str] = []
    for path in paths:
        if not given.is_text(str(path)):
            raise UsageError(f"{str(path)!r}: the name is no UTF-8 text; rename the file or folder.")
        for name, case in _expanded(Path(expanded(os.fspath(path))), bool(preparation.get("volume"))):
            key = (case.path.resolve(), case.series)
            if key in files:
                raise UsageError(f"{name} is the same file as {files[key]}; give each image once.")
            files[key] = name
            tables.append(str(path) if _is_table(Path(path)) else "")
    if not files:
        raise UsageError("there is no image to predict; name image files, folders or CSV tables.")
    names = _told_apart(list(files.values()), tables)
    cases = [VolumeFile(*key) for key in files]
    deep = preparation.get("volume")
    voi, frame = preparation.get("voi", ""), preparation.get("frame", -1)
    read = windows.reader(
        volume_files.read_volumes(cases, preparation.get("spacing"), voi)
        if deep
        else read_files([file for file, _ in files], frame, voi),
        voi,
    )
    images = checks.together(
        *(partial(_prepared, read, row, name, preparation) for row, name in enumerate(names))
    )
    dtype = np.dtype(preparation.get("dtype", images[0].dtype))
    return names, np.stack(images).astype(
        dtype if all(reading.fits(i, dtype) for i in images) else np.float32
    )


def _told_apart(names: Sequence[str], tables: Sequence[str]) -> list[str]:
    """Names of cases; one that several bear, as in tables of several folders, with its table before it."""
    counts = Counter(names)
    return [
        f"{table}: {name}" if table and counts[name] > 1 else name
        for name, table in zip(names, tables, strict=True)
    ]


def _is_table(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def is_vectors(preparation: Mapping[str, Any]) -> bool:
    """Whether cases that were prepared so are vectors, and no images."""
    return "features" in preparation


def _expanded(path: Path, deep: bool) -> list[tuple[str, VolumeFile]]:
    """(name, file) of every image, or volume, that one input stands for."""
    if os.path.isdir(path) and deep and volume_files.is_series(path):
        return [(str(path), VolumeFile(path))]
    if os.path.isdir(path):
        listing = folder.find_images(path, volumes=deep)
        if not deep:
            layout.check_masks(path, listing.images, layout.PREDICTED)
        for note in listing.notes:
            log.warning("%s: %s", path, note)
        found = [(str(path / name), VolumeFile(path / name)) for name in listing.images]
        if not found:
            kinds = "NIfTI, NRRD or DICOM volume" if deep else "PNG, JPEG, TIFF or DICOM image"
            raise UsageError(f"{path} holds no {kinds}; name another folder.")
        return found
    if _is_table(path):
        sheet = csv_table.read_sheet(path)
        if "path" not in sheet.header:
            raise UsageError(
                f"{path} has no column 'path'; its header has {checks.listed(sheet.header)}. Rename the "
                f"column that holds the files.{checks.hint('path', sheet.header)}"
            )
        listed = sheet.column("path")
        series = sheet.column("series") if deep and "series" in sheet.header else [""] * len(listed)
        found = csv_table.find_files(sheet, listed, series if deep else ())
        names = [f"{name} {one}".strip() if deep else name for name, one in zip(listed, series, strict=True)]
        return list(zip(names, map(VolumeFile, found, series), strict=True))
    given.check_input(path)
    return [(str(path), VolumeFile(path))]


def _prepared(read: ReadCase, row: int, name: str, preparation: Mapping[str, Any]) -> np.ndarray:
    try:
        image = read(row)
    except UsageError as error:
        raise error if name in str(error) else UsageError(f"{name}: {error}") from error
    decode.finite(image, name)
    channels, wanted = image.shape[-1], preparation["channels"]
    if wanted and channels != wanted and not preparation.get("convert_channels", False):
        raise UsageError(
            f"{name} has {channels} channel(s), the model was trained on images with {wanted} (1 = gray, 3 = "
            "colour); convert the image as the training images were, or train with config.data.channels set."
        )
    dtype = np.dtype(preparation.get("dtype", image.dtype))
    if not reading.same_depth(image.dtype, dtype):
        raise UsageError(
            f"{name} is stored as {image.dtype}, the training images as {dtype}: their values are on other "
            "scales; convert the image to the bit depth of training."
        )
    size = tuple(preparation[side] for side in ("depth", "height", "width") if side in preparation)
    own = image.shape[-1 - len(size) : -1]
    if not preparation.get("resized", True) and own != size:
        log.warning(
            "%s has %s pixels (height x width) and is resized to %s: training used images as stored",
            name,
            "x".join(map(str, own)),
            "x".join(map(str, size)),
        )
    return prepare(image, preparation)
