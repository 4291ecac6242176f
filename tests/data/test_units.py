"""Where files lie: every corner of image and mask counts, and mm are mm whatever unit a header names."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data import nifti, pair_files, volume_files
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
