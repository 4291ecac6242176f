"""Small files that claim to be huge, or lead in a circle, are refused before memory and time are taken."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from benchmarks.soak.fuzz_files import KINDS, mutated, whole_files
from nachos_jax.core.errors import UsageError
from nachos_jax.data import jpeg, nifti
from nachos_jax.data.image_files import read_image
from tests.tiers import mostly_thorough

MIB = 1 << 20


@pytest.mark.parametrize("packed", [False, True])
def test_a_volume_that_claims_more_than_its_file_holds(packed: bool, tmp_path: Path):
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
    whole = bytearray(image.to_bytes())
    struct.pack_into("<3h", whole, 42, 5000, 5000, 60)
    path = tmp_path / ("x.nii.gz" if packed else "x.nii")
    path.write_bytes(gzip.compress(bytes(whole)) if packed else bytes(whole))
    tracemalloc.start()
    with pytest.raises(UsageError, match=r"claims the shape \(5000, 5000, 60\), 3,000,000,000 bytes"):
        nifti.read(path)
    assert tracemalloc.get_traced_memory()[1] < 50 * MIB
    tracemalloc.stop()


def test_boxes_that_lead_nowhere(tmp_path: Path):
    picture = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(picture, "JPEG2000")
    stream = bytearray(picture.getvalue())
    assert jpeg.fault(bytes(stream)) == ""
    stream[12:16] = bytes(4)
    assert jpeg.fault(bytes(stream)) == "is damaged from byte 12 on"
    path = Path(str(get_testdata_file("GDCMJ2K_TextGBR.dcm", download=False)))
    whole = path.read_bytes()
    place = whole.index(b"\0\0\0\x0cjP  ") + 12
    (tmp_path / "x.dcm").write_bytes(whole[:place] + bytes(4) + whole[place + 4 :])
    with pytest.raises(UsageError, match="x.dcm: its JPEG picture is damaged from byte 12 on"):
        read_image(tmp_path / "x.dcm")


@mostly_thorough("kind", KINDS, kept=("PNG", "NIfTI"))
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_read_or_refused_in_words(kind: str, tmp_path: Path):
    """A few of the many that `python -m benchmarks.soak.fuzz` reads."""
    for number, whole in enumerate(whole_files()[kind] * (1 if kind == "DICOM" else 3)):
        path = tmp_path / f"x{whole.suffix}"
        path.write_bytes(mutated(whole, f"test {kind} {number}")[1])
        with contextlib.suppress(UsageError):  # anything else is a fault
            values = nifti.read(path).values if kind == "NIfTI" else read_image(path)
            assert values.size
