"""Odd DICOM headers: the right values, or a refusal that names what contradicts what."""

from __future__ import annotations

import io
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit

from nachos_jax.core.errors import UsageError
from nachos_jax.data.image_files import read_image

RAMP = np.linspace(0, 4095, 256).round().astype("<u2").reshape(16, 16)
SCRIPTS = Path(__file__).resolve().parents[2] / "../shared/cases"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes one image of 12 bits with these tags."""

    def save(pixels: np.ndarray = RAMP, stream: bytes = b"", **tags: Any) -> Path:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = JPEGBaseline8Bit if stream else ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.7")
        dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
        dataset.SOPClassUID = dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        bits = pixels.dtype.itemsize * 8
        dataset.BitsAllocated, dataset.BitsStored = bits, min(bits, 12)
        dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
        for name, value in tags.items():
            setattr(dataset, name, value)
        dataset.PixelData = encapsulate([stream]) if stream else pixels.tobytes()
        dataset["PixelData"].is_undefined_length = bool(stream)
        dataset.save_as(tmp_path / "x.dcm", enforce_file_format=True)
        return tmp_path / "x.dcm"

    return save


def _item(**tags: Any) -> Sequence:
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return Sequence([item])


def _groups(**tags: Any) -> Sequence:
    return _item(PixelValueTransformationSequence=_item(**tags))


SHARED, FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
RESCALED: dict[str, tuple[dict[str, Any], float, float]] = {
    "none": ({}, 1, 0),
    "intercept": ({"RescaleIntercept": "-1024"}, 1, -1024),
    "slope": ({"RescaleSlope": "2"}, 2, 0),
    "empty slope": ({"RescaleSlope": None, "RescaleIntercept": "-1024"}, 1, -1024),
    "empty intercept": ({"RescaleSlope": "0.5", "RescaleIntercept": None}, 0.5, 0),
    "both empty": ({"RescaleSlope": None, "RescaleIntercept": None}, 1, 0),
    "negative slope": ({"RescaleSlope": "-1", "RescaleIntercept": "4095"}, -1, 4095),
    "shared": ({SHARED: _groups(RescaleSlope="2", RescaleIntercept="-1024")}, 2, -1024),
    "shared intercept": ({SHARED: _groups(RescaleIntercept="-1024")}, 1, -1024),
    "of the frame": ({FRAME: _groups(RescaleSlope="2", RescaleIntercept="-1000")}, 2, -1000),
    "twice the same": ({"RescaleSlope": "2", SHARED: _groups(RescaleSlope="2.0")}, 2, 0),
    "empty groups": ({SHARED: Sequence(), FRAME: _item(), "RescaleSlope": "3"}, 3, 0),
    "empty table": ({"ModalityLUTSequence": Sequence(), "RescaleSlope": "3"}, 3, 0),
}


@pytest.mark.parametrize("name", RESCALED)
def test_rescale(name: str, write: Write):
    tags, slope, intercept = RESCALED[name]
    np.testing.assert_array_equal(read_image(write(**tags))[..., 0], RAMP * float(slope) + intercept)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("packed", [False, True])
def test_modality_tables_of_any_depth(bits: int, packed: bool, write: Write):
    table = (np.arange(4000) * 7 % 2**bits).astype("<u1" if packed and bits == 8 else "<u2")
    item = _item(LUTDescriptor=[4000, 50, bits], ModalityLUTType="US")
    item[0].add_new(0x00283006, "OW" if packed else "US", table.tobytes() if packed else table.tolist())
    expected = table[np.clip(RAMP.astype(int) - 50, 0, 3999)]
    np.testing.assert_array_equal(read_image(write(ModalityLUTSequence=item))[..., 0], expected)


def test_signed_values_in_any_form(write: Write):
    signed = (RAMP.astype(np.int16) - 2048).astype("<i2")
    np.testing.assert_array_equal(read_image(write(signed))[..., 0], signed)
    unfilled = write((signed.view("<u2") & 0xFFF).view("<i2"))  # no sign in the bits above
    np.testing.assert_array_equal(read_image(unfilled)[..., 0], signed)


def test_an_overlay_in_the_unused_bits_is_no_pixel(write: Write):
    path = write(RAMP | 0x8000)
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60000102, "US", 15)
    dataset.save_as(path)
    np.testing.assert_array_equal(read_image(path)[..., 0], RAMP)


def _jpeg() -> bytes:
    picture = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(8, 32)).save(picture, "JPEG")
    return picture.getvalue()


GRAY = np.zeros((8, 32), np.uint8)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "left aligned": ({"pixels": RAMP << 4, "HighBit": 15}, "HighBit 15 and BitsStored 12"),
    "10 bits": ({"BitsStored": 10, "HighBit": 9}, r"BitsStored 10.*pixel\(s\) lie beyond.*4095"),
    "signed 10 bits": ({"pixels": RAMP.astype("<i2"), "BitsStored": 10, "HighBit": 9}, "lie beyond"),
    "slope 0": ({"RescaleSlope": "0"}, "slope and intercept 0 and 0"),
    "two slopes": ({"RescaleSlope": "1", SHARED: _groups(RescaleSlope="2")}, "1 and 0 and 2 and 0"),
    "two numbers": ({"RescaleSlope": ["1", "2"]}, "RescaleSlope is no number"),
    "short table": (
        {"ModalityLUTSequence": _item(LUTDescriptor=[4096, 0, 12], LUTData=bytes(100))},
        "modality LUT holds .* of 4096 entries",
    ),
    "table without values": (
        {"ModalityLUTSequence": _item(LUTDescriptor=[4096, 0, 12])},
        "modality LUT is not whole",
    ),
    "a row too few": ({"Rows": 15}, r"512 bytes of pixels.*15 rows of 16 columns, 480 bytes"),
    "no values": ({"pixels": RAMP[:0], "Rows": 16}, "ends before its pixels"),
    "swapped": ({"pixels": GRAY, "stream": _jpeg(), "Rows": 32, "Columns": 8}, r"\(8, 32\) rows.*\(32, 8\)"),
    "half a JPEG": ({"pixels": GRAY, "stream": _jpeg()[:-20] + bytes(20)}, "does not end"),
    "too large": ({"Rows": 65535, "Columns": 65535}, "65535 x 65535 pixels.*4,295 million"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:.*(exceeds|invalid|Invalid)")
def test_headers_that_contradict_their_pixels(name: str, write: Write):
    tags, message = REFUSED[name]
    with pytest.raises(UsageError, match=f"x.dcm.*{message}"):
        read_image(write(**tags))


def test_a_jpeg_that_is_whole(write: Write):
    assert read_image(write(GRAY, _jpeg())).shape == (8, 32, 1)


def test_a_file_that_is_cut_is_called_that(write: Write):
    path = write()
    whole = path.read_bytes()
    pixels = whole.index(b"\xe0\x7f\x10\x00")
    for end in {pixels, *range(140, len(whole), 37)}:
        path.write_bytes(whole[:end])
        with pytest.raises(UsageError, match="ends before its pixels|ends, or is damaged|cannot be decoded"):
            read_image(path)
    path.write_bytes(whole[:pixels])
    with pytest.raises(UsageError, match="ends before its pixels"):
        read_image(path)


def _run(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    if not SCRIPTS.is_dir():
        pytest.skip("no scripts at ../shared/cases beside the checkout")
    monkeypatch.setattr(sys, "argv", [script, str(folder)])
    runpy.run_path(str(SCRIPTS / script))
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.dcm")):
        try:
            found[path.stem] = read_image(path)
        except UsageError as error:
            found[path.stem] = str(error)
    return found


def test_shared_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = _run("dicom_headers.py", tmp_path, monkeypatch)
    right = {"plain": (1, 0), "intercept_only": (1, -1024), "slope_only": (2, 0), "slope_empty": (1, -1024)}
    for name, (slope, intercept) in {**right, "lut12": (1, 0)}.items():
        np.testing.assert_array_equal(found[name][..., 0], RAMP * float(slope) + intercept)
    wrong = {"left_aligned": "HighBit", "stored10": "BitsStored", "jpeg_swapped": "rows"}
    for name, word in {**wrong, "cut_header": "ends before"}.items():
        assert word in found[name]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_shared_enhanced_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = _run("enhanced_rescale.py", tmp_path, monkeypatch)
    means = [image.mean() for image in found.values()]
    assert np.ptp(means) < 60, "all in Hounsfield units"
