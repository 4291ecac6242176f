"""A folder with one sub-folder a class; images lie at any depth below."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.data import checks
from nachos_jax.data.columns import Columns
from nachos_jax.data.image_files import is_image, read_files
from nachos_jax.data.pixels import Pixels, Source

OTHER_IMAGES = (
    *(".bmp", ".gif", ".webp", ".jp2", ".heic", ".svs"),
    *(".nii", ".gz", ".mha", ".mhd", ".nrrd", ".npy"),
)
"""Images that cannot be read here; leaving them out would change the study, so they are refused."""

log = logging.getLogger(__name__)


def read(data: DataConfig) -> Source:
    """Finds the images of each class.

    `subject_key`, `site_key` and `fold_key` are regular expressions with one group, searched in the
    path below the folder, e.g. "person(\\d+)_".

    Raises:
        UsageError: no such folder, an image outside the class folders, a class folder without image,
            a format that cannot be read, a file twice, a key that is no such expression or does not match.
    """
    root = Path(expanded(data.path))
    if not os.path.isdir(root):
        raise UsageError(f"config.data.path = {str(root)!r}: there is no such folder; mend the path.")
    names = find_images(root)
    labels = [_label(name, root) for name in names]
    _no_empty_class(root, set(labels))
    files = _distinct([root / name for name in names], names)
    columns = Columns(
        source=str(root),
        names=names,
        targets={"label": labels},
        where=names.__getitem__,
        certain=set(labels),
        subject_cure=r"say where the paths hold them in config.data.subject_key, e.g. 'person(\d+)_'",
        subjects=_extracted(data.subject_key, "subject_key", names),
        sites=_extracted(data.site_key, "site_key", names),
        folds=_extracted(data.fold_key, "fold_key", names),
    )
    return Source(columns, Pixels(len(files), lambda row: str(files[row]), lambda: read_files(files), files))


def find_images(root: Path) -> list[str]:
    """Paths below `root` of all images, sorted; what is left out is logged as a warning.

    Args:
        root: folder; links to folders are followed, each folder once.

    Returns:
        Relative paths with forward slashes.

    Raises:
        UsageError: an image in a format that cannot be read here, or a broken link.
    """
    images, hidden, others = [], [], []
    for path in _walk(root):
        name = path.relative_to(root).as_posix()
        if any(part.startswith(".") for part in Path(name).parts):
            hidden.append(name)
        elif not os.path.isfile(path):
            raise UsageError(f"{path} is a link to a file that is not there; mend or remove the link.")
        elif is_image(path):
            images.append(name)
        elif path.suffix.lower() in OTHER_IMAGES:
            raise UsageError(
                f"{path}: images of type {path.suffix} cannot be read; convert them to PNG, TIFF or DICOM, "
                "or move them out of the folder."
            )
        else:
            others.append(name)
    _warn(root, hidden, "hidden")
    _warn(root, others, "not PNG, JPEG, TIFF or DICOM")
    return sorted(images)


def _walk(root: Path) -> list[Path]:
    seen, found = set(), []
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        folders.sort()
        seen.add(real)
        found.extend(Path(folder, file) for file in files)
    return sorted(found)


def _warn(root: Path, names: Sequence[str], why: str) -> None:
    if names:
        log.warning(
            "%s: left out %d file(s) that are %s: %s", root, len(names), why, checks.listed(sorted(names))
        )


def _label(name: str, root: Path) -> str:
    label, slash, _ = name.partition("/")
    if not slash:
        raise UsageError(
            f"{root / name} lies in no class folder; move it into the sub-folder of its class (one "
            "sub-folder a class)."
        )
    return label


def _no_empty_class(root: Path, labels: set[str]) -> None:
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in labels:
            raise UsageError(
                f"{folder} holds no PNG, JPEG, TIFF or DICOM image; every sub-folder is a class. Add its "
                "images or remove the folder."
            )


def _distinct(files: Sequence[Path], names: Sequence[str]) -> tuple[Path, ...]:
    first: dict[Path, str] = {}
    for file, name in zip(files, names, strict=True):
        before = first.setdefault(file.resolve(), name)
        if before != name:
            raise UsageError(f"{name} is the same file as {before}; keep one of the two.")
    return tuple(first)


def _extracted(pattern: str, field: str, names: Sequence[str]) -> list[str] | None:
    """The group of a regular expression in each path; None without expression."""
    if not pattern:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"config.data.{field} = {pattern!r} is not a regular expression ({error}); mend it."
        ) from error
    if expression.groups != 1:
        raise UsageError(
            f"config.data.{field} = {pattern!r} has {expression.groups} groups; put exactly one pair of "
            r"parentheses around the part wanted, e.g. 'person(\d+)_'."
        )
    values = []
    for name in names:
        match = expression.search(name)
        if not match or not match[1]:
            raise UsageError(
                f"{name}: config.data.{field} = {pattern!r} finds nothing in this path; make the expression "
                "fit every file, or rename the file."
            )
        values.append(match[1])
    return values
