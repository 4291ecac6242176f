"""Volumes of DICOM series and multi-frame files: order, spacing, and what is refused."""

from __future__ import annotations

import logging
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian

from nachos_jax.core.errors import UsageError
from nachos_jax.data.dicom_series import read_frames, read_series
from nachos_jax.data.image_files import read_image

AXIAL, CORONAL = (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1)
SERIES, OTHER = "1.2.3", "1.2.4"
Tags = dict[str, Any]


def image(path: Path, value: int = 0, shape: tuple[int, ...] = (4, 6), **tags: Any) -> Path:
    """One file of signed 16 bits, all of one value."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.2")
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID
    dataset.SeriesInstanceUID, dataset.Modality = SERIES, "CT"
    dataset.Rows, dataset.Columns = shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelSpacing, dataset.ImageOrientationPatient = [0.5, 0.25], list(AXIAL)
    for name, given_value in tags.items():
        setattr(dataset, name, given_value)
    dataset.PixelData = np.full(shape, value, "<i2").tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, heights: Sequence[float], **tags: Any) -> Path:
    """A slice at each height, whose value is its number and whose name says nothing of its place."""
    for row, height in enumerate(heights):
        told: Tags = {"ImagePositionPatient": [-10, 5, height], **tags}
        image(folder / f"{(7 * row) % 101:03}.dcm", row, **told)
    return folder


def test_slices_lie_by_position_and_not_by_name_number_or_thickness(tmp_path: Path):
    heights = [30, 10, 40, 20.0, 0]
    volume, spacing = read_series(series(tmp_path, heights, SliceThickness=3, InstanceNumber=1))
    assert volume.shape == (5, 4, 6, 1)
    assert volume.dtype == np.int16
    np.testing.assert_array_equal(volume[:, 0, 0, 0], np.argsort(heights))
    assert spacing == (10, 0.5, 0.25)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(order=st.permutations(range(5)), step=st.floats(0.2, 9), plane=st.sampled_from([AXIAL, CORONAL]))
def test_order_and_spacing_of_any_plane(
    order: list[int], step: float, plane: tuple[int, ...], tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("series")
    normal = np.cross(plane[:3], plane[3:])
    for row, number in enumerate(order):
        place = (normal * number * step + (3, 4, 5)).round(6).tolist()
        image(folder / f"{row}.dcm", number, ImagePositionPatient=place, ImageOrientationPatient=list(plane))
    volume, spacing = read_series(folder)
    np.testing.assert_array_equal(volume[:, 0, 0, 0], range(5))
    assert spacing == pytest.approx((step, 0.5, 0.25), abs=1e-5)


def test_slices_with_slopes_of_their_own_share_units(tmp_path: Path):
    for row, slope in enumerate((1, 0.25, 2)):
        place: Tags = {"ImagePositionPatient": [0, 0, row]}
        image(tmp_path / f"{row}.dcm", 10, RescaleSlope=slope, RescaleIntercept=0, **place)
    volume, _ = read_series(tmp_path)
    np.testing.assert_array_equal(volume[:, 0, 0, 0], np.array([10, 2.5, 20]))


def test_positions_of_one_digit_are_even(tmp_path: Path):
    _, spacing = read_series(series(tmp_path, np.round(np.arange(20) * 0.625, 1).tolist()))
    assert spacing is not None
    assert spacing[0] == pytest.approx(0.625, abs=0.01)


def test_one_slice_is_a_volume_without_spacing(tmp_path: Path):
    volume, spacing = read_series(series(tmp_path, [3]))
    assert volume.shape == (1, 4, 6, 1)
    assert spacing is None


REFUSED: dict[str, tuple[list[Tags], str]] = {
    "missing": ([{"z": z} for z in (0, 1, 2, 4, 5)], r"2.dcm and \S*3.dcm lie 2 mm apart.*1 mm.*missing"),
    "uneven": ([{"z": z} for z in (0, 1, 2, 3.2, 4.2)], "1.2 mm apart.*unevenly"),
    "twice": ([{"z": z} for z in (0, 1, 1, 2)], r"1.dcm and \S*2.dcm lie at one place.*echoes"),
    "orientations": (
        [{"z": 0}, {"z": 1}, {"z": 2, "ImageOrientationPatient": list(CORONAL)}],
        r"0.dcm and \S*2.dcm have different orientations.*other planes",
    ),
    "sizes": ([{"z": 0}, {"z": 1, "shape": (4, 8)}], r"different sizes: 4 x 6 .*4 x 8 .*1.dcm"),
    "units": ([{"z": 0, "RescaleType": "HU"}, {"z": 1, "RescaleType": "US"}], "different rescale units"),
    "pixels": ([{"z": 0}, {"z": 1, "PixelSpacing": [1, 1]}], "different pixel spacings"),
    "no place": ([{"z": 0}, {"ImagePositionPatient": None}], "1.dcm does not say where it lies"),
    "no plane": (
        [{"z": 0}, {"z": 1, "ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}],
        "1.dcm: its ImageOrientationPatient .*right angles",
    ),
    "frames": ([{"z": 0}, {"z": 1, "NumberOfFrames": 2, "shape": (2, 4, 6)}], "1.dcm holds several frames"),
    "two series": (
        [{"z": 0}, {"z": 1, "SeriesInstanceUID": OTHER}],
        r"2 series: 1.2.3 \(CT, 1 file\(s\)\); 1.2.4 .*column 'series'",
    ),
    "localiser within": (
        [{"z": 0}, {"z": 1}, {"z": 9, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}],
        "mm apart.*missing, or unevenly",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_series_that_are_no_volume(name: str, tmp_path: Path):
    slices, message = REFUSED[name]
    for row, tags in enumerate(slices):
        tags = dict(tags)
        position = [0, 0, tags.pop("z")] if "z" in tags else None
        told: Tags = {"ImagePositionPatient": position, **tags}
        image(tmp_path / f"{row}.dcm", row, **told)
    with pytest.raises(UsageError, match=message) as refused:
        read_series(tmp_path)
    assert str(tmp_path) in str(refused.value)


def test_localisers_and_reports_of_other_series_are_told_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    series(tmp_path, [0, 1, 2])
    scout = {"SeriesInstanceUID": OTHER, "ImageOrientationPatient": list(CORONAL)}
    image(tmp_path / "scout.dcm", 9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **scout)
    report = pydicom.dcmread(tmp_path / "scout.dcm")
    for name in ("Rows", "Columns", "PixelData", "ImageType"):
        delattr(report, name)
    report.SeriesInstanceUID = "1.2.5"
    report.save_as(tmp_path / "report.dcm")
    (tmp_path / "notes.txt").write_text("of a doctor")
    with caplog.at_level(logging.WARNING):
        volume, _ = read_series(tmp_path)
    assert len(volume) == 3
    assert all(name in caplog.text for name in ("scout.dcm", "report.dcm", "notes.txt"))


def test_a_series_is_chosen_by_its_uid(tmp_path: Path):
    series(tmp_path, [0, 1, 2])
    for row in range(2):
        place = [0, 0, row * 5]
        image(tmp_path / f"o{row}.dcm", 7, SeriesInstanceUID=OTHER, ImagePositionPatient=place)
    volume, spacing = read_series(tmp_path, OTHER)
    assert volume.shape[0] == 2
    assert spacing == (5, 0.5, 0.25)
    with pytest.raises(UsageError, match=r"no series 1.2.9; it holds 1.2.3.*1.2.4"):
        read_series(tmp_path, "1.2.9")


def test_folders_without_slices(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no DICOM file"):
        read_series(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        read_series(tmp_path / "none")
    (tmp_path / "x.dcm").write_text("not DICOM")
    with pytest.raises(UsageError, match=r"x.dcm cannot be read as DICOM"):
        read_series(tmp_path)


def _group(**sequences: Tags) -> Dataset:
    group = Dataset()
    for name, tags in sequences.items():
        item = Dataset()
        for tag, value in tags.items():
            setattr(item, tag, value)
        setattr(group, name, Items([item]))
    return group


def _enhanced(path: Path, heights: Sequence[float], slopes: Sequence[float]) -> Path:
    shared = _group(
        PlaneOrientationSequence={"ImageOrientationPatient": list(AXIAL)},
        PixelMeasuresSequence={"PixelSpacing": [2, 3]},
    )
    frames = [
        _group(
            PlanePositionSequence={"ImagePositionPatient": [0, 0, height]},
            PixelValueTransformationSequence={"RescaleSlope": slope, "RescaleIntercept": row},
        )
        for row, (height, slope) in enumerate(zip(heights, slopes, strict=True))
    ]
    return image(
        path,
        100,
        (len(heights), 4, 6),
        NumberOfFrames=len(heights),
        SharedFunctionalGroupsSequence=Items([shared]),
        PerFrameFunctionalGroupsSequence=Items(frames),
    )


def test_frames_lie_by_position_and_take_their_own_slopes(tmp_path: Path):
    volume, spacing = read_frames(_enhanced(tmp_path / "x.dcm", [8, 0, 4], [1, 2, 3]))
    np.testing.assert_array_equal(volume[:, 0, 0, 0], [201, 302, 100])
    assert spacing == (4, 2, 3)
    alone, of_folder = read_series(tmp_path)
    np.testing.assert_array_equal(alone, volume)
    assert of_folder == spacing


def test_frames_at_one_place_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"x.dcm, frame 0 .* and .*frame 1 .*at one place"):
        read_frames(_enhanced(tmp_path / "x.dcm", [0, 0, 4], [1, 1, 1]))


def test_real_doses_have_planes_at_offsets():
    path = Path(str(get_testdata_file("rtdose.dcm", download=False)))
    dataset = pydicom.dcmread(path)
    volume, spacing = read_frames(path)
    assert volume.shape[:3] == dataset.pixel_array.shape
    steps = np.diff(np.asarray(dataset.GridFrameOffsetVector, float))
    assert spacing == pytest.approx((abs(steps[0]), *map(float, dataset.PixelSpacing)))


@pytest.mark.parametrize("name", ["rtdose.dcm", "rtdose_rle.dcm", "rtdose_expb.dcm"])
def test_real_doses_are_in_the_units_of_the_dose(name: str):
    path = Path(str(get_testdata_file(name, download=False)))
    dataset = pydicom.dcmread(path)
    volume, _ = read_frames(path)
    wanted = dataset.pixel_array * float(dataset.DoseGridScaling)
    np.testing.assert_array_equal(volume[..., 0], wanted.astype(np.float32))
    assert volume.max() == np.float32(1.254)
    one = read_image(path, 3)
    np.testing.assert_array_equal(one[..., 0], wanted[3].astype(np.float32))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"DoseGridScaling": None}, "is a dose with a DoseGridScaling of 0, or without"),
        ({"DoseGridScaling": "0"}, "is a dose with a DoseGridScaling of 0, or without"),
        ({"DoseGridScaling": "-1e-6", "Modality": "OT"}, "is a dose with a DoseGridScaling of -1e-06"),
        ({"RescaleSlope": "2", "RescaleIntercept": "0"}, "a rescale slope beside its DoseGridScaling"),
    ],
)
def test_doses_without_a_unit_are_refused(tmp_path: Path, changes: dict[str, str | None], told: str):
    dataset = pydicom.dcmread(str(get_testdata_file("rtdose.dcm", download=False)))
    for key, value in changes.items():
        if value is None:
            delattr(dataset, key)
        else:
            setattr(dataset, key, value)
    dataset.save_as(tmp_path / "x.dcm")
    with pytest.raises(UsageError, match=told):
        read_frames(tmp_path / "x.dcm")


def test_a_film_keeps_its_order_and_has_no_spacing():
    path = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    volume, spacing = read_frames(path)
    assert volume.shape == (30, 240, 320, 3)
    assert spacing is None


@pytest.fixture
def extra(shared_data: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Unpacks a part of the real files beside the checkout."""

    def unpack(part: str) -> Path:
        with tarfile.open(shared_data / "dicom_extra.tar.gz") as archive:
            members = [one for one in archive.getmembers() if part in one.name]
            archive.extractall(tmp_path, members, filter="data")
        return tmp_path

    return unpack


@pytest.mark.thorough
def test_real_series_of_mr_slices(extra: Callable[[str], Path]):
    root = extra("udacity/")
    folders = sorted({path.parent for path in root.rglob("*") if path.is_file()})
    depths = {}
    for folder in folders:
        files = [path for path in folder.iterdir() if path.is_file()]
        volume, spacing = read_series(folder)
        heights = {path: float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in files}
        planes = {pydicom.dcmread(path).ImageOrientationPatient[0] for path in files}
        assert len(volume) == len(files)
        assert spacing is not None
        assert planes
        rows = sorted(files, key=heights.__getitem__)
        stack = np.stack([read_image(path) for path in rows])
        if len(set(heights.values())) == len(files):
            assert np.array_equal(volume, stack) or np.array_equal(volume, stack[::-1])
        depths[folder.name] = len(volume)
    assert sorted(depths.values()) == [22, 32, 35, 40]
