"""NPZ files that are damaged, packed in other ways, or hold what nobody can tell apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.tasks import multilabel
from nachos_jax.tasks.classification import TASK

Config = Callable[..., DataConfig]
GOOD: dict[str, Any] = {"images": np.zeros((4, 5, 6), np.uint8), "labels": np.array([0, 1, 0, 1])}


def good(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY", b"\x80\x04]."])
def test_file_that_is_no_archive(content: bytes, config: Config, tmp_path: Path):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"x.npz cannot be read as an NPZ file.*savez_compressed"):
        sources.load(config(path=str(tmp_path / "x.npz"), subject=WAIVER), TASK)


def test_damaged_array(config: Config, tmp_path: Path):
    path = tmp_path / "x.npz"
    noise = np.random.default_rng(0).integers(0, 256, (4, 50, 60), np.uint8)
    np.savez_compressed(path, **good(images=noise))
    raw = bytearray(path.read_bytes())
    raw[2000:2100] = bytes(100)
    path.write_bytes(raw)
    with pytest.raises(UsageError, match=r"x.npz: the array 'images' is damaged .*again"):
        sources.load(config(path=str(path), subject=WAIVER), TASK)


def test_array_packed_by_an_unknown_method(config: Config, tmp_path: Path):
    path = tmp_path / "x.npz"
    np.savez(path, **GOOD)
    raw, deflate64 = path.read_bytes(), b"\x09\x00"  # what Windows packs large files with
    for mark, place in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        pieces = raw.split(mark)
        raw = mark.join([pieces[0], *(p[: place - 4] + deflate64 + p[place - 2 :] for p in pieces[1:])])
    path.write_bytes(raw)
    with pytest.raises(UsageError, match=r"packed in a way that Python does not read .*savez_compressed"):
        sources.load(config(path=str(path), subject=WAIVER), TASK)


def test_an_encrypted_file(config: Config, tmp_path: Path):
    path = tmp_path / "x.npz"
    np.savez(path, **GOOD)
    first, *others = path.read_bytes().split(b"PK\x01\x02")
    path.write_bytes(b"PK\x01\x02".join([first, *(p[:4] + bytes([p[4] | 1]) + p[5:] for p in others)]))
    with pytest.raises(UsageError, match=r"'images' is packed .*encrypted.*savez_compressed"):
        sources.load(config(path=str(path), subject=WAIVER), TASK)


def test_names_that_are_no_utf_8(config: Config, tmp_path: Path):
    path = tmp_path / "x.npz"
    for key in ("labels", "subject"):
        latin = np.asarray([b"M\xfcller", b"M\xf6ller"] * 2)
        np.savez(path, **good(**{"subject": np.arange(4), key: latin}))
        with pytest.raises(UsageError, match=r"no UTF-8 text \(b'M\\xfcller'\).*store it as text"):
            sources.load(config(path=str(path)), TASK)


def test_a_name_that_an_encoder_made_of_missing_labels(config: Config, tmp_path: Path):
    path = tmp_path / "x.npz"
    np.savez(path, **good(label_names=np.asarray(["a", "nan"])))
    with pytest.raises(UsageError, match=r"label 'nan' reads like a missing value"):
        sources.load(config(path=str(path), subject=WAIVER), TASK)
    found = sources.load(config(path=str(path), subject=WAIVER, classes=("a", "nan")), TASK)
    assert found.targets.names == ("a", "nan")


def test_several_targets_are_an_array_each(config: Config, tmp_path: Path):
    path = tmp_path / "x.npz"
    arrays = {
        "images": GOOD["images"],
        "edema": np.array([0, 1, 0, 1]),
        "mass": np.array([0.0, 1, np.nan, 0]),
    }
    np.savez(path, **arrays)
    found = sources.load(
        config(path=str(path), subject=WAIVER, target_keys=("mass", "edema")), multilabel.TASK
    ).targets
    assert found.names == ("mass", "edema")
    np.testing.assert_array_equal(found.values, np.stack([arrays["mass"], arrays["edema"]], axis=1))
    with pytest.raises(UsageError, match=r"no array 'edma'.*config\.data\.target_keys.*'edema'"):
        sources.load(config(path=str(path), subject=WAIVER, target_keys=("edma", "mass")), multilabel.TASK)


def test_several_targets_are_refused_where_nothing_reads_them(config: Config, tmp_path: Path):
    with pytest.raises(UsageError, match=r"target_keys = \('edema',\) does nothing here"):
        sources.load(config(source="folder", path=str(tmp_path), target_keys=("edema",)), TASK)


def parted(path: Path, train: np.ndarray, test: np.ndarray) -> str:
    """A file in the layout of MedMNIST."""
    train_labels, test_labels = (np.arange(len(of)) % 2 for of in (train, test))
    np.savez(path, train_images=train, test_images=test, train_labels=train_labels, test_labels=test_labels)
    return str(path)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int64])
def test_parts_on_other_scales_are_doubtful(config: Config, tmp_path: Path, dtype: type):
    """No run begins with them (`nachos_jax.protocol.run.doubts`); one that has begun goes on."""
    dark = np.random.default_rng(0).integers(0, 256, (4, 5, 6), np.uint8)
    path = parted(tmp_path / "x.npz", dark, (dark * 16.0).astype(dtype))
    said = f"train_images as uint8, test_images as {dtype.__name__}: their values are on other scales"
    found = sources.load(config(path=path, subject=WAIVER), TASK)
    assert [said in doubt for doubt in found.doubts] == [True]
    assert len(found.table) == 8


def test_parts_in_other_types_of_one_scale_are_read(config: Config, tmp_path: Path):
    dark = np.random.default_rng(0).integers(0, 256, (4, 5, 6), np.uint8)
    wide = parted(tmp_path / "wide.npz", dark, dark.astype(np.int64))
    assert sources.load(config(path=wide, subject=WAIVER), TASK).store.dtype == np.uint8
    deep = parted(tmp_path / "deep.npz", dark.astype(np.int64), dark.astype(np.int64) * 16)
    assert sources.load(config(path=deep, subject=WAIVER), TASK).store.dtype == np.uint16
    hidden = parted(tmp_path / "hidden.npz", dark.astype(np.uint16) * 16, dark.astype(np.int32))
    found = sources.load(config(path=hidden, subject=WAIVER), TASK)
    assert (found.store.dtype, found.doubts) == (np.uint16, ()), (
        "a dark part of wide numbers is not of 8 bits"
    )
    real = parted(tmp_path / "real.npz", dark.astype(np.float16), dark.astype(np.float32))
    assert sources.load(config(path=real, subject=WAIVER), TASK).store.dtype == np.float32
