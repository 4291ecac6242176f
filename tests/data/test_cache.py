"""The cache gives the same bytes, notices changes, and mends itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import cache, sources
from nachos_jax.tasks.classification import TASK
from tests.inputs import dense


@pytest.fixture
def data(config: Callable[..., DataConfig], tmp_path: Path) -> DataConfig:
    rng = np.random.default_rng(0)
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 30), np.uint8)).save(path)
    return config(source="folder", path=str(tmp_path / "images"), subject=WAIVER, height=10, width=10)


def files(data: DataConfig) -> set[str]:
    return {path.name for path in Path(data.cache).iterdir()}


def test_hit_gives_the_same_bytes_and_hash_and_decodes_nothing(data: DataConfig):
    decoded: list[int] = []
    first = sources.load(data, TASK, progress=lambda done, _: decoded.append(done))
    assert decoded == [1, 2, 3]
    stored = files(data)
    assert {name.rpartition(".")[2] for name in stored} == {"npy", "json"}
    second = sources.load(data, TASK, progress=lambda done, _: decoded.append(done))
    assert decoded == [1, 2, 3]
    assert files(data) == stored
    assert second.hash == first.hash
    assert second.notes == first.notes == ("sizes as stored (height x width x channels): 20 x 30 x 1 (3)",)
    assert isinstance(dense(second), np.memmap)
    assert not dense(second).flags.writeable
    np.testing.assert_array_equal(dense(second), dense(first))


@pytest.mark.parametrize("damage", ["cut pixels", "no pixels", "cut facts", "other facts", "no header"])
def test_damaged_cache_is_rebuilt(data: DataConfig, damage: str):
    first = sources.load(data, TASK)
    expected = np.array(dense(first))
    pixels, facts = (next(Path(data.cache).glob(f"*.{kind}")) for kind in ("npy", "json"))
    if damage == "cut pixels":
        os.truncate(pixels, pixels.stat().st_size - 1)
    elif damage == "no pixels":
        pixels.unlink()
    elif damage == "cut facts":
        os.truncate(facts, 20)
    elif damage == "other facts":
        facts.write_text("[]")
    else:
        pixels.write_bytes(bytes(pixels.stat().st_size))
    again = sources.load(data, TASK)
    assert again.hash == first.hash
    np.testing.assert_array_equal(dense(again), expected)


def test_changed_file_or_option_is_decoded_anew(data: DataConfig, tmp_path: Path):
    first = sources.load(data, TASK)
    path = tmp_path / "images/a/1.png"
    Image.fromarray(np.full((20, 30), 77, np.uint8)).save(path)
    second = sources.load(data, TASK)
    assert second.hash != first.hash
    assert (dense(second)[0] == 77).all()
    assert len(files(data)) == 4


def test_hash_depends_on_content_not_on_place(data: DataConfig, tmp_path: Path):
    first = sources.load(data, TASK)
    (tmp_path / "images").rename(tmp_path / "moved")
    elsewhere = replace(data, path=str(tmp_path / "moved"), cache=str(tmp_path / "other"))
    moved = sources.load(elsewhere, TASK)
    assert moved.hash == first.hash


def test_nothing_is_left_when_decoding_fails(data: DataConfig, tmp_path: Path):
    (tmp_path / "images/b/1.png").write_bytes(b"broken")
    with pytest.raises(UsageError, match=r"b/1.png cannot be read"):
        sources.load(data, TASK)
    assert files(data) == set()


def test_folder_that_cannot_be_written(data: DataConfig, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/sub cannot be written to .*config.data.cache"):
        sources.load(replace(data, cache=str(tmp_path / "file/sub")), TASK)


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder("") == tmp_path / "nachos_jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder("") == Path.home() / ".cache" / "nachos_jax"
    assert cache.folder("~/x") == Path.home() / "x"


def test_pixel_digest_sees_values_shape_and_dtype():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)
    changed = images.copy()
    changed[1, 2, 3] += 1
    variants = [images, changed, images.reshape(2, 4, 3, 1), images.view(np.int8), images.astype(np.uint16)]
    digests = [cache.pixel_digest(variant) for variant in variants]
    assert len(set(digests)) == len(variants)
    assert cache.pixel_digest(np.asfortranarray(images)) == digests[0]
