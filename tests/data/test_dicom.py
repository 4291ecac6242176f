"""DICOM against pydicom's own real files."""

from __future__ import annotations

import csv
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.data.image_files import read_image
from nachos_jax.tasks.classification import TASK
from tests.inputs import dense


def real_file(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), f"pydicom comes without {name}"
    return Path(path)


def test_rescaled_ct_is_in_hounsfield_units():
    dataset = pydicom.dcmread(real_file("CT_small.dcm"))
    image = read_image(real_file("CT_small.dcm"))
    assert image.dtype == np.int16
    expected = dataset.pixel_array.astype(float) * dataset.RescaleSlope + dataset.RescaleIntercept
    np.testing.assert_array_equal(image[..., 0], expected)
    assert image.min() < -500, "air"


def test_slope_that_is_not_whole_gives_float32(tmp_path: Path):
    dataset = pydicom.dcmread(real_file("CT_small.dcm"))
    stored = dataset.pixel_array
    dataset.RescaleSlope, dataset.RescaleIntercept = "0.25", "-10"
    dataset.save_as(tmp_path / "x.dcm")
    image = read_image(tmp_path / "x.dcm")
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image[..., 0], stored.astype(np.float32) * 0.25 - 10)


@pytest.mark.parametrize("name", ["CR1/6154", "CR2/6247", "CR3/6278"])
def test_monochrome1_is_inverted_within_its_bits(name: str):
    path = real_file(f"dicomdirtests/77654033/{name}")
    dataset = pydicom.dcmread(path)
    assert dataset.PhotometricInterpretation == "MONOCHROME1"
    image = read_image(path)
    stored = dataset.pixel_array.astype(int)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    expected = (2**dataset.BitsStored - 1 - stored) * slope + intercept
    np.testing.assert_array_equal(image[..., 0], expected.astype(np.float32))
    assert image[..., 0].flat[stored.argmin()] == image.max()


def test_signed_monochrome1_mirrors_its_whole_range(tmp_path: Path):
    dataset = pydicom.dcmread(real_file("MR_small.dcm"))
    stored = dataset.pixel_array.astype(int)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.save_as(tmp_path / "x.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "x.dcm")[..., 0], -1 - stored)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"])
def test_transfer_syntaxes_agree(name: str):
    np.testing.assert_array_equal(read_image(real_file(name)), read_image(real_file("MR_small.dcm")))


def test_ybr_becomes_rgb():
    image = read_image(real_file("SC_rgb_jpeg_dcmtk.dcm"))
    assert image.shape == (100, 100, 3)
    # The picture is bars of pure colours; the first is red.
    red, green, blue = image[5, 50].astype(int)
    assert red > 200
    assert max(green, blue) < 60


def test_palette_becomes_rgb():
    path = real_file("examples_palette.dcm")
    image = read_image(path)
    dataset = pydicom.dcmread(path)
    red = np.frombuffer(dataset.RedPaletteColorLookupTableData, "<u2")
    np.testing.assert_array_equal(image[..., 0], red[dataset.pixel_array] >> 8)


REFUSED = {
    "examples_ybr_color.dcm": "30 frames.*config.data.frame",
    "rtdose.dcm": "15 frames",
    "rtplan.dcm": r"holds no image \(RT Plan Storage\)",
    "MR_truncated.dcm": "cannot be decoded, transfer syntax Explicit VR Little Endian.*intact",
    "meta_missing_tsyntax.dcm": "Transfer Syntax",
    "JPEG-lossy.dcm": "transfer syntax JPEG Extended.*pip install pylibjpeg",
    "nested_priv_SQ.dcm": "Bits Allocated",
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_refused(name: str):
    with pytest.raises(UsageError, match=rf"{name}.*{REFUSED[name]}"):
        read_image(real_file(name))


def test_file_that_only_claims_to_be_dicom(tmp_path: Path):
    (tmp_path / "x.dcm").write_text("not DICOM")
    with pytest.raises(UsageError, match=r"x.dcm is not a DICOM file.*rename"):
        read_image(tmp_path / "x.dcm")


def _read(path: Path) -> tuple[np.ndarray | None, str]:
    try:
        return read_image(path), ""
    except UsageError as error:
        return None, str(error)


def test_every_real_file_is_read_or_refused_in_words(shared_data: Path):
    with open(shared_data / "pydicom_test_files.csv", newline="", encoding="utf-8") as file:
        shapes = {row["file"]: row["decode"] for row in csv.DictReader(file)}
    read = 0
    # Not pydicom's own list, which would fetch further files from the network.
    folders = [Path(pydicom.__file__).parent / "data" / name for name in ("test_files", "charset_files")]
    paths = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".dcm", "")]
    for path in filter(Path.is_file, paths):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of the values broken on purpose
            image, refusal = _read(path)
        if image is None:
            assert path.name in refusal
            continue
        read += 1
        key = next(key for key in shapes if path.as_posix().endswith(key))
        height, width = image.shape[:2]
        assert shapes[key].startswith(f"({height}, {width}"), key
    assert read >= 75


def test_folder_of_dicom_files(config: Callable[..., DataConfig], tmp_path: Path):
    """Three real patients, files without suffix, two modalities as classes."""
    source = real_file("dicomdirtests/77654033/CR1/6154").parents[2]
    for target, patient, series in [("mr", "98892003", "MR1"), ("mr", "98892003", "MR2"),
                                    ("ct", "98892001", "CT5N"), ("ct", "77654033", "CT2")]:  # fmt: skip
        shutil.copytree(source / patient / series, tmp_path / "d" / target / patient / series)
    cohort = sources.load(
        config(source="folder", path=str(tmp_path / "d"), subject_key=r"/(\d+)/", height=16, width=16), TASK
    )
    assert cohort.targets.counts() == {"ct": 9, "mr": 10}
    assert set(cohort.table.subjects) == {"77654033", "98892001", "98892003"}
    for row, name in enumerate(cohort.table.names):
        np.testing.assert_array_equal(dense(cohort)[row], read_image(tmp_path / "d" / name))
