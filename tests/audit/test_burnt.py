"""Text in pictures is found; tissue, frames and gratings are not text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

import nachos_jax
from nachos_jax.audit import burnt
from nachos_jax.audit.audit import audit
from nachos_jax.audit.extent import Division
from nachos_jax.audit.grays import look
from nachos_jax.data.image_files import read_image
from nachos_jax.data.inspected import inspect
from nachos_jax.data.store import Dense
from nachos_jax.protocol.run.configure import checked
from nachos_jax.tasks import registry as tasks

SIDE = 160


def _tissue(count: int) -> np.ndarray:
    """Smooth random pictures [n, SIDE, SIDE] uint8 with some fine grain."""
    random = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(random.normal(size=(count, SIDE, SIDE)), (0, 4, 4))
    values = 110 + 60 * smooth / np.abs(smooth).max() + random.normal(0, 4, smooth.shape)
    return values.clip(0, 255).astype(np.uint8)


def _written(picture: np.ndarray, text: str, level: int, size: int = 14) -> np.ndarray:
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((12, 9), text, fill=level, font=ImageFont.load_default(size))
    return np.asarray(image)


@pytest.mark.parametrize("level", [255, 0])
@pytest.mark.parametrize("text", ["SMITH 1961", "ID 40527"])
def test_text_is_found_bright_or_dark(text: str, level: int):
    assert burnt.characters(_written(_tissue(1)[0], text, level)) >= burnt.CHARACTERS


def test_what_is_no_text_is_not():
    frame = np.full((SIDE, SIDE), 30, np.uint8)
    frame[20:-20, 20:-20] = 200
    grating = np.where(np.arange(SIDE) % 8 < 3, 250, 20).astype(np.uint8) * np.ones((SIDE, 1), np.uint8)
    for picture in (*_tissue(20), frame, grating, np.zeros((SIDE, SIDE)), _written(frame, "R", 255, 20)):
        assert burnt.characters(picture) < burnt.CHARACTERS


@pytest.mark.parametrize(
    ("file", "text"), [("examples_rgb_color.dcm", True), ("examples_overlay.dcm", False)]
)
def test_text_of_scanners_is_found(file: str, text: bool):
    path = Path(pydicom.__file__).parent / "data/test_files" / file
    gray = read_image(path).astype(np.float32).mean(axis=-1)
    assert (burnt.characters(gray) >= burnt.CHARACTERS) == text


def test_text_that_tells_the_class_is_found(tmp_path: Path):
    pictures, labels = _tissue(60), np.arange(60) % 2
    for row in np.flatnonzero(labels):
        pictures[row] = _written(pictures[row], "PORTABLE", 255)
    np.savez(tmp_path / "x.npz", images=pictures, labels=labels, subject=np.arange(60).astype(str))
    config = nachos_jax.default_config()
    config.data.path, config.data.cache = str(tmp_path / "x.npz"), str(tmp_path / "cache")
    run = checked(config)
    found = {one.kind: one for one in audit(inspect(run.data, tasks.of(run.task)), Division(3)).findings}
    assert sorted(row for (row,) in found["burnt-in text"].groups) == np.flatnonzero(labels).tolist()
    assert "burnt-in text" in found["class told by metadata"].told


def test_of_many_pictures_some_are_looked_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(burnt, "MOST", 4)
    seen = look(Dense(_tissue(10)[..., None]), 10)
    assert np.flatnonzero(seen.letters >= 0).tolist() == [0, 3, 6, 9]
