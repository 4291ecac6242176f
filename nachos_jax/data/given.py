"""What a path really is, and the step that leads on from there."""

from __future__ import annotations

import os
from pathlib import Path

from nachos_jax.core.errors import UsageError

VOLUMES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".img", ".hdr", ".mgz", ".mgh", ".mnc")
OTHER_IMAGES = (".bmp", ".gif", ".webp", ".jp2", ".heic", ".heif", ".avif", ".svs", ".ndpi", ".npy", *VOLUMES)
"""Images that cannot be read here; leaving them out would change the study, so they are refused."""
READS = {"npz": "an NPZ file", "csv": "a CSV table", "folder": "a folder"}

_CSV = "set config.data.source = 'csv' (--config=csv)"
_SAVE = f"save it as 'CSV UTF-8' with one line a case, and {_CSV}"
_ONE = (
    "name the folder that holds a sub-folder a class (--config=folder), or a CSV table that lists the images "
    "(--config=csv)"
)
_FOLDER = (
    "set config.data.source = 'folder' (--config=folder) if it holds a sub-folder a class, else list its "
    "images in a CSV table (--config=csv)"
)
_KINDS = (
    ("a CSV table", (".csv",), _CSV),
    ("a spreadsheet", (".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), _SAVE),
    ("a table", (".parquet", ".feather", ".arrow", ".json", ".jsonl", ".sav", ".dta", ".rds"), _SAVE),
    ("an NPZ file", (".npz",), "set config.data.source = 'npz' (--config=base)"),
    (
        "an array file",
        (".npy", ".h5", ".hdf5", ".mat", ".pt", ".pth", ".pkl", ".pickle"),
        "store images, labels and subjects with numpy.savez_compressed('cases.npz', images=..., labels=..., "
        "subject=...), and set config.data.source = 'npz' (--config=base)",
    ),
    ("an archive", (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar", ".gz"), f"unpack it, then {_ONE}"),
    ("an image", (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom"), _ONE),
)
_STARTS = (
    (b"BM", "a BMP image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a WebP image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\x1f\x8b", "packed by gzip"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"%PDF", "a PDF document"),
    (b"\x93NUMPY", "a NumPy array"),
)
"""First bytes of what bears the name of another format."""
_SLICES = "set config.data.volume = 'whole', or 'middle', 'mean' or 'max' for an image of each, and "


def check_source(source: str, path: Path) -> None:
    """Refuses a path that is there and is something else than its source reads, with the step that leads on.

    Raises:
        UsageError: likewise.
    """
    kind, cure = other_kind(source, path)
    if kind:
        raise UsageError(
            f"config.data.path = {str(path)!r} is {kind}, and config.data.source = {source!r} reads "
            f"{READS[source]}: {cure}."
        )


def other_kind(source: str, path: Path) -> tuple[str, str]:
    """What a path that is there is, if a source reads something else, and the cure; ("", "") else."""
    if source not in READS or not os.path.exists(path):
        return "", ""
    kind, cure = _kind(path)
    return (kind, cure) if kind != READS[source] else ("", "")


def check_input(path: Path) -> None:
    """Refuses an input of `nachos predict` that is neither image, folder nor CSV table.

    Raises:
        UsageError: likewise.
    """
    kind, _ = _kind(path)
    if kind in ("an NPZ file", "an array file"):
        raise UsageError(
            f"{path} is {kind}, of which nobody knows which array is meant: save its images as PNG or TIFF "
            "files, or predict in Python with nachos_jax.load(model).probabilities(images)."
        )
    if kind in ("a spreadsheet", "a table", "an archive"):
        raise UsageError(f"{path} is {kind}: name image files, folders, or CSV tables with a column path.")


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8; Python keeps the bytes of others as surrogates."""
    return name.isascii() or not any("\udc80" <= mark <= "\udcff" for mark in name)


def cure_of_image(path: Path) -> str:
    """What to do with an image that cannot be read here; "" where its name says nothing."""
    name = path.name.lower()
    if name.endswith(VOLUMES):
        known = name.endswith((".nii", ".nii.gz", ".nrrd"))
        read = "set config.data.volume = 'whole', or 'middle', 'mean' or 'max' for an image of each"
        return read if known else f"save it as NIfTI, and {read}"
    return "save it as PNG, TIFF or DICOM" if name.endswith((*OTHER_IMAGES, ".npz", ".pdf")) else ""


def content(path: Path) -> str:
    """What a file that is no image holds instead, by its first bytes; "" where they do not tell."""
    with open(path, "rb") as file:
        start = file.read(512)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start.strip(b"\0"):
        return "(it is empty)" if not start else "(it starts with nothing but zeros)"
    if start.startswith(b"version https://git-lfs"):
        return "(it is a pointer of Git LFS: fetch the images with `git lfs pull`)"
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "(it is a web page, as a failed download leaves)"
    if start[4:8] == b"ftyp":
        return "(it is a HEIC or AVIF image, or a film)"
    return next((f"(it is {kind})" for mark, kind in _STARTS if start.startswith(mark)), "")


def _kind(path: Path) -> tuple[str, str]:
    """(kind, cure) of a path by its name; ("", "") for what has to be tried."""
    if os.path.isdir(path):
        return "a folder", _FOLDER
    name = path.name.lower()
    if name.endswith(VOLUMES):
        return "a volume", _SLICES + _ONE
    return next(((kind, cure) for kind, suffixes, cure in _KINDS if name.endswith(suffixes)), ("", ""))
