"""A config of the data section, and files to read."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nachos_jax.config.run_config import DataConfig


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., DataConfig]:
    """The default data section with the fields given, and a cache of its own."""
    default = DataConfig(
        source="npz",
        path="",
        include=(),
        exclude=(),
        features=(),
        impute="",
        image_key="images",
        label_key="labels",
        label_names_key="label_names",
        mask_key="masks",
        shape_key="shape",
        spacing_key="spacing",
        spacing="",
        target_keys=(),
        subject_key="",
        site_key="",
        fold_key="",
        case_key="",
        subject="",
        spellings="refuse",
        equal_images="refuse",
        allow=(),
        classes=(),
        height=0,
        width=0,
        frame=-1,
        voi="",
        channels=0,
        aspect="stretch",
        facing="",
        subset=1.0,
        on_error="stop",
        cache=str(tmp_path / "cache"),
        residency="auto",
        window=16384,
        columns=(),
        predefined=False,
    )
    return lambda **fields: dataclasses.replace(default, **fields)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Writes images and a CSV that lists them; returns the CSV's path."""

    def write(text: str, images: dict[str, np.ndarray] | None = None) -> Path:
        rng = np.random.default_rng(0)
        for number in range(6):
            file = tmp_path / f"{number}.png"
            Image.fromarray(rng.integers(0, 256, (5, 6), np.uint8)).save(file)
        for name, image in (images or {}).items():
            Image.fromarray(image).save(tmp_path / name)
        path = tmp_path / "cases.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def tiff() -> Callable[..., None]:
    """Writes an uncompressed TIFF with any tags, which Pillow's writer would not give."""

    def write(path: Path, image: np.ndarray, photometric: int = 1, sample_format: int = 1) -> None:
        height, width = image.shape[:2]
        channels = image.shape[2] if image.ndim == 3 else 1
        bits = image.dtype.itemsize * 8
        entries = [
            (256, 4, 1, width),
            (257, 4, 1, height),
            (258, 3, channels, bits),
            (259, 3, 1, 1),
            (262, 3, 1, photometric),
            (273, 4, 1, 512),
            (277, 3, 1, channels),
            (278, 4, 1, height),
            (279, 4, 1, image.nbytes),
            (339, 3, 1, sample_format),
        ]
        head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
        extra = b""
        for tag, kind, count, value in entries:
            if count == 3:  # three shorts do not fit into the entry
                extra = struct.pack("<3H", value, value, value)
                value = 400
            elif kind == 3:
                value = value & 0xFFFF
            head += struct.pack("<HHII", tag, kind, count, value)
        head += struct.pack("<I", 0)
        path.write_bytes((head.ljust(400, b"\0") + extra).ljust(512, b"\0") + image.tobytes())

    return write
