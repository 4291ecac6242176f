"""Zip and tar archives, unpacked where nothing but their own folder can be written."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from nachos_jax.core.errors import UsageError

ZIP, TAR = (".zip",), (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
FILES, BYTES, RATIO = 1_000_000, 500 * 2**30, 200
"""Bounds: files, bytes unpacked, and bytes unpacked for each byte of an archive over 100 MB unpacked."""
_SMALL = 100 * 2**20


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    plain: bool
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Whether the name is that of a zip or tar file."""
    return path.name.lower().endswith((*ZIP, *TAR))


def unpack(path: Path, folder: Path) -> tuple[Path, list[str]]:
    """Unpacks an archive into a new folder; an earlier one that is complete is used again.

    Absolute paths, paths with "..", links and devices are left out.

    Args:
        path: a zip or tar file.
        folder: made here; a marker in it says when it is complete.

    Returns:
        The folder, and what was left out, in words.

    Raises:
        UsageError: a damaged or encrypted archive, one beyond the bounds, or a folder that is not ours.
    """
    mark = folder.with_name(f"{folder.name}.unpacked")
    told = f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}"
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
        left_out, count = _unpack(path, part)
        part.rename(folder)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UsageError(
            f"{path} cannot be unpacked ({error}): it is damaged or encrypted; unpack it yourself and name "
            "the folder."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    mark.write_text(told, encoding="utf-8")
    notes = [f"{count} files of {path.name} were unpacked into {folder}"]
    if left_out:
        shown = ", ".join(map(repr, left_out[:5])) + (" ..." if len(left_out) > 5 else "")
        notes.append(f"left out {len(left_out)} entries that are links or lead out of the archive: {shown}")
    return folder, notes


def _unpack(path: Path, folder: Path) -> tuple[list[str], int]:
    left_out, count, total = [], 0, 0
    allowed = min(BYTES, max(_SMALL, RATIO * path.stat().st_size))
    folder.mkdir(parents=True)
    for member in _members(path):
        place = PurePosixPath(member.name.replace("\\", "/"))
        leads_out = place.is_absolute() or ".." in place.parts or ":" in "".join(place.parts[:1])
        if not member.plain or not place.parts or leads_out:
            left_out.append(member.name)
            continue
        count, total = count + 1, total + member.size
        if count > FILES or total > allowed:
            raise UsageError(
                f"{path} unpacks to over {min(count, FILES):,} files or {allowed:,} bytes, more than is "
                "believed of its size: unpack it yourself and name the folder."
            )
        target = folder.joinpath(*place.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as written:
            _copy(member, written)
    return left_out, count


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
