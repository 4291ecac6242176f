"""DICOM headers as columns; names, birth dates and free text reach no file that init or a run writes."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from nachos_jax.data.dicom_columns import read_header
from nachos_jax.intake.of_dicom import read_cases
from nachos_jax.intake.walk import walk
from tests.intake.conftest import SMALL, cases, config, table

PLANTED = "ZZPLANTED"
TEXT = {"PN", "LO", "SH", "ST", "LT", "UT", "UC"}
KEPT = ("PatientID", "InstitutionName", "Manufacturer", "ManufacturerModelName")
"""Texts that become columns; whatever else can hold text is planted."""
N = 18


def planted() -> Dataset:
    """A header whose every attribute that can hold what people write holds a mark."""
    header = Dataset()
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        group = tag >> 16
        if (
            vr in TEXT
            and keyword
            and keyword not in KEPT
            and 0x0008 <= group < 0x5000
            and keyword_for_tag(tag)
        ):
            setattr(header, keyword, f"{PLANTED}^{PLANTED}" if vr == "PN" else PLANTED)
    for keyword in ("ViewPosition", "BodyPartExamined", "PatientSex", "Laterality"):
        setattr(header, keyword, f"{PLANTED} written by hand")
    return header


def slice_of(case: int, header: Dataset | None = None, **more: object) -> Dataset:
    """An 8 x 8 MR slice; a bright square tells odd patients."""
    found = header or Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID = MRImageStorage
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = UID(f"1.2.3.{case}")
    pixels = np.random.default_rng(case).normal(90, 20, (8, 8))
    pixels[2:6, 2:6] += 90 * (case % 2)
    found.Rows = found.Columns = 8
    found.BitsAllocated = found.BitsStored = 8
    found.HighBit, found.SamplesPerPixel, found.PixelRepresentation = 7, 1, 0
    found.PhotometricInterpretation, found.Modality = "MONOCHROME2", ["MR", "CT"][case % 2]
    found.PatientID, found.SeriesInstanceUID = f"ID-{case // 2:03d}", f"1.2.4.{case // 2}"
    found.InstitutionName = ["North", "South"][case % 3 == 0]
    found.PixelData = pixels.clip(0, 255).astype(np.uint8).tobytes()
    for name, value in more.items():
        setattr(found, name, value)
    return found


def saved(path: Path, dataset: Dataset) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def proposed(tmp_path: Path, said, count: int) -> str:
    """What is said of files in which all that people can write is planted."""
    header = planted()
    assert len(header) > 700
    for case in range(count):
        header.PatientBirthDate, header.StudyDate = "19470311", "20200310"
        dataset = slice_of(case, header)
        saved(tmp_path / f"in/{case:02d}.dcm", dataset)
    code, out = said("init", "--input=in", "--output=o", "--pseudonyms=key")
    assert code == 0
    return out


def clean(*told: str) -> None:
    """Nothing of it is in a file or was told."""
    for path in [path for path in (*Path("o").rglob("*"), *Path("cache").rglob("*")) if path.is_file()]:
        held = path.read_bytes()
        for word in (PLANTED, "19470311", "1947-03", "20200310", "ID-00"):
            assert word.encode() not in held, (path, word)
    assert PLANTED not in "".join(told)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nothing_that_people_wrote_reaches_a_proposal(tmp_path: Path, said):
    out = proposed(tmp_path, said, 4)
    assert {row["age"] for row in cases(Path("o"))} == {"72"}
    clean(out)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nothing_that_people_wrote_reaches_a_file(tmp_path: Path, said):
    out = proposed(tmp_path, said, N)
    code, told = said(
        "evaluate", "--config=o/config.py", "--workdir=o/run", "--config.data.label_key=modality", *SMALL
    )
    assert code == 0, told
    clean(out, told)


@pytest.mark.parametrize(
    ("more", "age"),
    [
        ({"PatientAge": "063Y"}, "63"),
        ({"PatientAge": "018M"}, "1"),
        ({"PatientAge": "010D"}, "0"),
        ({"PatientBirthDate": "19600229", "StudyDate": "20200228"}, "59"),
        ({"PatientBirthDate": "19600229", "StudyDate": "20200229"}, "60"),
        ({"PatientBirthDate": "20300101", "StudyDate": "20200101"}, ""),
        ({"PatientBirthDate": "19600229"}, ""),
        ({}, ""),
    ],
)
def test_ages(tmp_path: Path, more: dict[str, Any], age: str):
    header = read_header(saved(tmp_path / "a.dcm", slice_of(0, **more)))
    assert header is not None
    assert header.cells["age"] == age


@pytest.mark.filterwarnings("ignore::UserWarning")  # "chest" should be CHEST
def test_columns_of_a_header(tmp_path: Path):
    more: dict[str, Any] = {
        "BodyPartExamined": "chest",
        "ViewPosition": "PA",
        "ImageLaterality": "L",
        "PatientSex": "f",
    }
    header = read_header(saved(tmp_path / "a.dcm", slice_of(1, **more)))
    assert header is not None
    assert header.cells == {
        **{"subject": "ID-000", "series": "1.2.4.0", "modality": "CT", "body_part": "CHEST", "view": "PA"},
        **{"laterality": "L", "site": "North", "manufacturer": "", "model": "", "sex": "F", "age": ""},
    }
    (tmp_path / "b.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:150])
    cut = read_header(tmp_path / "b.dcm")
    assert cut is not None
    assert cut.frames == 0


def test_pseudonyms_are_the_same_with_the_same_key_alone(tmp_path: Path, said):
    for case in range(N):
        saved(tmp_path / f"in/ID-{case // 2:03d}/{case}.dcm", slice_of(case))
    code, out = said("init", "--input=in", "--output=a", "--pseudonyms=key")
    assert code == 0
    assert "the paths of 18 cases hold the id itself" in out
    assert stat.S_IMODE(Path("key").stat().st_mode) == 0o600
    said("init", "--input=in", "--output=b", "--pseudonyms=key")
    said("init", "--input=in", "--output=c", "--pseudonyms=other")
    a, b, c = ([row["subject"] for row in cases(Path(place))] for place in "abc")
    assert a == b
    assert not set(a) & set(c)
    assert len(set(a)) == N // 2
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in a)
    code, out = said("init", "--input=in", "--output=a", "--pseudonyms=a/key")
    assert code == 2
    assert "the key would lie in a" in out


def test_many_slices_are_volumes(tmp_path: Path, said):
    for case in range(20):
        more = {
            "SeriesInstanceUID": f"1.2.4.{case // 10}",
            "PatientID": f"P{case // 10}",
            "InstanceNumber": case,
        }
        saved(tmp_path / f"in/x/{case:02d}", slice_of(case, **more))
    saved(tmp_path / "in/y/scout.dcm", slice_of(30, SeriesInstanceUID="1.2.5"))
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "2 DICOM series, 10 slices in the median: a line a series" in out
    assert "left out 1 images of series with fewer than 4 slices" in out
    rows = cases(Path("o"))
    assert [(row["path"], row["series"], row["subject"]) for row in rows] == [
        ("../in/x", "1.2.4.0", "P0"),
        ("../in/x", "1.2.4.1", "P1"),
    ]
    assert "config.data.volume = 'whole'" in Path("o/config.py").read_text()
    said("init", "--input=in", "--output=s", "--cases=slices")
    assert len(cases(Path("s"))) == 21
    assert config(Path("s")).data.subject_key == "subject"


def test_a_series_in_several_folders_is_told(tmp_path: Path, said):
    for case in range(8):
        for slice_number in range(9):
            place = f"case{case}{'b' if case == 2 and slice_number > 4 else ''}"
            more = {"SeriesInstanceUID": f"1.2.4.{case}", "PatientID": f"P{case}"}
            saved(tmp_path / f"in/{place}/{slice_number}.dcm", slice_of(case, **more))
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    words = " ".join(out.split())
    assert "ATTENTION: 1 series lie in several folders, like case2 (5 files), case2b (4 files);" in words
    assert "put all slices of a volume into one folder" in words


def test_names_in_paths_are_told_without_the_name(tmp_path: Path, said):
    for case in range(4):
        saved(tmp_path / f"in/Mustermann_{case}.dcm", slice_of(case, PatientName="Mustermann^Hans"))
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "the paths of 4 files seem to hold the patient's name" in out


def test_names_for_ids_need_pseudonyms(tmp_path: Path, said):
    for case in range(N):
        saved(tmp_path / f"in/{case}.dcm", slice_of(case, PatientID=f"Muster{'abcdefghi'[case // 2]}^Hans"))
    code, out = said("init", "--input=in", "--output=o")
    assert code == 2
    assert "seems to hold names of patients instead of ids" in out
    assert not Path("o").exists()
    assert said("init", "--input=in", "--output=o", "--pseudonyms=key")[0] == 0
    assert "Muster" not in Path("o/cases.csv").read_text()


def test_names_for_cases_are_not_copied(tmp_path: Path, said):
    names = [f"Muster{letter}, Hans" for letter in "abcdefghijklmnopqr"]
    rows = [[name, f"P{i:02d}", i % 2, *(i * k * 0.17 for k in range(1, 9))] for i, name in enumerate(names)]
    table(tmp_path / "in.csv", ["case", "subject", "label", *(f"f{k}" for k in range(8))], rows)
    code, out = said("init", "--input=in.csv", "--output=o")
    assert code == 2
    assert "column 'case' seems to hold names of patients" in out
    assert "number the cases instead, or give --pseudonyms=KEYFILE" in " ".join(out.split())
    assert not Path("o").exists()
    assert said("init", "--input=in.csv", "--output=o", "--pseudonyms=key")[0] == 0
    assert "Muster" not in Path("o/cases.csv").read_text()


@pytest.mark.parametrize(
    ("cosines", "codes"),
    [
        ([1, 0, 0, 0, 1, 0], "SPL"),
        ([0.98, 0.2, 0, -0.2, 0.98, 0], "SPL"),
        ([1, 0, 0, 0, 0, -1], "PIL"),
        ([0, 1, 0, 0, 0, -1], "RIP"),
        ([0, 1, 0, 1, 0, 0], "ILP"),
        ([1, 0, 0, 1, 0, 0], ""),
        (None, ""),
    ],
)
def test_headers_say_which_way_the_axes_of_a_volume_point(tmp_path: Path, cosines, codes: str):
    more = {} if cosines is None else {"ImageOrientationPatient": cosines}
    header = read_header(saved(tmp_path / "a.dcm", slice_of(0, **more)))
    assert header is not None
    assert header.codes == codes


def test_series_of_several_planes_are_told(tmp_path: Path):
    for row in range(12):
        plane = [1, 0, 0, 0, 1, 0] if row < 8 else [1, 0, 0, 0, 0, -1]
        more = {"SeriesInstanceUID": f"1.2.4.{row // 4}", "ImageOrientationPatient": plane}
        saved(tmp_path / f"in/{row // 4}/{row}.dcm", slice_of(row, **more))
    told = "point in 2 ways, and volumes are read as their slices were taken: 2 axial (SPL), 1 coronal (PIL)"
    assert told in read_cases(walk(tmp_path / "in", tmp_path / "out"), "series").notes[-1]
    alike = read_cases(walk(tmp_path / "in/0", tmp_path / "out"), "series").notes
    assert not any("axes" in note for note in alike)


def test_the_cure_of_names_for_cases_works_where_no_column_tells_the_subjects(tmp_path: Path, said):
    names = [f"Muster{letter}, Hans" for letter in "abcdefghijklmnopqr"]
    rows = [[name, i % 2, *(i * k * 0.17 for k in range(1, 9))] for i, name in enumerate(names)]
    columns = ["label", *(f"f{k}" for k in range(8))]
    table(tmp_path / "in.csv", ["case", *columns], rows)
    code, out = said("init", "--input=in.csv", "--output=o")
    assert code == 2
    assert "call the column 'subject' and give --pseudonyms=KEYFILE" in " ".join(out.split())
    table(tmp_path / "in.csv", ["subject", *columns], rows)
    assert said("init", "--input=in.csv", "--output=o", "--pseudonyms=key")[0] == 0
    assert "Muster" not in Path("o/cases.csv").read_text()
