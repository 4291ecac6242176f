"""config.data.voi and config.data.frame: values of interest as 0 to 255, and one frame of several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_voi_lut
from pydicom.sequence import Sequence

from nachos_jax.config.run_config import DataConfig
from nachos_jax.config.windows import CT, spelled, window
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.data.image_files import read_image, shown_files
from nachos_jax.data.windows import shown
from nachos_jax.tasks.classification import TASK
from nachos_jax.tasks.segmentation import TASK as SEGMENTATION
from tests.data.test_dicom import real_file
from tests.inputs import dense

Make = Callable[..., DataConfig]


@given(st.floats(-5000, 5000), st.floats(0.01, 5000))
def test_a_window_maps_its_ends_and_its_centre(centre: float, width: float):
    values = np.array([centre - width, centre - width / 2, centre, centre + width / 2, centre + width])
    levels = shown(values[:, None, None], f"({centre}, {width})")[:, 0, 0]
    assert levels.dtype == np.uint8
    assert levels.tolist()[:2] + levels.tolist()[3:] == [0, 0, 255, 255]
    assert levels[2] in (127, 128)
    assert (np.diff(levels.astype(int)) >= 0).all()


def test_windows_of_ct_are_those_of_radiologists():
    assert {name: window(name) for name in CT} == {
        "lung": (-600, 1500),
        "brain": (40, 80),
        "bone": (400, 1800),
        "soft": (40, 400),
    }


@pytest.mark.parametrize("text", ["40,80", "(40, 80)", " [40.0, 8e1] "])
def test_spellings_of_a_window_are_one(text: str):
    assert window(text) == (40, 80)
    assert spelled(text) == "(40, 80)"


@pytest.mark.parametrize("text", ["liver", "(40, 0)", "(40, -5)", "40", "(1, 2, 3)", "(nan, 2)", "File"])
def test_what_is_no_window_is_refused(text: str):
    with pytest.raises(UsageError, match=r"config.data.voi = .*'lung'.*like '\(40, 80\)'"):
        window(text)


def test_values_that_no_window_suits():
    with pytest.raises(UsageError, match=r"in colour.*''"):
        shown(np.zeros((2, 2, 3), np.uint16), "(5, 5)")
    with pytest.raises(UsageError, match="no Hounsfield units.*own units"):
        shown(np.zeros((2, 2, 1), np.uint16), "lung")


FUNCTIONS = {
    "linear": {"WindowCenter": 40, "WindowWidth": 400},
    "narrow": {"WindowCenter": 100, "WindowWidth": 1},
    "several": {"WindowCenter": [300, 40], "WindowWidth": [900, 4]},
    "exact": {"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
    "table": {"LUTDescriptor": [2048, -100, 12]},
}


def _with_window(path: Path, tags: dict[str, Any], **more: Any) -> Any:
    dataset: Any = pydicom.dcmread(real_file("CT_small.dcm"))
    for name in ("WindowCenter", "WindowWidth", "PixelPaddingValue"):
        if name in dataset:
            delattr(dataset, name)
    if "LUTDescriptor" in tags:
        place = Dataset()
        place.add_new(0x00283002, "SS", tags["LUTDescriptor"])
        place.add_new(0x00283006, "US", (np.arange(2048) * 2 + 1).tolist())
        dataset.VOILUTSequence = Sequence([place])
        tags = {}
    for name, value in {**tags, **more}.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return dataset


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_of_interest_are_those_of_pydicom(name: str, inverse: bool, tmp_path: Path):
    kind = "MONOCHROME1" if inverse else "MONOCHROME2"
    dataset = _with_window(tmp_path / "x.dcm", FUNCTIONS[name], PhotometricInterpretation=kind)
    image = read_image(tmp_path / "x.dcm", voi="file")[..., 0]
    values = dataset.pixel_array.astype(int) * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)
    levels = np.asarray(apply_voi_lut(values, dataset), float)
    low, high = (0.0, 4095.0) if name == "table" else (-32768.0 - 1024, 32767.0 - 1024)
    expected = np.round((levels - low) / (high - low) * 255)
    assert image.dtype == np.uint8
    assert np.ptp(image) > 100
    np.testing.assert_allclose(image.astype(float), 255 - expected if inverse else expected, atol=1)


@pytest.mark.parametrize("voi", ["soft", "(100, 333)", "(40.5, 80)"])
def test_a_window_of_an_inverse_image_is_in_its_own_units(voi: str, tmp_path: Path):
    found = []
    for kind in ("MONOCHROME1", "MONOCHROME2"):
        _with_window(tmp_path / f"{kind}.dcm", {}, PhotometricInterpretation=kind)
        found.append(shown_files([tmp_path / f"{kind}.dcm"], -1, voi)(0).astype(int))
    assert np.ptp(found[0]) == 255
    np.testing.assert_allclose(found[0], 255 - found[1], atol=1)


def test_a_window_of_ct_needs_signed_values_of_an_inverse_image_too(tmp_path: Path):
    dataset = pydicom.dcmread(real_file("CT_small.dcm"))
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME1", 0
    del dataset.RescaleSlope, dataset.RescaleIntercept, dataset.PixelPaddingValue
    dataset.save_as(tmp_path / "x.dcm")
    with pytest.raises(UsageError, match="no Hounsfield units"):
        shown_files([tmp_path / "x.dcm"], -1, "soft")(0)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({}, "names no VOI LUT and no window.*centre and width"),
        (
            {"WindowCenter": 40, "WindowWidth": 0.5},
            "window 40, 0.5 with .* LINEAR, which means nothing",
        ),
        ({"WindowCenter": 40, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "function CUBIC"),
        ({"LUTDescriptor": [4096, 0, 12]}, "VOI LUT holds 2048 of 4096"),
    ],
)
def test_headers_without_values_of_interest(tags: dict[str, Any], message: str, tmp_path: Path):
    _with_window(tmp_path / "x.dcm", tags)
    with pytest.raises(UsageError, match=f"x.dcm.*{message}"):
        read_image(tmp_path / "x.dcm", voi="file")


def test_padding_has_no_influence(tmp_path: Path):
    dataset: Any = pydicom.dcmread(real_file("CT_small.dcm"))
    stored = dataset.pixel_array.copy()
    stored[:5] = -2000
    stored[5:9] = -1990
    dataset.PixelData = stored.tobytes()
    dataset.add_new(0x00280120, "SS", -2000)
    dataset.add_new(0x00280121, "SS", -1980)
    dataset.save_as(tmp_path / "x.dcm")
    image = read_image(tmp_path / "x.dcm")[..., 0]
    np.testing.assert_array_equal(image[9:], stored[9:] + int(dataset.RescaleIntercept))
    assert (image[:9] == image[9:].min()).all()


def _pages(folder: Path) -> Path:
    for row in range(6):
        pages = [Image.fromarray(np.full((8, 8), 1000 * page + row, np.uint16)) for page in range(3)]
        path = folder / f"{'ab'[row % 2]}/p{row}_x.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        pages[0].save(path, save_all=True, append_images=pages[1:])
    return folder


def test_frame_and_window_go_into_the_preparation_and_to_predictions(config: Make, tmp_path: Path):
    root = _pages(tmp_path / "d")
    data = config(source="folder", path=str(root), subject_key=r"p(\d)_", frame=2, voi="2000, 20")
    cohort = sources.load(data, TASK)
    images = dense(cohort)
    assert images.dtype == np.uint8
    assert (cohort.preparation["frame"], cohort.preparation["voi"]) == (2, "(2000, 20)")
    rows = [int(Path(name).name[1]) for name in cohort.table.names]
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.round((np.array(rows) + 10) / 20 * 255))
    names, again = sources.read_inputs([root], cohort.preparation)
    assert isinstance(again, np.ndarray)
    order = [names.index(str(root / name)) for name in cohort.table.names]
    np.testing.assert_array_equal(again[order], images)


def test_preparation_without_the_fields_is_that_of_older_versions(config: Make, tmp_path: Path):
    _pages(tmp_path / "d")
    for path in (tmp_path / "d").rglob("*.tif"):
        Image.fromarray(np.full((8, 8), int(path.name[1]), np.uint8)).save(path)
    cohort = sources.load(config(source="folder", path=str(tmp_path / "d"), subject_key=r"p(\d)_"), TASK)
    assert not {"frame", "voi"} & set(cohort.preparation)


def test_values_of_interest_of_a_file_need_headers(config: Make, tmp_path: Path):
    root = _pages(tmp_path / "d")
    data = config(source="folder", path=str(root), subject_key=r"p(\d)_", frame=0, voi="file")
    with pytest.raises(UsageError, match=r"_x.tif is no DICOM file, and config.data.voi = 'file'"):
        sources.load(data, TASK)
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 8, 8)), labels=list("abab"), subject=list("1234"))
    for wrong, message in (
        (
            {"voi": "file"},
            "reads DICOM headers, and config.data.source = 'npz' has none",
        ),
        ({"frame": 1}, "config.data.frame = 1 does nothing here"),
    ):
        with pytest.raises(UsageError, match=message):
            sources.load(
                config(source="npz", path=str(tmp_path / "x.npz"), subject_key="subject", **wrong), TASK
            )


def test_a_window_of_ct_is_for_ct():
    with pytest.raises(UsageError, match=r"MR_small.dcm is of modality MR, .*'lung' is a window of CT"):
        read_image(real_file("MR_small.dcm"), voi="lung")


def test_windows_that_differ_late_are_spelled_apart():
    assert spelled("(3000000,100000)") != spelled("(3000004,100000)")
    assert spelled("(1234567, 10)") == "(1234567, 10)"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"voi": "file"}, r"config.data.voi = 'file' does nothing for images with masks, .* set it to ''"),
        ({"voi": "lung"}, r"config.data.voi = 'lung' does nothing for images with masks"),
        ({"frame": 0}, r"config.data.frame = 0 does nothing here: .* without masks. Set it back to -1"),
    ],
)
@pytest.mark.parametrize("source", ["csv", "folder", "npz"])
def test_images_with_masks_are_taken_as_they_are(
    wrong: dict[str, Any], told: str, source: str, config: Make, tmp_path: Path
):
    """From any source, DICOM files among them: a window or a frame would be silently ignored."""
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "cases.csv").write_text("path,mask,subject\na.dcm,b.png,s\n", encoding="utf-8")
    np.savez(folder / "cases.npz", images=np.zeros((4, 8, 8)))
    path = folder / {"csv": "cases.csv", "folder": "", "npz": "cases.npz"}[source]
    with pytest.raises(UsageError, match=told):
        sources.load(config(source=source, path=str(path), **wrong), SEGMENTATION)
