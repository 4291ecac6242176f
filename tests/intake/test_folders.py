"""Folders as hospitals have them become tables that the run reads, or a clear question."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.intake.conftest import SMALL, cases, config, picture, table, taken
from tests.tiers import mostly_thorough

N = 24


@pytest.fixture
def german(tmp_path: Path) -> Path:
    """Semicolons, latin-1, decimal commas, names, birth dates, free text, and a row twice."""
    header = [
        "Bilddatei",
        "Patientennummer",
        "Name",
        "Geburtsdatum",
        "Geschlecht",
        "Alter",
        "Gewicht",
        "Klinik",
    ]
    rows = []
    for case in range(N):
        picture(tmp_path / "Studie/Bilder" / f"b{case:02d}.png", case)
        who = case // 4 * 2 + case % 2
        born = f"0{who % 9 + 1}.03.19{40 + who}"
        row = [
            f"b{case:02d}.png",
            f"{who:04d}",
            f"Müller{who}, Hans",
            born,
            "mw"[who % 2],
            60 + who,
            f"{60 + case},5",
        ]
        rows.append(
            [*row, ["Süd", "Nord"][case // 12], ["unauffällig", "Tumor"][case % 2], f"Herr {case} hustet"]
        )
    header += ["Befund", "Bemerkung"]
    table(tmp_path / "Studie/Liste.csv", header, [*rows, rows[-1]], delimiter=";", encoding="latin-1")
    return tmp_path / "Studie"


def test_a_german_table_is_read_and_joined_to_its_images(german: Path, said):
    code, out = said("init", "--input=Studie", "--output=o")
    assert code == 0
    for told in (
        *(
            "Windows-1252",
            "semicolons",
            "decimal commas of 'Gewicht'",
            "repeat another one are left out (line 26)",
        ),
        *("'Bilddatei' is joined to the file name of the files: 24 of 24 cases", "24 of 24 rows are used"),
        *("'Name', 'Geburtsdatum', 'Bemerkung'", "Befund' (called so, unauffällig 12, Tumor 12)"),
    ):
        assert told in out
    assert "TO DECIDE" not in out
    rows = cases(Path("o"))
    assert rows[5] == {
        **{"path": "../Studie/Bilder/b05.png", "Patientennummer": "0003", "Geschlecht": "w", "Alter": "63"},
        **{"Gewicht": "65.5", "Klinik": "Süd", "Befund": "Tumor"},
    }
    data = config(Path("o")).data
    assert (data.subject_key, data.label_key, data.site_key) == ("Patientennummer", "Befund", "Klinik")
    assert config(Path("o")).report.subgroups == ("Geschlecht", "Alter(40, 65)")


@pytest.mark.thorough  # test_radiomics goes as far
def test_a_german_table_is_evaluated(german: Path, said):
    assert said("init", "--input=Studie", "--output=o")[0] == 0
    code, out = said("evaluate", "--config=o/config.py", "--workdir=o/run", *SMALL)
    assert code == 0, out
    assert Path("o/run/report/index.html").is_file()


def test_what_a_hospital_writes_by_hand_stays_out(german: Path, said):
    said("init", "--input=Studie", "--output=o")
    text = "".join(path.read_text() for path in Path("o").iterdir())
    assert not any(word in text for word in ("Müller", "Hans", ".03.19", "hustet", "Geburtsdatum"))


def test_a_workbook_with_a_title_lost_zeros_dates_and_a_group(tmp_path: Path, said):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.Workbook()
    rows = [["Thorax study, May 2024"], [], ["ID", "Patient ID", "Exam date", "Group", "Diagnosis"]]
    for case in range(N):
        picture(tmp_path / "data/img" / f"{case + 1:04d}.png", case)
        day = datetime.datetime(2020, 1, 1) + datetime.timedelta(days=case)
        rows.append(
            [case + 1, case // 2 + 100, day, ["train", "test"][case % 4 == 0], ["sick", "well"][case % 2]]
        )
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "list.xlsx")
    (tmp_path / "data/img/Thumbs.db").write_bytes(b"x")
    picture(tmp_path / "data/__MACOSX/img/._0001.png", 0)
    code, out = said("init", "--input=data", "--labels=list.xlsx", "--output=o")
    assert code == 0
    for told in (
        *("lines 1 to 2 above the header", "'ID' is joined to the stem", "'1' in the table for '0001'"),
        *("Thumbs.db", "__MACOSX/", "dates: 'Exam date'", "'Group' (its values are parts of a shipped split"),
    ):
        assert told in out
    assert config(Path("o")).data.label_key == "Diagnosis"
    assert [row["Group"] for row in cases(Path("o"))[:2]] == ["test", "train"]
    assert "not used" in Path("o/config.py").read_text()


def test_two_labels_stay_a_question(tmp_path: Path, said):
    rows = [[f"s/{i}.png", i // 2, "ab"[i % 2], "xyz"[i % 3]] for i in range(N)]
    table(tmp_path / "in/list.csv", ["file", "patient", "diagnosis", "finding"], rows)
    for case in range(N):
        picture(tmp_path / f"in/s/{case}.png", case)
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "TO DECIDE: label" in out
    text = Path("o/config.py").read_text()
    assert "# config.data.label_key = 'diagnosis'" in text
    assert "# config.data.label_key = 'finding'" in text
    code, out = said("evaluate", "--config=o/config.py", "--workdir=o/run", *SMALL)
    assert code == 2
    assert "config.data.label_key" in out
    assert said("plan", "--config=o/config.py", "--config.data.label_key=finding", *SMALL)[0] == 0


def test_class_folders_below_train_and_test_need_subjects(tmp_path: Path, said):
    for case in range(N):
        picture(
            tmp_path / f"in/{['train', 'test'][case % 3 == 0]}/{['ill', 'well'][case % 2]}/im_{case}.png",
            case,
        )
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "folders of level 1 are parts of a shipped split" in out
    assert "folders of level 2 are taken for classes, column label: ill 12, well 12" in out
    assert "TO DECIDE: subject" in out
    text = Path("o/config.py").read_text()
    assert '# config.data.subject = "one_case_per_subject"' in text
    assert config(Path("o")).data.subject == ""
    code, out = said("evaluate", "--config=o/config.py", "--workdir=o/run", *SMALL)
    assert code == 2
    assert "says nothing of subjects" in out


def test_patients_in_file_names(tmp_path: Path, said):
    for case in range(N):
        picture(
            tmp_path / f"in/{['ill', 'well'][case % 2]}/person{case // 4 * 2 + case % 2}_{case}.png", case
        )
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "hold a word like 'person0', 12 different ones" in out
    assert config(Path("o")).data.subject_key == "subject"
    assert {row["subject"] for row in cases(Path("o"))} == {f"person{i}" for i in range(12)}


def test_numbers_at_the_start_of_file_names_are_offered_only(tmp_path: Path, said):
    for case in range(90):
        picture(tmp_path / f"in/{['ill', 'well'][case % 2]}/{case // 4 * 2 + case % 2:03d}_{case}.png", case)
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "TO DECIDE: subject" in out
    assert "# config.data.subject_key = 'name_start'" in Path("o/config.py").read_text()
    assert config(Path("o")).data.subject_key == ""


@mostly_thorough("place", ["masks/{}.png", "images/{}_mask.png"], kept=1)
def test_masks_beside_images_are_a_segmentation(tmp_path: Path, place: str, said):
    for case in range(6):
        picture(tmp_path / f"in/images/c{case}.png", case, 16)
        mask = tmp_path / "in" / place.format(f"c{case}")
        mask.parent.mkdir(exist_ok=True)
        Image.fromarray(np.array([[0, 255]] * 16, np.uint8).repeat(8, 1)).save(mask)
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "6 images have a mask by name" in out
    assert config(Path("o")).task.name == "segmentation"
    assert cases(Path("o"))[0] == {"path": "../in/images/c0.png", "mask": f"../in/{place.format('c0')}"}
    waiver = "--config.data.subject=one_case_per_subject"
    small = (waiver, "--config.task.plan_memory=0.05")
    assert said("plan", "--config=o/config.py", *small)[0] == 0
    for line in (
        "task.segmentation.normalisation = 'ct'",
        "search.space.segmentation.norm",
        "task.largest_comp",
    ):
        code, told = said("plan", taken(Path("o/config.py").read_text(), f"config.{line}"), *small)
        assert code == 0, told


def test_a_decathlon_folder(tmp_path: Path, said):
    import nibabel

    for case in range(12):
        for part, kind in (("imagesTr", np.int16), ("labelsTr", np.uint8)):
            (tmp_path / "Task" / part).mkdir(parents=True, exist_ok=True)
            values = np.random.default_rng(case).integers(0, 3, (8, 8, 8)).astype(kind)
            file = tmp_path / "Task" / part / f"hippo_{case:02d}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), file)
    (tmp_path / "Task/dataset.json").write_text(
        '{"labels": {"background": 0, "anterior": 1, "posterior": 2}}'
    )
    code, out = said("init", "--input=Task", "--output=o")
    assert code == 0
    assert "12 cases with masks" in out
    assert config(Path("o")).data.classes == ("anterior", "posterior")
    assert cases(Path("o"))[0]["mask"] == "../Task/labelsTr/hippo_00.nii.gz"
    waiver = "--config.data.subject=one_case_per_subject"
    assert said("plan", "--config=o/config.py", waiver, "--config.task.plan_memory=0.05")[0] == 0


def test_radiomics(tmp_path: Path, said):
    draw = np.random.default_rng(0)
    header = [
        "Patienten-ID",
        "Diagnose",
        "Zentrum",
        "Alter",
        "diagnostics_Version",
        *(f"f{i}" for i in range(6)),
    ]
    rows = [
        [
            f"P{i:02d}",
            "ab"[i % 2],
            f"Z{i % 3}",
            30 + i,
            "3.0",
            *(f"{x:.3f}".replace(".", ",") for x in draw.normal(size=6)),
        ]
        for i in range(40)
    ]
    rows[3][7] = ""
    table(tmp_path / "r.csv", header, rows, delimiter=";")
    code, out = said("init", "--input=r.csv", "--output=o")
    assert code == 0
    assert "40 cases, 6 features" in out
    found = config(Path("o"))
    assert (found.data.source, found.data.impute, found.data.exclude) == ("vectors", "median", ("Alter",))
    code, out = said("evaluate", "--config=o/config.py", "--workdir=o/run", *SMALL[:2])
    assert code == 0, out


@pytest.mark.parametrize("side", [1, 3])
def test_npz(tmp_path: Path, side: int, said):
    """MedMNIST's layout: images, or volumes."""
    draw = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 12), ("val", 6), ("test", 6)):
        arrays[f"{part}_images"] = draw.integers(
            0, 255, (count, 8, 8) if side == 1 else (count, 8, 8, 8), np.uint8
        )
        arrays[f"{part}_labels"] = np.arange(count)[:, None] % 2
    np.savez(tmp_path / "medmnist.npz", **arrays)
    code, out = said("init", "--input=medmnist.npz", "--output=o")
    assert code == 0
    assert "its parts train, val, test are read as one data set" in out
    assert not Path("o/cases.csv").exists()
    text = Path("o/config.py").read_text()
    assert ("config.data.volume = 'whole'" in text) == (side == 3)
    assert "TO DECIDE: subject" in text


@pytest.mark.parametrize("key", ["x", "X", "volumes", "data", "imgs", "image"])
def test_images_of_an_npz_file_are_not_their_own_masks(tmp_path: Path, key: str, said):
    images = np.random.default_rng(0).integers(0, 255, (24, 8, 8), np.uint8)
    arrays: dict[str, Any] = {key: images, "y": np.arange(24) % 2, "patient": np.arange(24) // 2}
    np.savez(tmp_path / "c.npz", **arrays)
    code, out = said("init", "--input=c.npz", "--output=o")
    assert code == 0, out
    found = config(Path("o"))
    assert (found.task.name, found.data.image_key, found.data.label_key) == ("classification", key, "y")


@pytest.mark.parametrize("key", ["images", "image"])
@pytest.mark.parametrize("part", ["", "train_"])
def test_masks_of_an_npz_file_are_called_like_its_images(tmp_path: Path, key: str, part: str, said):
    images = np.random.default_rng(0).integers(0, 255, (24, 8, 8), np.uint8)
    mask = key.replace("image", "mask")
    arrays: dict[str, Any] = {f"{part}{key}": images, f"{part}{mask}": images > 99}
    np.savez(tmp_path / "c.npz", **arrays)
    code, out = said("init", "--input=c.npz", "--output=o")
    assert code == 0, out
    found = config(Path("o"))
    assert (found.task.name, found.data.mask_key) == ("segmentation", mask)


@pytest.mark.parametrize("held", ["masks", "labels", "features"])
def test_an_npz_file_without_an_array_of_one_value_a_case(tmp_path: Path, held: str, said):
    """Of its cases no array tells anything that a column could: the config asks for the subjects."""
    images = np.random.default_rng(0).integers(0, 255, (24, 8, 8), np.uint8)
    labels = np.arange(24)[:, None] // np.arange(1, 6) % 2
    beside = {"masks": images > 99, "labels": labels, "features": labels / 2}
    arrays: dict[str, Any] = {held: beside[held], **({} if held == "features" else {"images": images})}
    np.savez(tmp_path / "c.npz", **arrays)
    code, out = said("init", "--input=c.npz", "--output=o")
    assert code == 0, out
    assert "24 cases" in out
    assert "TO DECIDE: subject" in out
    assert ("TO DECIDE: label" in out) == (held == "features")


def _images(folder: Path, names: list[str]) -> None:
    folder.mkdir()
    for number, name in enumerate(names):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)).save(folder / name)


def test_the_patient_column_of_a_table_beats_what_file_names_seem_to_say(tmp_path: Path, said):
    names = [f"{number:03d}_p{number}.png" for number in range(24)]
    _images(tmp_path / "scans", names)
    rows = [f"{name},M{number // 4},{'ab'[number // 4 % 2]}" for number, name in enumerate(names)]
    (tmp_path / "t.csv").write_text("\n".join(["file,patient_id,label", *rows]))
    code, told = said("init", "--input=scans", "--labels=t.csv", "--output=o")
    assert code == 0, told
    assert "config.data.subject_key = 'patient_id'" in (tmp_path / "o/config.py").read_text()


@pytest.mark.parametrize(("start", "few"), [("3.", 3), ("P3.", 0)])
def test_ids_that_become_one_pseudonym_are_a_question(tmp_path: Path, start: str, few: int, said):
    ids = [f"{start}{end}" for end in ("1", "10", "100", *range(20, 29))]
    names = [f"{number:03d}.png" for number in range(24)]
    _images(tmp_path / "scans", names)
    rows = [f"{name},{ids[number // 2]},{'ab'[number // 2 % 2]}" for number, name in enumerate(names)]
    (tmp_path / "t.csv").write_text("\n".join(["file,patient_id,label", *rows]))
    code, told = said("init", "--input=scans", "--labels=t.csv", "--output=o", "--pseudonyms=key")
    assert code == 0, told
    text = (tmp_path / "o/config.py").read_text(encoding="utf-8")
    question = f"subject: {few} ids that are not written alike"
    assert (question in told) == (question in text) == bool(few)
    assert "3.100" not in told + text
    assert "spellings" not in text


def test_no_second_id_and_no_name_stays_beside_pseudonyms(tmp_path: Path, said):
    names = [f"{letter}.png" for letter in "abcdefghijkl"]
    _images(tmp_path / "scans", names)
    rows = []
    for number, name in enumerate(names):
        one = number // 2
        rows.append(f"{name},{4711000 + one},Mueller Hans{one},{90000 + one},{'xy'[one % 2]}")
    (tmp_path / "t.csv").write_text("\n".join(["file,PatientID,Patient,subject,diagnosis", *rows]))
    code, told = said("init", "--input=scans", "--labels=t.csv", "--output=o", "--pseudonyms=key")
    written = "".join((tmp_path / "o" / name).read_text() for name in ("cases.csv", "config.py") if code == 0)
    for secret in ("4711000", "Mueller", "90000"):
        assert secret not in written + told
