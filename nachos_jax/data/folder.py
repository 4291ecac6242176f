"""A folder with one sub-folder a class; images lie at any depth below."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded, real
from nachos_jax.data import checks, layout, volume_files
from nachos_jax.data.columns import Columns
from nachos_jax.data.given import OTHER_IMAGES, cure_of_image, is_text
from nachos_jax.data.image_files import is_dicom, is_image, opening
from nachos_jax.data.pixels import Pixels, Source
from nachos_jax.data.volumes import VolumeFile

NO_LABEL_KEY = ("", "labels")
"""Values of config.data.label_key with which the first folder is the class; "labels" is the default."""


@dataclass(frozen=True)
class Listing:
    """What lies below a folder, as relative paths with forward slashes.

    Attributes:
        images: that are taken, sorted.
        left_out: by the reason why.
    """

    images: list[str]
    left_out: dict[str, list[str]]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out and why."""
        return tuple(
            f"left out {len(names)} file(s) that are {why}: {checks.listed(sorted(names))}"
            for why, names in self.left_out.items()
            if names
        )


def read(data: DataConfig) -> Source:
    """Finds the images of each class.

    `subject_key`, `site_key`, `fold_key`, and `label_key` where the class is not the first folder, are
    regular expressions with one group, searched in the path below the folder, e.g. "person(\\d+)_".

    Raises:
        UsageError: no such folder, an image outside the class folders, a class folder without image,
            folders that are no classes, masks among the images, a format that cannot be read, a file
            twice, a key that is no such expression or does not match.
    """
    root = Path(expanded(data.path))
    if not os.path.isdir(root):
        raise UsageError(f"config.data.path = {str(root)!r}: there is no such folder; mend the path.")
    found = find_images(root, data.include, data.exclude, volumes=bool(data.volume))
    names = found.images
    if not data.include and not data.volume:
        layout.check_masks(root, names)
    labels = None if data.label_key in NO_LABEL_KEY else extracted(data.label_key, "label_key", names)
    if labels is None:
        labels = _labels(root, names)
        kinds = "NIfTI, NRRD or DICOM volume" if data.volume else "PNG, JPEG, TIFF or DICOM image"
        _no_empty_class(
            root, {name.partition("/")[0] for name in [*names, *found.left_out[_EXCLUDED]]}, kinds
        )
        if not data.volume:
            layout.check_classes(root, names)
    files = _distinct(root, names)
    columns = Columns(
        source=str(root),
        names=names,
        targets={"label": labels},
        where=names.__getitem__,
        certain=set(labels),
        subject_cure=r"say where the paths hold them in config.data.subject_key, e.g. 'person(\d+)_'",
        subjects=extracted(data.subject_key, "subject_key", names),
        sites=extracted(data.site_key, "site_key", names),
        folds=extracted(data.fold_key, "fold_key", names),
    )
    if data.volume:
        source = volume_files.source(
            columns, tuple(map(VolumeFile, files)), lambda row: str(files[row]), voi=data.voi
        )
        return replace(source, notes=found.notes)
    pixels = Pixels(len(files), lambda row: str(files[row]), opening(files, data.frame, data.voi), files)
    return Source(columns, pixels, notes=found.notes)


_PACKED = "archives, whose files are not read before they are unpacked there (`nachos init` unpacks them too)"
_EXCLUDED = "not among those that config.data.include and config.data.exclude leave"


def find_images(
    root: Path, include: Sequence[str] = (), exclude: Sequence[str] = (), volumes: bool = False
) -> Listing:
    """All images below a folder, or all volumes.

    A volume is a NIfTI or NRRD file, or DICOM: files that lie in the folder itself or directly in one of its
    sub-folders hold several frames each, and those of any deeper folder are one series, named by it.

    Args:
        root: folder; links to folders are followed, each folder once.
        include: patterns of the files to take, () for all; one without a slash is for the name alone.
        exclude: patterns of files to leave out.
        volumes: whether volumes are looked for.

    Raises:
        UsageError: an image in a format that cannot be read here, a name that is no UTF-8, or a broken link.
    """
    images, others, archives, hidden, excluded = [], [], [], [], []
    above, names = str(root), _walk(root)
    _refuse_names(root, names)
    # Strings all through: of ten thousand files, paths as objects take longer than reading what they hold.
    for name in names:
        path = os.path.join(above, name)
        if "/." in f"/{name}":
            hidden.append(name)
        elif (include and not _matches(name, include)) or _matches(name, exclude):
            excluded.append(name)
        elif not os.path.isfile(path):
            raise UsageError(f"{path} is a link to a file that is not there; mend or remove the link.")
        elif volumes and (volume_files.has_name(Path(name)) or is_dicom(path)):
            alone = volume_files.has_name(Path(name)) or name.count("/") < 2
            images.append(name if alone else name.rpartition("/")[0])
        elif is_image(path) and not volumes:
            images.append(name)
        elif name.lower().endswith((*OTHER_IMAGES, *(() if volumes else (".gz",)))):
            suffix, cure = Path(name).suffix, cure_of_image(Path(name))
            raise UsageError(
                f"{path}: images of type {suffix} cannot be read; convert them ({cure}), "
                f"or leave them out (of training: config.data.exclude = ('*{suffix}',))."
            )
        else:
            (archives if name.lower().endswith((*layout.ZIP, *layout.TAR)) else others).append(name)
    taken = set(images) if volumes else set()
    cut = [name for name in excluded if name.rpartition("/")[0] in taken and is_dicom(root / name)]
    if cut:
        raise UsageError(
            f"{root}: config.data.include and config.data.exclude leave out {len(cut)} slice(s) of series "
            f"that are taken ({checks.listed(cut, 3)}), and a series is read whole: move them out of it."
        )
    kinds = "NIfTI, NRRD or DICOM" if volumes else "PNG, JPEG, TIFF or DICOM"
    left_out = {"hidden": hidden, _PACKED: archives, f"not {kinds}": others, _EXCLUDED: excluded}
    return Listing(sorted(set(images)), left_out)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    last = name.rpartition("/")[2]
    return any(fnmatchcase(name if "/" in pattern else last, pattern) for pattern in patterns)


def _refuse_names(root: Path, names: Sequence[str]) -> None:
    """Refuses names that are no UTF-8, which no table and no record could hold."""
    odd = [os.path.join(root, name) for name in names if not is_text(name)]
    if odd:
        raise UsageError(
            f"{root}: the names of {len(odd)} file(s) are no UTF-8 text ({checks.listed(odd, 3)}), "
            "as archives of old Windows systems leave them: rename them, e.g. with `convmv -r -f cp1252 -t "
            f"utf8 --notest {root}`, or unpack the archive again with the right code page."
        )


def _walk(root: Path) -> list[str]:
    """Names of all files below a folder, relative and with forward slashes, sorted."""
    seen, found = set(), []
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        folders.sort()
        seen.add(real)
        relative = Path(folder).relative_to(root).as_posix()
        found.extend(files if relative == "." else [f"{relative}/{file}" for file in files])
    return sorted(found)


def _labels(root: Path, names: Sequence[str]) -> list[str]:
    outside = [(row, "lies in no class folder") for row, name in enumerate(names) if "/" not in name]
    tables = sorted(path.name for path in root.glob("*.csv"))
    table = f"; {tables[0]} may list them: read it with --config=csv" if tables else ""
    checks.refuse(
        outside,
        lambda row: str(root / names[row]),
        f"move it into the sub-folder of its class (one sub-folder a class){table}",
    )
    return [name.partition("/")[0] for name in names]


def _no_empty_class(root: Path, labels: set[str], kinds: str) -> None:
    empty = [
        folder
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in labels
    ]
    if empty:
        raise UsageError(
            f"{', '.join(map(str, empty[:8]))} holds no {kinds}; every sub-folder is "
            "a class. Add its images or remove the folder."
        )


def _distinct(root: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """The real path of each file, or folder."""
    first: dict[str, str] = {}
    paths = real([os.path.join(root, name) for name in names])
    twice = [(row, first.setdefault(path, names[row])) for row, path in enumerate(paths)]
    faults = [(row, f"is the same file as {before}") for row, before in twice if before != names[row]]
    checks.refuse(faults, names.__getitem__, "keep one of the two")
    return tuple(map(Path, first))


def extracted(pattern: str, field: str, names: Sequence[str]) -> list[str] | None:
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
    values = [match[1] if (match := expression.search(name)) else None for name in names]
    faults = [
        (row, f"config.data.{field} = {pattern!r} finds nothing in this path")
        for row, value in enumerate(values)
        if not value
    ]
    checks.refuse(
        faults, names.__getitem__, "make the expression fit every file, or rename or exclude the file"
    )
    return [value for value in values if value]
