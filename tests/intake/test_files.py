"""Archives are unpacked safely, files of people are never overwritten, and walks tell what they leave out."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.intake import archives
from nachos_jax.intake.written import write
from tests.intake.conftest import cases, picture, table

EVIL = ("../out.txt", "/tmp/nachos_out.txt", "a/../../out.txt", "..\\out.txt", "C:/out.txt")


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good/a.txt", "fine")
        for name in EVIL:
            archive.writestr(name, "evil")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return path


def tarred(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in ("good/a.txt", *EVIL):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"fine"))
        for kind, name in ((tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "hard"), (tarfile.FIFOTYPE, "pipe")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    return path


@pytest.mark.parametrize(("make", "name", "left"), [(zipped, "a.zip", 6), (tarred, "a.tar.gz", 8)])
def test_nothing_leads_out_of_the_folder(tmp_path: Path, make, name: str, left: int):
    place = tmp_path / "deep/o"
    place.parent.mkdir()
    folder, notes = archives.unpack(make(tmp_path / name), place)
    held = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert held == {name, "deep/o/good/a.txt", "deep/o.unpacked"}
    assert f"left out {left} entries" in notes[-1]
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
    assert "before" in archives.unpack(tmp_path / name, folder)[1][0]


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "_SMALL", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**6))
    with pytest.raises(UsageError, match="more than is believed of its size"):
        archives.unpack(tmp_path / "bomb.zip", tmp_path / "o")
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.zip"]
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UsageError, match="damaged or encrypted"):
        archives.unpack(tmp_path / "bad.zip", tmp_path / "o")


def test_an_archive_is_a_folder(tmp_path: Path, said):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for case in range(8):
            place = picture(tmp_path / "x.png", case)
            archive.write(place, f"data/{['ill', 'well'][case % 2]}/patient{case}.png")
    code, out = said("init", "--input=in.zip", "--output=o")
    assert code == 0
    assert "8 files of in.zip were unpacked into o/unpacked" in out
    assert cases(Path("o"))[0]["path"] == "unpacked/data/ill/patient0.png"


def test_files_of_people_are_never_overwritten(tmp_path: Path):
    texts = {"a.py": "first\n", "b.csv": "1\n"}
    assert sorted(write(tmp_path, texts, "a.py")) == ["a.py", "b.csv"]
    assert write(tmp_path, texts, "a.py") == []
    assert sorted(write(tmp_path, {**texts, "b.csv": "2\n"}, "a.py")) == ["a.py", "b.csv"]
    for name in ("a.py", "b.csv"):
        held = (tmp_path / name).read_text()
        (tmp_path / name).write_text(f"mine\n{held}")
        with pytest.raises(UsageError, match=f"{name} is there, and was edited"):
            write(tmp_path, {"a.py": "third\n", "b.csv": "3\n"}, "a.py")
        (tmp_path / name).write_text(held)
    (tmp_path / "a.py").unlink()
    with pytest.raises(UsageError, match=r"b\.csv is there"):
        write(tmp_path, {"a.py": "third\n", "b.csv": "3\n"}, "a.py")


def test_the_command_tells_that_a_file_was_edited(tmp_path: Path, said):
    for case in range(8):
        picture(tmp_path / f"in/{['ill', 'well'][case % 2]}/p{case}.png", case)
    assert said("init", "--input=in", "--output=o")[0] == 0
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0
    assert "nothing has changed" in out
    picture(tmp_path / "in/ill/p9.png", 9)
    assert said("init", "--input=in", "--output=o")[0] == 0
    assert len(cases(Path("o"))) == 9
    with open("o/cases.csv", "a", encoding="utf-8") as file:
        file.write("more\n")
    code, out = said("init", "--input=in", "--output=o")
    assert code == 2
    assert "Name another folder with --output=FOLDER" in out


def test_a_table_names_its_files_and_nothing_else_is_looked_at(tmp_path: Path, said):
    for case in range(8):
        picture(tmp_path / f"in/scans/{case}.png", case)
        picture(tmp_path / f"in/others/x{case}.png", case)
    rows = [[f"scans/{i}.png", "ab"[i % 2], f"P{i}"] for i in range(8)]
    table(tmp_path / "in/list.csv", ["path", "label", "subject"], rows)
    code, out = said("init", "--input=in/list.csv", "--output=in")
    assert code == 0
    assert "8 PNG, JPEG or TIFF images" in out
    assert cases(Path("in"))[0] == {"path": "scans/0.png", "label": "a", "subject": "P0"}
    code, out = said("init", "--input=in", "--output=in")  # its own cases.csv is no second table
    assert code == 0
    assert "8 of 16 cases are found" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--input=nowhere",), "there is no such file or folder"),
        (("--input=empty",), "holds no image, volume, npz file or table"),
        (("--input=empty", "--cases=all"), "must be slices or series"),
        (("--input=text.pdf",), "name the folder that holds the images"),
        (("--input=small.csv",), "names no image files and has 0 columns of numbers"),
    ],
)
def test_refusals(tmp_path: Path, words: tuple[str, ...], told: str, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pdf").write_text("x")
    (tmp_path / "small.csv").write_text("a,b\nx,y\n")
    code, out = said("init", *words)
    assert code == 2
    assert told in out
    assert not Path("intake").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--input=arrays.npz", "--labels=list.csv"),
            "joined to folders of files alone, and not to arrays.npz",
        ),
        (
            ("--input=list.csv", "--labels=more.csv"),
            "list.csv is a table already; join the two, and name one",
        ),
        (
            ("--input=numbers.csv", "--labels=list.csv"),
            "joined to folders of files alone, and not to numbers.csv",
        ),
        (("--input=in", "--labels=nowhere.csv"), "nowhere.csv: there is no such file; mend the path"),
        (("--input=in", "--labels=in"), "in is a folder: name the table itself"),
        (("--input=in", "--labels=others.csv"), "no column names the files, by path, name, stem"),
        (("--input=in", "--labels=arrays.npz"), "tables are read from CSV, TSV, XLSX and Parquet"),
        (("--input=arrays.npz", "--pseudonyms=key"), "arrays.npz is read as it is, and holds its ids"),
        (("--input=in", "--labels=list.csv", "--cases=lines"), "--cases=lines: must be slices or series"),
        (("--input=in", "--include=*.png"), "include"),
    ],
)
def test_flags_that_do_not_go_together(tmp_path: Path, words: tuple[str, ...], told: str, said):
    rows = [[f"{i}.png", "ab"[i % 2], f"P{i}"] for i in range(8)]
    for case in range(8):
        picture(tmp_path / f"in/{case}.png", case)
    for name, above in (("list", "in/"), ("more", "in/"), ("others", "in/x")):
        table(tmp_path / f"{name}.csv", ["path", "label", "subject"], [[above + r[0], *r[1:]] for r in rows])
    numbers = [[i, "ab"[i % 2], f"P{i}", i * 1.5, i**2 + 0.3, 7 - 0.1 * i] for i in range(8)]
    table(tmp_path / "numbers.csv", ["case", "label", "subject", "f1", "f2", "f3"], numbers)
    np.savez(tmp_path / "arrays.npz", images=np.zeros((8, 5, 5), np.uint8), labels=np.arange(8) % 2)
    code, out = said("init", *words)
    assert code == 2, out
    assert told in out
    assert not Path("intake").exists()


def test_a_table_may_be_named_twice(tmp_path: Path, said):
    for case in range(8):
        picture(tmp_path / f"in/{case}.png", case)
    rows = [[f"in/{i}.png", "ab"[i % 2], f"P{i}"] for i in range(8)]
    table(tmp_path / "list.csv", ["path", "label", "subject"], rows)
    assert said("init", "--input=list.csv", "--labels=list.csv")[0] == 0
    assert len(cases(Path("intake"))) == 8


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_a_packed_tar_whose_bytes_have_changed_is_told(kind: Literal["gz", "xz"], tmp_path: Path):
    path = tmp_path / f"a.tar.{kind}"
    (tmp_path / "x").write_bytes(np.random.default_rng(0).bytes(50_000))
    mode: Literal["w:gz", "w:xz"] = "w:gz" if kind == "gz" else "w:xz"
    with tarfile.open(path, mode) as archive:
        archive.add(tmp_path / "x", "x.png")
    packed = bytearray(path.read_bytes())
    packed[-6 if kind == "gz" else len(packed) // 2] ^= 255  # of gz the sum alone
    path.write_bytes(packed)
    with pytest.raises(UsageError, match="it is damaged or encrypted"):
        archives.unpack(path, tmp_path / "out")
