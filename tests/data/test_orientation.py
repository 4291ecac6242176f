"""Volumes with masks point one way, whichever way each file was stored, in training and outside."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel import orientations

from nachos_jax.config.run_config import DataConfig
from nachos_jax.data import nifti, orientation, pair_files, second, sources
from nachos_jax.data.ragged import Ragged
from nachos_jax.data.table import Cohort
from nachos_jax.tasks.segmentation import TASK
from tests.data.test_mask_files import AFFINE, NAMES, SUBJECTS, volumes

Make = Callable[..., DataConfig]
OWN = "PRS"
"""Axis codes of AFFINE."""
WAYS = [
    "".join(sides)
    for order in itertools.permutations(("LR", "PA", "IS"))
    for sides in itertools.product(*order)
]
ARRAYS = ("voxels", "labels", "sides", "spacing", "stats", "places")


def write(path: Path, values: np.ndarray, codes: str = OWN, affine: np.ndarray = AFFINE) -> None:
    """Writes a volume that lies as its affine says, with its axes turned by nibabel to point as `codes`."""
    image = nibabel.Nifti1Image(values, affine)
    to = orientations.ornt_transform(
        orientations.io_orientation(affine), orientations.axcodes2ornt(tuple(codes))
    )
    nibabel.save(image.as_reoriented(to), path)


def folder(root: Path, ways: Mapping[int, str] | None = None, steps: Sequence[float] = ()) -> Path:
    """The cases of test_mask_files.py in two folders: some turned, of other spacings if any are given."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for row, (name, (image, mask)) in enumerate(zip(NAMES, volumes(), strict=True)):
        affine = AFFINE * np.array([1, 1, steps[row], 1]) if steps else AFFINE
        codes = (ways or {}).get(row, OWN)
        write(root / f"images/{name}.nii.gz", image[..., 0], codes, affine)
        write(root / f"masks/{name}.nii.gz", mask, codes, affine)
    return root


def load(config: Make, root: Path, **fields) -> Cohort:
    return sources.load(config(source="folder", path=str(root), subject_key=SUBJECTS, **fields), TASK)


def same_arrays(one: Cohort, other: Cohort) -> None:
    assert isinstance(one.store, Ragged)
    assert isinstance(other.store, Ragged)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one.store, name), getattr(other.store, name))


# --- axis codes -----------------------------------------------------------------------------------------


@given(st.sampled_from(WAYS), st.sampled_from(WAYS))
def test_volumes_are_turned_as_nibabel_turns_them(own: str, wanted: str):
    values = np.arange(2 * 3 * 4 * 2).reshape(2, 3, 4, 2)
    ways = orientations.ornt_transform(
        orientations.axcodes2ornt(tuple(own)), orientations.axcodes2ornt(tuple(wanted))
    )
    there = orientation.turned(values, own, wanted)
    np.testing.assert_array_equal(there, orientations.apply_orientation(values, ways))
    assert there.shape[:3] == tuple(values.shape[axis] for axis in orientation.order(own, wanted))
    np.testing.assert_array_equal(orientation.turned(there, wanted, own), values)


def test_axis_codes_are_three_axes_in_any_order():
    assert len(WAYS) == 48
    assert all(map(orientation.is_codes, WAYS))
    assert not any(
        map(orientation.is_codes, ("", "RA", "RAX", "RLS", "ras", "RASS", None, 3, ["R", "A", "S"]))
    )


def test_the_most_frequent_codes_count_and_of_several_the_first_in_the_alphabet():
    assert orientation.most(["RAS", "LPS", "RAS", ""]) == "RAS"
    assert orientation.most(["RAS", "LPS", "LPS", "RAS", "PIR"]) == "LPS"
    assert orientation.most(["", "", "SPL"]) == "SPL"
    assert orientation.most(["", ""]) == ""


def test_a_header_without_orientation_and_an_oblique_one(tmp_path: Path):
    values, turn = np.zeros((2, 3, 4), np.int16), np.deg2rad(20)
    tilt = np.eye(4)
    tilt[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    nifti.write(tmp_path / "plain.nii", values, AFFINE)
    nifti.write(tmp_path / "oblique.nii", values, tilt @ AFFINE)
    nibabel.save(nibabel.Nifti1Image(values, None), tmp_path / "none.nii")
    raw = bytearray((tmp_path / "plain.nii").read_bytes())
    raw[320:324] = bytes(4)  # srow_z[2]: the third axis leads nowhere
    (tmp_path / "flat.nii").write_bytes(raw)
    found = {
        name: nifti.read(tmp_path / f"{name}.nii").codes for name in ("plain", "oblique", "none", "flat")
    }
    assert found == {"plain": OWN, "oblique": OWN, "none": "", "flat": ""}
    assert pair_files.read_alone([tmp_path / "oblique.nii"]).codes == OWN


# --- cohorts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", ["", "median"])
def test_a_mixed_cohort_is_that_of_equal_files(config: Make, tmp_path: Path, spacing: str):
    steps = [1.0, 1.0, 1.5, 1.0, 1.25, 1.0, 2.0, 1.0] if spacing else []
    plain = load(config, folder(tmp_path / "plain", None, steps), spacing=spacing)
    ways = {1: "LAS", 4: "SPL", 6: "LAS"}
    mixed = load(config, folder(tmp_path / "mixed", ways, steps), spacing=spacing)
    same_arrays(mixed, plain)
    assert mixed.hash == plain.hash
    assert mixed.preparation == {**plain.preparation, "turned": ["LAS", "SPL"]}
    assert plain.preparation["codes"] == OWN
    assert "turned" not in plain.preparation
    told = "3 case(s) ('case00_b', 'case02_a', 'case03_a') whose axes point to LAS, SPL are turned to PRS"
    assert told in mixed.notes
    assert not [note for note in plain.notes if "point" in note]
    again = load(config, tmp_path / "mixed", spacing=spacing)
    assert (again.hash, again.preparation, again.notes) == (mixed.hash, mixed.preparation, mixed.notes), (
        "cache"
    )


def test_a_sagittal_file_among_axial_ones_is_cut_along_the_same_axis(config: Make, tmp_path: Path):
    found = load(config, folder(tmp_path / "mixed", {0: "LPS", 1: "ASR", 2: "LPS"}))
    assert isinstance(found.store, Ragged)
    for row, (image, mask) in enumerate(volumes()):
        np.testing.assert_array_equal(found.store.one(row), image.transpose(2, 0, 1, 3))
        assert found.targets.values[row].tolist() == [2.0 * np.sum(mask == label) for label in (1, 2)]
    np.testing.assert_array_equal(found.store.spacing, [[2.0, 1.0, 1.0]] * len(NAMES))


def test_a_file_that_says_nothing_of_its_axes_is_taken_as_the_others(config: Make, tmp_path: Path):
    root = folder(tmp_path / "mixed", {0: "LAS"})
    plain = load(config, folder(tmp_path / "plain"))
    for kind, values in zip(("images", "masks"), volumes()[3], strict=True):
        silent = nibabel.Nifti1Image(values.reshape(values.shape[:3]), None)
        silent.header.set_zooms((1.0, 1.0, 2.0))
        nibabel.save(silent, root / f"{kind}/{NAMES[3]}.nii.gz")
    found = load(config, root)
    same_arrays(found, plain)
    assert "1 case(s) ('case01_b') do not say which way their axes point: taken as PRS" in found.notes


@pytest.mark.parametrize("mixed", [False, True])
def test_external_cases_are_turned_to_those_inside(config: Make, tmp_path: Path, mixed: bool):
    inside = load(config, folder(tmp_path / "inside"))
    plain, ways = folder(tmp_path / "plain"), dict.fromkeys(range(len(NAMES)), "RAI")
    turned = folder(tmp_path / "turned", {**ways, 2: "PIL"} if mixed else ways)
    read = config(source="folder", path=str(tmp_path / "inside"), subject_key=SUBJECTS)
    there, wanted = (
        second.load(dataclasses.replace(read, external_path=str(path)), TASK, inside)
        for path in (turned, plain)
    )
    same_arrays(there, wanted)
    assert there.hash == wanted.hash
    assert there.preparation["codes"] == OWN


def test_external_sites_have_no_say(config: Make, tmp_path: Path):
    """Six of eight cases are of the other site, and point another way."""
    key = {"site_key": r"(case\d+)_", "external": ("case01", "case02", "case03")}
    found = load(config, folder(tmp_path / "mixed", dict.fromkeys(range(2, 8), "LPS")), **key)
    plain = load(config, folder(tmp_path / "plain"), **key)
    same_arrays(found, plain)
    assert found.preparation == plain.preparation, "nothing inside was turned"
    assert any("6 case(s)" in note and "are turned to PRS" in note for note in found.notes)
