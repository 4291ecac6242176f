"""Zip and tar archives, unpacked where nothing but their own folder can be written."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from nachos_jax.core.errors import UsageError
from nachos_jax.data.layout import TAR, ZIP

FILES, BYTES, RATIO = 1_000_000, 500 * 2**30, 200
"""Bounds: files, bytes unpacked, and bytes unpacked for each byte of an archive over 100 MB unpacked."""
_SMALL = 100 * 2**20
DEPTH = 4
"""Archives within archives that are unpacked."""
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile),
    *(EOFError, RuntimeError, NotImplementedError),
)
"""What damaged and encrypted archives raise."""


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    plain: bool
    open: Callable[[], IO[bytes] | None]


@dataclass
class _Bounds:
    """What may still be unpacked of the archive that the user has named, those within it included."""

    path: Path
    bytes: int
    files: int = FILES
    left_out: list[str] = field(default_factory=list)
    unpacked: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def spend(self, size: int) -> None:
        self.files, self.bytes = self.files - 1, self.bytes - size
        if self.files < 0 or self.bytes < 0:
            raise UsageError(
                f"{self.path} unpacks to over {FILES:,} files, or to more than is believed of its size: "
                "unpack it yourself and name the folder."
            )


def is_archive(path: Path) -> bool:
    """Whether the name is that of a zip or tar file."""
    return bool(_suffix(path))


def _suffix(path: Path) -> str:
    return next((end for end in (*ZIP, *TAR) if path.name.lower().endswith(end)), "")


def unpack(path: Path, folder: Path) -> tuple[Path, list[str]]:
    """Unpacks an archive into a new folder; an earlier one that is complete is used again.

    Absolute paths, paths with "..", links and devices are left out. Archives within it are unpacked too, each
    into a folder of its name; one that is damaged is left out, and told.

    Args:
        path: a zip or tar file.
        folder: made here; a marker in it says when it is complete.

    Returns:
        The folder, and what was left out, in words.

    Raises:
        UsageError: a damaged or encrypted archive, one beyond the bounds, or a folder that is not ours.
    """

    def fill(part: Path) -> list[str]:
        bounds = _bounds_of(path, [path])
        try:
            _unpack(path, part, bounds)
            _unpack_inner(part, bounds)
        except _DAMAGE as error:
            raise UsageError(
                f"{path} cannot be unpacked ({error}): it is damaged or encrypted; unpack it yourself and "
                "name the folder."
            ) from error
        return list(_notes(path, folder, bounds))

    return _once(path, [path], folder, fill)


def unpack_each(
    root: Path, paths: Sequence[Path], tables: Sequence[Path], folder: Path
) -> tuple[Path, list[str]]:
    """Unpacks the archives of a folder as `unpack` does one, each into a folder of its name; tables go along.

    Args:
        root: the folder.
        paths: archives below it; one that is damaged is left out, and told.
        tables: files below it that are copied to the same place below `folder`.
        folder: made here.

    Returns:
        The folder, and what was left out, in words.

    Raises:
        UsageError: archives beyond the bounds, none that can be unpacked, or a folder that is not ours.
    """

    def fill(part: Path) -> list[str]:
        bounds = _bounds_of(root, paths)
        for path in tables:
            place = part / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        done = sum(_unpack_beside(path, part / path.relative_to(root), root, bounds) for path in paths)
        if not done:
            raise UsageError(
                f"{root}: of its {len(paths)} archives none can be unpacked ({_shown(bounds.damaged)}): they "
                "are damaged or encrypted; unpack them yourself."
            )
        return list(_notes(root, folder, bounds, done))

    return _once(root, [*paths, *tables], folder, fill)


def _bounds_of(path: Path, paths: Sequence[Path]) -> _Bounds:
    return _Bounds(path, min(BYTES, max(_SMALL, RATIO * sum(one.stat().st_size for one in paths))))


def _once(
    path: Path, paths: Sequence[Path], folder: Path, fill: Callable[[Path], list[str]]
) -> tuple[Path, list[str]]:
    """Fills a new folder whole or not at all; one that was filled from the same files is used again."""
    mark = folder.with_name(f"{folder.name}.unpacked")
    told = "\n".join(f"{one.resolve()} {one.stat().st_size} {one.stat().st_mtime_ns}" for one in paths)
    if mark.is_file() and folder.is_dir() and mark.read_text(encoding="utf-8") == told:
        return folder, [f"{path.name} was unpacked into {folder} before; that folder is read"]
    if folder.exists():
        raise UsageError(
            f"{path.name} would be unpacked into {folder}, which is there already: name another --output, or "
            "remove that folder."
        )
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        notes = fill(part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    mark.write_text(told, encoding="utf-8")
    return folder, notes


def _notes(path: Path, folder: Path, bounds: _Bounds, named: int = 0) -> Iterator[str]:
    """What was unpacked and what not; of the archives within it, so many were files of the user's folder."""
    count = FILES - bounds.files - len(bounds.unpacked) + named
    yield f"{count} files of {path.name} were unpacked into {folder}"
    if bounds.unpacked:
        yield f"{len(bounds.unpacked)} archives within it were unpacked too: {_shown(bounds.unpacked)}"
    if bounds.damaged:
        told = f"left out {len(bounds.damaged)} archives within it that are damaged or encrypted"
        yield f"{told}: {_shown(bounds.damaged)}"
    if bounds.left_out:
        told = f"left out {len(bounds.left_out)} entries that are links or lead out of the archive"
        yield f"{told}: {_shown(bounds.left_out)}"


def _shown(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (" ..." if len(names) > 5 else "")


def _unpack_inner(folder: Path, bounds: _Bounds, depth: int = 1) -> None:
    """Unpacks the archives in a folder, and those in them, each into a folder of its name beside it."""
    inner = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_archive(path)]
    for path in inner if depth <= DEPTH else ():
        if path.name.startswith(".") or "__MACOSX" in path.parts:
            continue
        if _unpack_beside(path, path, folder, bounds, depth):
            path.unlink()


def _unpack_beside(path: Path, beside: Path, root: Path, bounds: _Bounds, depth: int = 1) -> bool:
    """Unpacks an archive below `root`, and those in it, into a folder of its name; False if it is damaged."""
    place = beside.with_name(beside.name[: -len(_suffix(beside))] or "archive")
    while place.exists():
        place = place.with_name(f"{place.name}_")
    name = path.relative_to(root).as_posix()
    try:
        _unpack(path, place, bounds)
    except _DAMAGE:
        shutil.rmtree(place, ignore_errors=True)
        bounds.damaged.append(name)
        return False
    bounds.unpacked.append(name)
    _unpack_inner(place, bounds, depth + 1)
    return True


def _unpack(path: Path, folder: Path, bounds: _Bounds) -> None:
    folder.mkdir(parents=True)
    for member in _members(path):
        place = PurePosixPath(member.name.replace("\\", "/"))
        leads_out = place.is_absolute() or ".." in place.parts or ":" in "".join(place.parts[:1])
        if not member.plain or not place.parts or leads_out:
            bounds.left_out.append(member.name)
            continue
        bounds.spend(member.size)
        target = folder.joinpath(*place.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as written:
            _copy(member, written)


def _copy(member: _Member, target: IO[bytes]) -> None:
    """Copies no more than the entry claims."""
    source, left = member.open(), member.size
    while source and left > 0 and (piece := source.read(min(left, 2**20))):
        target.write(piece)
        left -= len(piece)


def _members(path: Path) -> Iterator[_Member]:
    if path.name.lower().endswith(ZIP):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                mode = info.external_attr >> 16
                if not info.is_dir():
                    plain = not mode or stat.S_IFMT(mode) in (0, stat.S_IFREG)
                    yield _Member(info.filename, info.file_size, plain, lambda info=info: archive.open(info))
    else:
        with tarfile.open(path) as archive:
            for info in archive:
                if not info.isdir():
                    yield _Member(
                        info.name, info.size, info.isreg(), lambda info=info: archive.extractfile(info)
                    )
            while archive.fileobj and archive.fileobj.read(2**20):
                pass  # what packed it checks its sum at its end
