"""Folders as they come: exports of a PACS, BIDS, splits with copies, workbooks, zips in a zip."""

from __future__ import annotations

import datetime
import io
import logging
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import UID

from nachos_jax.data.folder import find_images
from nachos_jax.intake.headers import read
from nachos_jax.intake.of_dicom import read_cases
from nachos_jax.intake.walk import walk
from nachos_jax.runtime import bar
from tests.intake.conftest import SMALL, cases, config, picture, table
from tests.intake.test_dicom import saved, slice_of

N = 24


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_export_of_a_pacs(tmp_path: Path, said):
    """Folders of patients, studies and series, no suffixes, reports and structures between, a viewer."""
    place = tmp_path / "in/DICOM"
    for case in range(N):
        series = place / f"PA{case // 2:03d}/ST{case % 2}/SE0"
        saved(series / "IM0", slice_of(case, SeriesInstanceUID=f"1.2.4.{case}"))
    for number, (kind, uid) in enumerate(
        [("SR", "88.11"), ("RTSTRUCT", "481.3"), ("DOC", "104.1"), ("SR", "88.11")]
    ):
        other = slice_of(100 + number, Modality=kind)
        storage = UID(f"1.2.840.10008.5.1.4.1.1.{uid}")
        other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = storage
        for name in ("Rows", "Columns", "PixelData"):
            delattr(other, name)
        saved(place / f"PA00{number}/ST0/SE9/IM0", other)
    whole = (place / "PA000/ST0/SE0/IM0").read_bytes()
    large = slice_of(90, Rows=64, Columns=64, PixelData=bytes(4096))
    early = saved(place / "PA001/ST0/SE0/IM8", large).read_bytes()[:3000]
    for name, data in (("IM7", whole[:300]), ("IM8", early), ("IM9", b"")):
        (place / "PA001/ST0/SE0" / name).write_bytes(data)
    (tmp_path / "in/DICOMDIR").write_bytes(whole)
    picture(tmp_path / "in/VIEWER/logo.png", 0)
    rows = [[f"ID-{who:03d}", "xy"[who % 2], "04.03.2020"] for who in range(N // 2)]
    table(tmp_path / "list.csv", ["PatientID", "Befund", "Datum"], rows, delimiter=";")
    code, out = said("init", "--input=in", "--labels=list.csv", "--output=o")
    assert code == 0, out
    for told in (
        *(
            "left out 4 DICOM objects without image (1 DOC, 1 RTSTRUCT, 2 SR)",
            "'VIEWER/logo.png'",
            "'DICOMDIR'",
        ),
        "left out 2 DICOM files that are damaged or end too early (copy them again): 'DICOM/PA001/ST0",
        "left out 1 that are empty (copy them again): 'DICOM/PA001/ST0/SE0/IM9'",
        "'PatientID' is joined to the subject of the files: 24 of 24 cases are found",
    ):
        assert told in out
    assert len(cases(Path("o"))) == N
    code, told = said("plan", "--config=o/config.py", *SMALL)
    assert code == 0, told


def test_files_without_the_mark_of_dicom_are_not_called_damaged(tmp_path: Path):
    for case in range(3):
        whole = saved(tmp_path / f"in/{case}.dcm", slice_of(case)).read_bytes()
    (tmp_path / "in/bare.dcm").write_bytes(whole[132:])
    (tmp_path / "in/early.dcm").write_bytes(whole[:300])
    notes = read_cases(walk(tmp_path / "in", tmp_path / "out"), "slices").notes
    assert notes[:2] == [
        "left out 1 DICOM files that are damaged or end too early (copy them again): 'early.dcm'",
        "left out 1 files without the DICM mark after 128 bytes (write them again as DICOM part 10): "
        "'bare.dcm'",
    ]


def bids(tmp_path: Path) -> None:
    """Sixteen heads, half of them of two kinds, and one that is damaged."""
    import nibabel

    rows = []
    for who in range(16):
        name = f"sub-{who:02d}"
        for kind in ("T1w", "T2w")[: 2 - who % 2]:
            file = tmp_path / f"in/{name}/anat/{name}_{kind}.nii.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            values = np.random.default_rng(who).integers(0, 900, (40, 20, 36)).astype(np.int16)
            spacing = np.diag([1.0, 1.0 + who % 2, 1.0, 1.0])
            nibabel.save(nibabel.Nifti1Image(values, spacing), file)
            file.with_name(f"{name}_{kind}.json").write_text("{}")
        rows.append(
            [name, 20 + who, "n/a" if who == 3 else "MF"[who % 2], ["control", "patient"][who // 2 % 2]]
        )
    broken = tmp_path / "in/sub-05/anat/sub-05_T1w.nii.gz"
    broken.write_bytes(broken.read_bytes()[:60])
    table(tmp_path / "in/participants.tsv", ["participant_id", "age", "sex", "group"], rows, delimiter="\t")


def test_volumes_as_bids_has_them(tmp_path: Path, said):
    bids(tmp_path)
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0, out
    assert "left out 1 volumes whose header is damaged: 'sub-05/anat/sub-05_T1w.nii.gz'" in out
    assert "of several kinds (T1w 15, T2w 8), column kind" in out
    assert "TO DECIDE: label" in out
    text = Path("o/config.py").read_text(encoding="utf-8")
    assert "# config.data.label_key = 'group'" in text
    assert "# config.data.spacing = 'median'" in text
    data = config(Path("o")).data
    assert (data.depth, data.height, data.width) == (32, 16, 32)
    assert [row["kind"] for row in cases(Path("o"))[:3]] == ["T1w", "T2w", "T1w"]


@pytest.mark.thorough
def test_volumes_as_bids_has_them_are_read(tmp_path: Path, said):
    bids(tmp_path)
    assert said("init", "--input=in", "--output=o")[0] == 0
    label = "--config.data.label_key=group"
    for spacing in ((), ("--config.data.spacing=median",)):
        code, told = said("plan", "--config=o/config.py", label, *spacing, *SMALL)
        assert code == 0, told


def test_copies_across_a_shipped_split_are_refused_before_training(tmp_path: Path, said):
    for case in range(N):
        part = ["train", "val", "test"][case % 3]
        picture(
            tmp_path / f"in/{part}/{['normal', 'ill'][case // 2 % 2]}/IM-{case // 2:04d}-{case % 2}.png", case
        )
    one = tmp_path / "in/train/normal/IM-0000-0.png"
    (tmp_path / "in/test/normal/copy_of_first.png").write_bytes(one.read_bytes())
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "24 of 25 file names start like 'IM-00" in out
    assert "# config.data.subject_key = 'name_start'" in Path("o/config.py").read_text()
    code, told = said("plan", "--config=o/config.py", "--config.data.subject_key=name_start", *SMALL)
    assert code == 2
    assert "equal pixel for pixel under different subjects" in told


def test_a_workbook_with_two_headers_and_a_legend_first(tmp_path: Path, said):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.Workbook()
    book.active.append(["Befund", "Bedeutung"])
    book.active.append(["0", "unauffällig"])
    sheet = book.create_sheet("Patienten")
    sheet.append(["Stammdaten", "", "", "Messwerte", "", "Ergebnis", ""])
    sheet.merge_cells("A1:C1")
    sheet.append(["Pat.-Nr.", "Geschlecht", "Alter", "Größe (m)", "Poids (kg)", "Befund", "Date examen"])
    for case in range(N):
        picture(tmp_path / f"in/Bilder/{case + 1:04d}.png", case)
        day = datetime.datetime(2020, 1, 1) + datetime.timedelta(days=case)
        row = [case + 1, "mw"[case % 2], str(40 + case), f"1,{60 + case}", f"{60 + case},5", case % 2, day]
        sheet.append(row)
    book.save(tmp_path / "in/Liste.xlsx")
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0, out
    for told in (
        *("the sheet 'Patienten', the fullest, is read; not read: Sheet", "line 1 above the header left out"),
        *(
            "decimal commas of 'Größe (m)', 'Poids (kg)'",
            "'1' in the table for '0001'",
            "dates: 'Date examen'",
        ),
    ):
        assert told in out
    assert "# config.data.features = ('Alter', 'Größe (m)', 'Poids (kg)')" in Path("o/config.py").read_text()
    words = ("--config.data.features=('Alter','Größe (m)')", *SMALL)
    for more in (SMALL, words):
        code, told = said("plan", "--config=o/config.py", *more)
        assert code == 0, told


def test_zips_in_a_zip_with_what_systems_leave_and_copies(tmp_path: Path, said):
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for case in range(1, N, 2):
            archive.writestr(f"ill/pat{case:02d}.png", picture(tmp_path / "x.png", case).read_bytes())
            archive.writestr(f"__MACOSX/ill/._pat{case:02d}.png", b"\0\5\x16\7")
        archive.writestr("ill/Thumbs.db", b"x")
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("batch/ill.zip", inner.getvalue())
        archive.writestr("batch/broken.zip", inner.getvalue()[:99])
        for case in range(0, N, 2):
            archive.writestr(f"normal/pat{case:02d}.png", picture(tmp_path / "x.png", case).read_bytes())
        archive.writestr("normal/pat02 (1).png", picture(tmp_path / "x.png", 2).read_bytes())
        archive.writestr("normal/pat04 (1).png", picture(tmp_path / "x.png", 40).read_bytes())
        archive.writestr("normal/.DS_Store", b"x")
    (tmp_path / "in.zip").write_bytes(outer.getvalue())
    code, out = said("init", "--input=in.zip", "--output=o")
    assert code == 0, out
    for told in (
        *(
            "1 archives within it were unpacked too: 'batch/ill.zip'",
            "damaged or encrypted: 'batch/broken.zip'",
        ),
        "called copies of one beside them, and are equal to it: 'normal/pat02 (1).png'",
        "the folders right above the files are taken for classes, column label: normal 13, ill 12",
    ):
        assert told in out
    rows = cases(Path("o"))
    assert len(rows) == N + 1
    assert len({row["subject"] for row in rows}) == N
    code, told = said("plan", "--config=o/config.py", *SMALL)
    assert code == 0, told


def test_classes_below_other_folders_stay_a_question_unless_one_is_healthy(tmp_path: Path, said):
    for case in range(N):
        for place, name in (("a", "xy"[case % 2]), ("b", ("tumour", "normal")[case % 2])):
            picture(tmp_path / place / f"site{'AB'[case // 12]}/{name}/{case}.png", case)
    code, out = said("init", "--input=a", "--output=o")
    assert code == 0
    assert "folders of level 1 could be classes, column folder_1: siteA 12, siteB 12" in out
    assert "TO DECIDE: label" in out
    code, out = said("init", "--input=b", "--output=p")
    assert "folders of level 2 are taken for classes, column label: normal 12, tumour 12" in out
    assert "other folders may tell sites or batches, column folder_1: siteA 12, siteB 12" in out
    assert config(Path("p")).data.label_key == "label"


def _packed(path: Path, first: int, count: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for case in range(first, first + count):
            archive.write(picture(path.with_suffix(".png"), case), f"scan{case}.png")
    path.with_suffix(".png").unlink()


def test_a_folder_of_archives_and_a_table_is_unpacked_once(tmp_path: Path, said):
    (tmp_path / "in/siteA").mkdir(parents=True)
    for number in range(4):
        _packed(tmp_path / f"in/siteA/pat{number}.zip", 2 * number, 2)
    (tmp_path / "in/siteA/bad.tar.gz").write_bytes(b"no archive")
    rows = [f"scan{case}.png,{case % 2},p{case // 2}" for case in range(8)]
    (tmp_path / "in/labels.csv").write_text("\n".join(["file,diagnosis,patient_id", *rows]))
    before = sorted(path for path in (tmp_path / "in").rglob("*"))
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "8 files of in were unpacked into o/unpacked" in out
    assert "4 archives within it were unpacked too: 'siteA/pat0.zip'" in out
    assert "left out 1 archives within it that are damaged or encrypted: 'siteA/bad.tar.gz'" in out
    assert cases(Path("o"))[0]["path"] == "unpacked/siteA/pat0/scan0.png"
    assert {row["patient_id"] for row in cases(Path("o"))} == {"p0", "p1", "p2", "p3"}
    assert before == sorted(path for path in (tmp_path / "in").rglob("*"))
    assert not any(path.is_symlink() for path in (tmp_path / "o").rglob("*"))
    assert "was unpacked into o/unpacked before" in said("init", "--input=in", "--output=o")[1]


def _features(path: Path) -> None:
    random = np.random.default_rng(0)
    names = ["patient_id", "diagnosis", *(f"feature{n}" for n in range(12))]
    table(path, names, [[f"p{n}", n % 2, *random.normal(size=12).round(4)] for n in range(24)])


@pytest.mark.parametrize("packed", ["broken", "dictionary", "pictures"])
def test_a_table_of_features_is_read_and_archives_beside_it_stay_packed(packed: str, tmp_path: Path, said):
    _features(tmp_path / "in/features.csv")
    if packed == "pictures":
        _packed(tmp_path / "in/raw_export.zip", 0, 4)
    else:
        with zipfile.ZipFile(tmp_path / "in/raw_export.zip", "w") as archive:
            archive.writestr("dictionary.csv", "name,meaning\na,b\n")
        if packed == "broken":
            (tmp_path / "in/raw_export.zip").write_bytes(b"PK")
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0, out
    assert config(Path("o")).data.source == "vectors"
    assert "left out 1 that are archives" in out
    assert "features.csv holds features, so archives beside it stay packed" in out
    assert not list(tmp_path.glob("**/unpacked*"))


def test_a_table_that_stands_alone_is_joined_to_packed_images_if_it_is_named(tmp_path: Path, said):
    _features(tmp_path / "in/clinical.csv")
    for number in range(24):
        _packed(tmp_path / f"in/p{number}.zip", number, 1)
    code, out = said("init", "--input=in", "--output=o", "--labels=in/clinical.csv")
    assert code == 0, out
    assert "is joined to" in out
    assert {"path", "feature3"} <= cases(Path("o"))[0].keys()


@pytest.mark.parametrize("packed", [b"PK", None])
def test_a_table_of_files_elsewhere_is_read_beside_archives_that_are_of_no_use(packed, tmp_path: Path, said):
    names = [picture(tmp_path / f"pictures/{case}.png", case).name for case in range(8)]
    rows = [(f"../pictures/{name}", case % 2, f"p{case // 2}") for case, name in enumerate(names)]
    table(tmp_path / "in/list.csv", ["file", "diagnosis", "patient_id"], rows)
    with zipfile.ZipFile(tmp_path / "in/notes.zip", "w") as archive:
        archive.writestr("notes.txt", "none")
    if packed:
        (tmp_path / "in/notes.zip").write_bytes(packed)
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0, out
    assert len(cases(Path("o"))) == 8
    why = "of its 1 archives none can be unpacked" if packed else "hold no image, volume or npz file"
    assert re.search(f"read without its archives: .*{why}", out)


def test_archives_are_unpacked_where_nothing_can_be_linked(tmp_path: Path, said, monkeypatch):
    def refused(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refused)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        _packed(folder / f"pat{number}.zip", 2 * number, 2)
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0, out
    assert cases(Path("o"))[0]["path"] == "unpacked/pat0/scan0.png"


def test_archives_that_stay_as_they_are_are_told(tmp_path: Path, said):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.zip").write_bytes(b"PK")
    code, out = said("init", "--input=in")
    assert code == 2
    assert "of its 1 archives none can be unpacked ('a.zip')" in out
    assert not list(tmp_path.glob("**/unpacked*"))
    for case in range(8):
        picture(tmp_path / f"in/{['ill', 'well'][case % 2]}/pat{case}.png", case)
    code, out = said("init", "--input=in")
    assert code == 0
    assert "left out 1 that are archives (unpack them there, or name one with --input; a folder" in out
    listing = find_images(tmp_path / "in")
    assert (
        "1 file(s) that are archives, whose files are not read before they are unpacked" in listing.notes[0]
    )


def test_headers_are_read_in_the_order_of_the_files_with_progress(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def slow(path: Path) -> str:
        sum(range(10**5 if path.name == "0" else 10))
        return path.name

    paths = [Path(str(number)) for number in range(200)]
    monkeypatch.setattr(bar, "LINE_EVERY", -1.0)
    with caplog.at_level(logging.INFO, logger="nachos_jax"):
        assert read(slow, paths) == [path.name for path in paths]
    assert "headers: 200/200 files" in caplog.text


def test_init_tells_its_progress_without_a_terminal(tmp_path: Path, said, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bar, "LINE_EVERY", -1.0)
    for case in range(8):
        saved(tmp_path / f"in/{case}", slice_of(case))
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "INFO headers: 8/8 files" in out
