"""A model of masks gives the same mask in scanner space, whichever way the axes of a file point."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest

from nachos_jax.cli import mask_files
from nachos_jax.data import nifti
from nachos_jax.data.ragged import Volume
from nachos_jax.protocol.model import mask_facts
from tests.data.test_mask_files import AFFINE, volumes
from tests.data.test_orientation import OWN, write

PREPARATION = {"channels": 1, "axes": [2, 0, 1], "codes": OWN, "dtype": "int16"}
CLASSES = ("left", "right")
WAYS = ("PRS", "LAS", "SPL", "ASR", "IRA")


class Planted:
    """Labels every voxel by its place and by all voxels before it: turned images give other labels."""

    def mirror(self, _: bool) -> Planted:
        return self

    def canvas(self, _: Any) -> tuple[int, int, int]:
        return (16, 16, 16)

    def mask(self, volume: Volume, _: Any = None) -> np.ndarray:
        found = volume.image[..., 0].astype(np.int64)
        for axis in range(3):
            found = np.cumsum(found + axis, axis=axis)
        return (found % 3).astype(np.uint8)


def model(**changes: Any) -> Any:
    """A model whose preparation is changed; None leaves a field out."""
    preparation = {name: value for name, value in {**PREPARATION, **changes}.items() if value is not None}
    description = {
        "task": "segmentation",
        "preparation": preparation,
        "classes": [*CLASSES],
        "channels": 1,
        "dtype": "int16",
        "hparams": {"segmentation.normalisation": "z_score"},
        "patch": [8, 8, 8],
        "weights": ["weights_00.safetensors"],
        "keys": {"image": "images", "mask": "masks", "shape": "shape", "spacing": "spacing"},
    }
    mask_facts.check(description)
    return SimpleNamespace(segmenter=Planted(), description=description, classes=CLASSES)


def predicted(of: Any, place: Path) -> tuple[dict[str, nibabel.Nifti1Image], list[str]]:
    """The masks of the files in `place`/in by their names, and the lines for people."""
    lines = mask_files.write(place / "out", of, [str(place / "in")], True)
    files = sorted((place / "out").glob("*.nii"))
    return {path.stem: nibabel.load(path) for path in files}, lines  # pyrefly: ignore[bad-return]


def inputs(place: Path, ways: Mapping[str, str]) -> None:
    """One image for each name, turned to these axis codes, with a reference."""
    (image, mask), *_ = volumes()
    for kind, values in (("images", image[..., 0]), ("masks", mask)):
        (place / "in" / kind).mkdir(parents=True)
        for name, codes in ways.items():
            write(place / "in" / kind / f"{name}.nii", values, codes)


def lying(mask: Any) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and affine, with the axes nearest to right, front and head."""
    turned = nibabel.as_closest_canonical(mask)
    return np.asarray(turned.dataobj), np.asarray(turned.affine)


@pytest.mark.parametrize("spacing", [None, [3.0, 1.5, 1.5]])
def test_masks_of_turned_files_lie_where_those_of_the_file_lie(tmp_path: Path, spacing: Any, caplog: Any):
    inputs(tmp_path, {way: way for way in WAYS})
    with caplog.at_level(logging.WARNING, "nachos_jax"):
        found, _ = predicted(model(spacing=spacing), tmp_path)
    assert not caplog.records
    assert sorted(found) == sorted(WAYS)
    values, affine = lying(found[OWN])
    assert len(np.unique(values)) == 3
    if spacing is None:
        image = volumes()[0][0].transpose(2, 0, 1, 3)
        wanted = Planted().mask(Volume(image, np.zeros(image.shape[:3], np.uint8), (2.0, 1.0, 1.0)))
        np.testing.assert_array_equal(np.asarray(found[OWN].dataobj), wanted.transpose(1, 2, 0))
    for way, mask in found.items():
        source = nifti.read(tmp_path / f"in/images/{way}.nii")
        assert source.codes == way
        assert mask.shape == source.values.shape, "on its own grid"
        np.testing.assert_array_equal(mask.affine, source.affine)
        there = lying(mask)
        np.testing.assert_array_equal(there[0], values)
        np.testing.assert_array_equal(there[1], affine)
    table = (tmp_path / "out/volumes.csv").read_text(encoding="utf-8").splitlines()
    assert len({line.split(",", 2)[2] for line in table[1:]}) == 1, "equal volumes and Dice"


def test_a_model_without_codes_takes_files_as_they_are_stored_and_says_so(tmp_path: Path, caplog: Any):
    inputs(tmp_path, {way: way for way in WAYS})
    with caplog.at_level(logging.WARNING, "nachos_jax"):
        found, _ = predicted(model(codes=None), tmp_path)
    (record,) = caplog.records
    assert "5 case(s)" in record.getMessage()
    assert "taken as they are stored" in record.getMessage()
    for way, mask in found.items():
        image = nifti.read(tmp_path / f"in/images/{way}.nii").values[..., None].transpose(2, 0, 1, 3)
        wanted = Planted().mask(Volume(image, np.zeros(image.shape[:3], np.uint8), (1.0, 1.0, 1.0)))
        np.testing.assert_array_equal(np.asarray(mask.dataobj), wanted.transpose(1, 2, 0))


def test_a_file_without_orientation_is_taken_as_those_of_training_and_that_is_said(
    tmp_path: Path, caplog: Any
):
    (image, _), *_ = volumes()
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(image[..., 0], None), tmp_path / "in/silent.nii")
    nifti.write(tmp_path / "in/known.nii", image[..., 0], AFFINE)
    with caplog.at_level(logging.WARNING, "nachos_jax"):
        found, _ = predicted(model(), tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"1 of 2 cases do not say which way their axes point, like {tmp_path / 'in/silent.nii'}: taken as "
        "those of training, PRS"
    ]
    np.testing.assert_array_equal(np.asarray(found["silent"].dataobj), np.asarray(found["known"].dataobj))


@pytest.mark.parametrize("codes", ["RAX", "RLS", "", 3, ["R", "A", "S"]])
def test_codes_that_are_none_are_refused(codes: Any):
    with pytest.raises(ValueError, match="the codes of its preparation are"):
        model(codes=codes)
