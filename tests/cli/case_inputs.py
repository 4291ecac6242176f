"""Small data sets as people have them, each with one thing that public reports tell of."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Cell = Callable[[int], str]
Tried = Callable[..., str]
"""The fixture `tried` of conftest."""
P = r"--config.data.subject_key=(P\d+)_"
SMALL = ("--config.data.height=8", "--config.data.width=8", "--config.training.batch_size=4")
SMALL += ("--config.search.space.batch_size=", "--config.folds.count=3")
READY = "would train now"
COUNT = 24


def says(text: str, *parts: str) -> None:
    for part in parts:
        assert part in text, f"{part!r} is not in {text!r}"


def image(i: int, seed: int = 0) -> np.ndarray:
    """16 x 16 pixels, uint8; a bright square tells class 1, of cases 2, 3, 6, 7, ..."""
    pixels = np.random.default_rng([seed, i]).normal(90, 20, (16, 16))
    pixels[4:11, 4:11] += 90 * (i // 2 % 2)
    return pixels.clip(0, 255).astype(np.uint8)


def label(i: int) -> str:
    return ["benign", "malignant"][i // 2 % 2]


def subject(i: int) -> str:
    return f"P{i // 2:02d}"


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def write_table(folder: Path, rows: list[list[str]], name: str = "cases.csv") -> None:
    with open(folder / name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def table(
    folder: Path,
    labels: Cell = label,
    subjects: Cell = subject,
    pixels: Callable[[int], np.ndarray] = image,
    suffix: str = ".png",
) -> Path:
    """cases.csv and its 24 images, two a subject; returns the folder."""
    for i in range(COUNT):
        save(folder / f"{i:03d}{suffix}", pixels(i))
    rows = [[f"{i:03d}{suffix}", labels(i), subjects(i)] for i in range(COUNT)]
    write_table(folder, [["path", "label", "subject"], *rows])
    return folder


def class_folders(folder: Path, name: Callable[[int], str]) -> Path:
    """24 images, each where `name` says."""
    for i in range(COUNT):
        save(folder / name(i), image(i))
    return folder


def old_windows_names(folder: Path) -> Path:
    """Class folders whose file names are Latin-1."""
    for i in range(COUNT):
        data = io.BytesIO()
        Image.fromarray(image(i)).save(data, "PNG")
        place = os.path.join(os.fsencode(folder), label(i).encode())
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, b"M\xfcller_P%02d_%d.png" % (i // 2, i)), "wb") as file:
            file.write(data.getvalue())
    return folder


def half_zero(path: Path) -> None:
    """Overwrites the second half of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
