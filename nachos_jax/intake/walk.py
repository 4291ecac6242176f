"""What lies in a folder: its files by kind, and what is left out, with the reason."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nachos_jax.core.errors import UsageError
from nachos_jax.data.given import is_text
from nachos_jax.data.image_files import is_dicom
from nachos_jax.intake.archives import is_archive

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
DICOM = (".dcm", ".dicom", ".ima")
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr")
TABLES = (".csv", ".tsv", ".xlsx", ".parquet")
ARCHIVES = "archives (unpack them there, or name one with --input; a folder of nothing else is unpacked)"
"""Why archives are left out."""
OURS = ("cases.csv", "config.py")
"""What `nachos init` writes."""
_SYSTEM = ("thumbs.db", "desktop.ini", "dicomdir")
_FOLDERS = ("__macosx", "$recycle.bin")


@dataclass
class Walked:
    """Paths below `root`, sorted.

    Attributes:
        root: the folder.
        images: PNG, JPEG and TIFF files.
        dicom: DICOM files, by suffix or content.
        volumes: NIfTI and NRRD files.
        tables: CSV, TSV, XLSX and Parquet files.
        arrays: npz files.
        left_out: names of files by the reason why.
        archives: zip and tar files, which are left out where there is anything else than tables.
    """

    root: Path
    images: list[Path] = field(default_factory=list)
    dicom: list[Path] = field(default_factory=list)
    volumes: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    arrays: list[Path] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    archives: list[Path] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Images, DICOM files and volumes."""
        return len(self.images) + len(self.dicom) + len(self.volumes)

    def name(self, path: Path) -> str:
        """The path below the root, with forward slashes."""
        return path.relative_to(self.root).as_posix()


def walk(root: Path, output: Path) -> Walked:
    """Sorts the files below a folder by kind; links to folders are not followed, `output` is ours.

    Raises:
        UsageError: no such folder, or names that are no UTF-8 text.
    """
    if not root.is_dir():
        raise UsageError(f"--input={root}: there is no such file or folder; mend the path.")
    found, ours, folders = Walked(root), output.resolve(), [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as inside:
                entries = sorted(inside, key=lambda entry: entry.name)
        except OSError as error:
            _leave(found, folder, f"folders that cannot be read ({error.strerror})", "/")
            continue
        mine = folder.resolve() == ours
        for entry in entries:
            if not entry.is_dir() and not (mine and entry.name in OURS):
                _sort(found, folder / entry.name)
        inner = [folder / entry.name for entry in entries if entry.is_dir()]
        folders += [path for path in reversed(inner) if path.resolve() != ours and _enter(found, path)]
    return found


def listed(root: Path, names: Sequence[str]) -> Walked:
    """The files of a table, whose paths start at `root`; those that are not there are left out."""
    found = Walked(root)
    paths = {root / name.replace("\\", "/") for name in names}
    for path in sorted(path for path in paths if path.is_file() and path.is_relative_to(root)):
        _sort(found, path)
    return found


def kind(path: Path) -> str:
    """The list of `Walked` that a file belongs to; "" for none."""
    name = path.name.lower()
    named = {"images": IMAGES, "dicom": DICOM, "volumes": VOLUMES, "tables": TABLES, "arrays": (".npz",)}
    told = next((kind for kind, suffixes in named.items() if name.endswith(suffixes)), "")
    return told or ("dicom" if is_dicom(path) else "")


def _enter(found: Walked, folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name.lower() in _FOLDERS
    if hidden:
        _leave(found, folder, "in hidden or system folders", "/")
    elif folder.is_symlink():
        _leave(found, folder, "links to other folders", "/")
    return not hidden and not folder.is_symlink()


def _sort(found: Walked, path: Path) -> None:
    if not is_text(str(path)):
        raise UsageError(
            f"{os.fsencode(path)!r}: the name is no UTF-8 text; rename it, e.g. with `convmv -r -f cp1252 -t "
            "utf8 --notest FOLDER`."
        )
    name = path.name.lower()
    if name.startswith((".", "~$")) or name in _SYSTEM:
        _leave(found, path, "hidden files or files of a system")
        return
    try:
        empty = not path.stat().st_size
    except OSError:
        _leave(found, path, "links to files that are not there, or cannot be looked at")
        return
    if empty:
        _leave(found, path, "empty (copy them again)")
    elif is_archive(path):
        found.archives.append(path)
        _leave(found, path, ARCHIVES)
    elif what := kind(path):
        getattr(found, what).append(path)
    else:
        _leave(found, path, "neither images nor volumes nor tables")


def _leave(found: Walked, path: Path, why: str, mark: str = "") -> None:
    found.left_out.setdefault(why, []).append(found.name(path) + mark)
