"""Volumes from files: one orientation, spacing in mm, and the same way for training and prediction."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import nifti, sources, volume_files
from nachos_jax.data.volume_files import read_volume
from nachos_jax.runtime import cores
from nachos_jax.tasks.classification import TASK
from tests.data.test_dicom_series import image, series
from tests.inputs import dense
from tests.tiers import mostly_thorough

Config = Callable[..., DataConfig]
LYING = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
"""[D, H, W] from feet to head, front to back, right to left."""
STEPS = (5.0, 2.0, 1.0)
ORDERS = list(itertools.permutations(range(3)))


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process that decodes takes a second to start; how several share cases: test_decode_crew."""
    monkeypatch.setattr(cores, "available", lambda: 1)


def stored(order: tuple[int, ...], turned: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """LYING with axes in another order, some of them turned round, and the affine that says so."""
    # Of D, H, W: the axis in the scanner (right, front, head), and the way along it.
    way = np.array([[0, 0, STEPS[0]], [0, -STEPS[1], 0], [-STEPS[2], 0, 0]])
    values, affine = LYING.transpose(order), np.eye(4)
    affine[:3, :3] = way[list(order)].T
    for axis in turned:
        values = np.flip(values, axis)
        affine[:3, axis] *= -1
    return np.ascontiguousarray(values), affine


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("turned", [(), (0,), (1, 2), (0, 1, 2)])
def test_nifti_of_any_orientation_is_one_volume(order: tuple, turned: tuple, tmp_path: Path):
    values, affine = stored(order, turned)
    nifti.write(tmp_path / "x.nii.gz", values, affine)
    volume, spacing = read_volume(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(volume, LYING[..., None])
    assert volume.dtype == np.int16
    assert spacing == STEPS
    (grid,) = volume_files.grids([volume_files.VolumeFile(tmp_path / "x.nii.gz")])
    assert (grid.sides, grid.spacing, grid.fault) == ((2, 3, 4), STEPS, "")


@pytest.mark.parametrize("space", ["left-posterior-superior", "RAS"])
@pytest.mark.parametrize("order", ORDERS[::2])
def test_nrrd_lies_as_nifti_does(space: str, order: tuple, tmp_path: Path):
    nrrd = pytest.importorskip("nrrd", reason="pynrrd is not installed")
    values, affine = stored(order, (1,))
    steps = affine[:3, :3] * ([[-1], [-1], [1]] if space != "RAS" else 1)
    header = {"space": space, "space directions": steps.T, "space origin": np.zeros(3)}
    nrrd.write(str(tmp_path / "x.nrrd"), values, header)
    volume, spacing = read_volume(tmp_path / "x.nrrd")
    np.testing.assert_array_equal(volume, LYING[..., None])
    assert spacing == STEPS
    nrrd.write(str(tmp_path / "plain.nrrd"), values)
    assert read_volume(tmp_path / "plain.nrrd")[1] is None
    several = {"kinds": ["vector", "domain", "domain", "domain"], "spacings": [np.nan, 1, 2, 3]}
    nrrd.write(str(tmp_path / "several.nrrd"), np.stack([values, values + 1]), several)
    volume, spacing = read_volume(tmp_path / "several.nrrd")
    assert (volume.shape[3], spacing) == (2, (3.0, 2.0, 1.0))


def test_channels_and_dtypes_of_nifti(tmp_path: Path):
    def written(values: np.ndarray) -> Path:
        nifti.write(tmp_path / "x.nii", values, np.eye(4))
        return tmp_path / "x.nii"

    assert read_volume(written(np.zeros((4, 3, 2, 3), np.uint8)))[0].shape == (2, 3, 4, 3)
    for given, kept in ((np.uint8, np.uint8), (np.int32, np.int16), (np.float64, np.int16)):
        assert read_volume(written(np.ones((4, 3, 2), given)))[0].dtype == kept
    assert read_volume(written(np.full((4, 3, 2), 0.5)))[0].dtype == np.float32
    with pytest.raises(UsageError, match="holds 9 volumes .* at most 8 channels: save the one"):
        read_volume(written(np.zeros((4, 3, 2, 9), np.uint8)))


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"nothing"])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.nrrd"])
def test_damaged_files_are_refused_by_name(name: str, content: bytes, tmp_path: Path):
    if name == "x.nrrd":
        pytest.importorskip("nrrd", reason="pynrrd is not installed")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"{name} cannot be read as .*; replace it by an intact one"):
        read_volume(tmp_path / name)


def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path: Path):
    nifti.write(tmp_path / "x.nii", np.zeros((4, 3, 2), np.uint8), np.eye(4))
    raw = bytearray((tmp_path / "x.nii").read_bytes())
    raw[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    (tmp_path / "x.nii").write_bytes(raw)
    with pytest.raises(UsageError, match="claims 32,768,000,000,000 voxels"):
        read_volume(tmp_path / "x.nii")


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A table of eight volumes: NIfTI of two spacings, and two DICOM series."""
    draw, lines = np.random.default_rng(0), ["path,label,subject"]
    for row in range(6):
        thick = 2.0 if row == 5 else 1.0
        sides = (6, 5, 4) if row == 5 else (6, 5, 8)
        values = draw.integers(0, 900, sides).astype(np.int16)
        nifti.write(tmp_path / f"{row}.nii.gz", values, np.diag([-1.0, -1.0, thick, 1.0]))
        lines.append(f"{row}.nii.gz,{'ab'[row % 2]},p{row}")
    for row in (6, 7):
        (tmp_path / f"scan{row}").mkdir()
        # Pixels of 0.5 x 0.25 mm: 2 x 1.5 mm in all.
        series(tmp_path / f"scan{row}", [row * height for height in range(3)], Modality="MR")
        lines.append(f"scan{row},{'ab'[row % 2]},p{row}")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    return tmp_path / "cases.csv"


@pytest.mark.thorough
def test_a_table_of_volumes_of_one_size(cases: Path, config: Config):
    data = config(source="csv", path=str(cases), volume="whole", depth=4, height=5, width=6, aspect="pad")
    cohort = sources.load(data, TASK)
    assert cohort.shape == (4, 5, 6, 1)
    assert cohort.preparation["depth"] == 4
    assert (cohort.preparation["volume"], cohort.preparation["aspect"]) == ("whole", "fit")
    names, again = sources.read_inputs([cases], cohort.preparation)
    np.testing.assert_array_equal(again, dense(cohort))
    assert names[0] == "0.nii.gz"
    folder, file = cases.parent / "scan7", cases.parent / "2.nii.gz"
    np.testing.assert_array_equal(
        sources.read_inputs([folder, file], cohort.preparation)[1], dense(cohort)[[7, 2]]
    )


def test_a_nifti_file_of_two_axes_is_refused_by_its_header_too(cases: Path, config: Config):
    nifti.write(cases.parent / "2.nii.gz", np.zeros((6, 5), np.int16), np.eye(4))
    data = config(source="csv", path=str(cases), volume="whole", spacing="median", depth=8, height=5, width=4)
    with pytest.raises(UsageError, match=r"2\.nii\.gz has shape \(6, 5\); a volume has the axes X, Y, Z"):
        sources.load(data, TASK)


def test_volumes_are_resampled_to_one_spacing_and_cut(cases: Path, config: Config):
    data = config(source="csv", path=str(cases), volume="whole", spacing="median")
    with pytest.raises(UsageError, match=r"at 1 x 1 x 1 mm .* 8 x 5 x 6 in the middle and at most .*depth"):
        sources.load(data, TASK)
    data = config(**{**vars(data), "depth": 8, "height": 5, "width": 4})
    cohort = sources.load(data, TASK)
    assert cohort.shape == (8, 5, 4, 1)
    assert cohort.preparation["spacing"] == [1.0, 1.0, 1.0]
    assert any("resampled to 1 x 1 x 1 mm" in note and "8 are cut" in note for note in cohort.notes)
    # Of the same spacing nothing but the width is cut; of thick slices each becomes two.
    whole = read_volume(cases.parent / "0.nii.gz")[0]
    np.testing.assert_array_equal(dense(cohort)[0], whole[:, :, 1:5])
    names, again = sources.read_inputs([cases], cohort.preparation)
    np.testing.assert_array_equal(again, dense(cohort))


@mostly_thorough("way", ["middle", "max"], kept=("middle",))
def test_an_image_of_each_volume_of_a_folder(way: str, cases: Path, config: Config, tmp_path: Path):
    root = tmp_path / "study"
    for row in range(4):
        place = root / "ab"[row % 2] / f"p{row}"
        place.mkdir(parents=True)
        (place / "t1.nii.gz").write_bytes((cases.parent / f"{row}.nii.gz").read_bytes())
    (root / "b" / "p7").mkdir()
    for file in (cases.parent / "scan7").iterdir():
        (root / "b" / "p7" / file.name).write_bytes(file.read_bytes())
    (root / "readme.txt").write_text("notes")
    data = config(source="folder", path=str(root), volume=way, height=5, width=6, subject_key=r"(p\d)")
    cohort = sources.load(data, TASK)
    assert cohort.table.names.tolist() == [
        "a/p0/t1.nii.gz", "a/p2/t1.nii.gz", "b/p1/t1.nii.gz", "b/p3/t1.nii.gz", "b/p7"
    ]  # fmt: skip
    assert cohort.shape == (5, 6, 1)
    whole = read_volume(root / "a/p2/t1.nii.gz")[0]
    np.testing.assert_array_equal(dense(cohort)[1], whole[4] if way == "middle" else whole.max(0))
    np.testing.assert_array_equal(sources.read_inputs([root], cohort.preparation)[1], dense(cohort))


def test_series_that_share_a_folder_are_told_apart_by_their_column(tmp_path: Path, config: Config):
    (tmp_path / "scan").mkdir()
    for uid, height in (("1.2.3", 4), ("1.2.4", 5)):
        for number in range(2):
            place = {"ImagePositionPatient": [0, 0, number * height], "SeriesInstanceUID": uid}
            image(tmp_path / "scan" / f"{uid}.{number}.dcm", height, **place)
    table = "path,series,label\nscan,1.2.3,a\nscan,1.2.4,b\n"
    (tmp_path / "cases.csv").write_text(table)
    data = config(source="csv", path=str(tmp_path / "cases.csv"), volume="max", subject=WAIVER)
    cohort = sources.load(data, TASK)
    assert dense(cohort)[:, 0, 0, 0].tolist() == [4, 5]
    names, again = sources.read_inputs([tmp_path / "cases.csv"], cohort.preparation)
    assert names == ["scan 1.2.3", "scan 1.2.4"]
    np.testing.assert_array_equal(again, dense(cohort))
    (tmp_path / "cases.csv").write_text(table.replace("series", "note"))
    with pytest.raises(UsageError, match="same file"):
        sources.load(data, TASK)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("scan,1.2.3\nscan,1.2.3", r"path 'scan' is the same file as 'scan' at cases\.csv line 2"),
        ("scan,1.2.9", r"holds no series 1\.2\.9; it holds 1\.2\.3 .*; 1\.2\.4 "),
        ("scan,", r"holds 2 series: .*name one by its Series Instance UID \(CSV: column 'series'\)"),
        ("other,1.2.3", r"there is no file 'other'"),
    ],
)
def test_a_series_to_predict_that_is_none_is_refused(rows: str, told: str, tmp_path: Path):
    (tmp_path / "scan").mkdir()
    for uid in ("1.2.3", "1.2.4"):
        for number in range(2):
            place = {"ImagePositionPatient": [0, 0, number], "SeriesInstanceUID": uid}
            image(tmp_path / "scan" / f"{uid}.{number}.dcm", 1, **place)
    (tmp_path / "cases.csv").write_text(f"path,series\n{rows}\n")
    prepared = {"volume": "max", "height": 0, "width": 0, "channels": 0, "aspect": "stretch"}
    with pytest.raises(UsageError, match=told):
        sources.read_inputs([tmp_path / "cases.csv"], prepared)


def test_a_column_series_beside_images_is_no_choice(table: Callable[..., Path]):
    prepared = {"height": 0, "width": 0, "channels": 0, "aspect": "stretch"}
    path = table("path,series\n0.png,a\n1.png,b\n")
    assert sources.read_inputs([path], prepared)[0] == ["0.png", "1.png"]
    table("path,series\n0.png,a\n0.png,b\n")
    with pytest.raises(UsageError, match="'0.png' is the same file as '0.png'"):
        sources.read_inputs([path], prepared)


def test_what_is_no_volume_is_refused(tmp_path: Path, config: Config, table: Callable[..., Path]):
    path = table("path,label,subject\n0.png,a,p\n1.png,b,q\n")
    with pytest.raises(UsageError, match=r"0.png is no volume: .*set config.data.volume = ''"):
        sources.load(config(source="csv", path=str(path), volume="whole"), TASK)
    with pytest.raises(UsageError, match=r"spacing = 'mean' resamples whole volumes from files"):
        sources.load(config(source="csv", path=str(path), volume="max", spacing="mean"), TASK)


def test_a_single_slice_is_no_volume(tmp_path: Path):
    path = image(tmp_path / "one.dcm", 3, ImagePositionPatient=[0, 0, 0])
    with pytest.raises(UsageError, match="is one slice, no volume: name the folder that holds its series"):
        read_volume(path)
