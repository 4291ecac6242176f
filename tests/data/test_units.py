"""Where files lie: every corner of image and mask counts, and mm are mm whatever unit a header names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data import nifti, nrrd_file, pair_files, volume_files
from nachos_jax.data.volume_files import read_volume


def test_a_mask_with_two_equal_axes_exchanged_is_refused(tmp_path: Path):
    image, affine = np.zeros((8, 8, 4), np.int16), np.diag([1.0, 1.0, 2.0, 1.0])
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[1, 6, 2] = 1
    nifti.write(tmp_path / "image.nii", image, affine)
    nifti.write(tmp_path / "mask.nii", mask, affine)
    assert pair_files.read_pair([tmp_path / "image.nii"], tmp_path / "mask.nii").mask[1, 6, 2] == 1
    nifti.write(tmp_path / "turned.nii", mask.swapaxes(0, 1), affine[:, [1, 0, 2, 3]])
    with pytest.raises(UsageError, match=r"turned\.nii lies 7 mm away from .*image\.nii"):
        pair_files.read_pair([tmp_path / "image.nii"], tmp_path / "turned.nii")


STEPS, PLACE = (0.5, 0.25, 2.0), (3.0, -4.0, 5.0)


def spacing(path: Path) -> tuple[float, ...]:
    """mm of a voxel of a volume along D, H and W."""
    found = read_volume(path)[1]
    assert found is not None
    return found


def lying(path: Path, unit: str, factor: float) -> None:
    """Writes a volume whose header gives the same place in another unit."""
    affine = np.diag([*STEPS, 1.0])
    affine[:3, 3] = PLACE
    affine[:3] *= factor
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)


@pytest.mark.parametrize(
    ("unit", "factor"), [("mm", 1.0), ("meter", 1e-3), ("micron", 1e3), ("unknown", 1.0)]
)
def test_nifti_of_any_unit_lies_in_mm(unit: str, factor: float, tmp_path: Path):
    path = tmp_path / "x.nii.gz"
    lying(path, unit, factor)
    for read in (nifti.read, nifti.header):
        found = read(path)
        np.testing.assert_allclose(found.spacing, STEPS, rtol=1e-6)
        np.testing.assert_allclose(found.affine[:3, 3], PLACE, rtol=1e-6)
        np.testing.assert_allclose(np.diag(found.affine), [*STEPS, 1.0], rtol=1e-6)
    np.testing.assert_allclose(spacing(path), STEPS[::-1], rtol=1e-6)
    (grid,) = volume_files.grids([volume_files.VolumeFile(path)])
    np.testing.assert_allclose(grid.spacing, STEPS[::-1], rtol=1e-6)
    # The mask that is written of it lies as the file says, in its own unit.
    (tmp_path / "mask.nii").write_bytes(nifti.like(np.ones((2, 3, 4), np.uint8), path))
    mask: Any = nibabel.load(tmp_path / "mask.nii")
    np.testing.assert_allclose(np.diag(mask.affine)[:3], np.asarray(STEPS) * factor, rtol=1e-6)
    assert mask.header.get_xyzt_units()[0] == unit
    np.testing.assert_allclose(nifti.read(tmp_path / "mask.nii").spacing, STEPS, rtol=1e-6)


def test_an_image_and_a_mask_in_other_units_lie_in_one_place(tmp_path: Path):
    lying(tmp_path / "image.nii", "micron", 1e3)
    lying(tmp_path / "mask.nii", "mm", 1.0)
    found = pair_files.read_pair([tmp_path / "image.nii"], tmp_path / "mask.nii")
    np.testing.assert_allclose(found.spacing, STEPS, rtol=1e-6)  # pyrefly: ignore[no-matching-overload]


def test_a_unit_that_nobody_knows_is_read_as_mm(tmp_path: Path):
    lying(tmp_path / "x.nii", "mm", 1.0)
    raw = bytearray((tmp_path / "x.nii").read_bytes())
    assert raw[123] == 2, "xyzt_units: mm and no unit of time"
    raw[123] = 7
    (tmp_path / "x.nii").write_bytes(raw)
    np.testing.assert_allclose(nifti.read(tmp_path / "x.nii").spacing, STEPS, rtol=1e-6)


@pytest.mark.parametrize("directions", [True, False])
@pytest.mark.parametrize(
    ("unit", "factor", "coding"),
    [
        ("mm", 1.0, "utf-8"),
        ("cm", 0.1, "utf-8"),
        ("m", 1e-3, "utf-8"),
        ("um", 1e3, "utf-8"),
        ("\N{MICRO SIGN}m", 1e3, "utf-8"),
        ("\N{MICRO SIGN}m", 1e3, "latin-1"),
        ("\N{GREEK SMALL LETTER MU}m", 1e3, "utf-8"),
        ("microns", 1e3, "utf-8"),
        ("Micron", 1e3, "utf-8"),
        ("", 1.0, "utf-8"),
        ("furlongs", 1.0, "utf-8"),
        (None, 1.0, "utf-8"),
    ],
)
def test_nrrd_of_any_unit_lies_in_mm(
    unit: str | None, factor: float, coding: str, directions: bool, tmp_path: Path
):
    nrrd = pytest.importorskip("nrrd", reason="pynrrd is not installed")
    steps = np.asarray(STEPS) * factor
    header = (
        {"space": "left-posterior-superior", "space directions": np.diag(steps), "space origin": steps * 2}
        if directions
        else {"spacings": steps}
    )
    if unit is not None:
        header |= {"space units" if directions else "units": ["PLACE"] * 3}
    nrrd.write(str(tmp_path / "x.nrrd"), np.zeros((2, 3, 4), np.int16), header)
    raw = (tmp_path / "x.nrrd").read_bytes()
    assert unit is None or raw.count(b'"PLACE"') == 3
    (tmp_path / "x.nrrd").write_bytes(raw.replace(b"PLACE", (unit or "").encode(coding)))
    np.testing.assert_allclose(spacing(tmp_path / "x.nrrd"), STEPS[::-1], rtol=1e-6)
    _, affine = nrrd_file.read(tmp_path / "x.nrrd", header_only=True)
    assert affine is not None
    if directions:
        np.testing.assert_allclose(np.abs(affine[:3, 3]), 2 * np.asarray(STEPS), rtol=1e-6)


def test_nrrd_of_channels_first_takes_the_units_of_its_space(tmp_path: Path):
    nrrd = pytest.importorskip("nrrd", reason="pynrrd is not installed")
    header = {
        "kinds": ["vector", "domain", "domain", "domain"],
        "spacings": [np.nan, 500, 250, 2000],
        "units": ["", "um", "um", "um"],
    }
    nrrd.write(str(tmp_path / "x.nrrd"), np.zeros((2, 2, 3, 4), np.int16), header)
    np.testing.assert_allclose(spacing(tmp_path / "x.nrrd"), STEPS[::-1], rtol=1e-6)
