"""Tables and pixels that people really have: what is refused with a cure that works, what is told."""

from __future__ import annotations

import json
import os
import struct
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli import case_inputs as inputs
from tests.cli.case_inputs import READY, Tried, says
from tests.tiers import mostly_thorough

# --- one thing in two spellings ---------------------------------------------------------------------

SUBJECTS = {
    "float": (lambda i: f"{i // 2 + 1}" + ".0" * (i % 2), "'1'", "'1.0'"),
    "zeros": (lambda i: f"{i // 2 + 1:0{1 + 2 * (i % 2)}d}", "'1'", "'001'"),
    "case": (lambda i: ["P", "p"][i % 2] + f"{i // 2:02d}", "'P00'", "'p00'"),
    "unicode": (
        lambda i: unicodedata.normalize(["NFC", "NFD"][i % 2], f"Jos\u00e9-{i // 2}"),
        r"\xe9",
        r"e\u0301",
    ),
    "zero width": (lambda i: f"P{i // 2:02d}" + "\u200b" * (i % 2), "'P00'", r"'P00\u200b'"),
}
LABELS = {
    "case": (
        lambda i: ["benign", "malignant"][i // 2 % 2].title() if i % 2 else inputs.label(i),
        "'Benign'",
        "'benign'",
    ),
    "float": (lambda i: f"{i // 2 % 2}" + ".0" * (i % 2), "'0'", "'0.0'"),
    "bool": (lambda i: str(bool(i // 2 % 2)).upper() if i % 2 else str(bool(i // 2 % 2)), "'True'", "'TRUE'"),
}


@mostly_thorough(
    "kind",
    [f"subject {k}" for k in SUBJECTS] + [f"label {k}" for k in LABELS],
    kept=("subject case", "subject zeros", "label float"),
)
def test_spellings(kind: str, tried: Tried, tmp_path: Path):
    what, _, name = kind.partition(" ")
    cell, one, other = (SUBJECTS if what == "subject" else LABELS)[name]
    cells: dict[str, Any] = {f"{what}s": cell}
    inputs.table(tmp_path / "d", **cells)
    refusal = tried("csv", "d/cases.csv")
    says(refusal, f"a {what} in more than one spelling", one, other, "line 2", "line 3", "'join'", "'apart'")
    joined = tried("csv", "d/cases.csv", "--config.data.spellings=join")
    says(joined, "24 cases of 12 subjects", ": 12 cases of 6 subjects", READY)
    apart = tried("csv", "d/cases.csv", "--config.data.spellings=apart", workdir="apart")
    says(apart, "24 cases of 24 subjects" if what == "subject" else ": 6 cases of 6 subjects", READY)


@mostly_thorough("word", ["n/a", "NA", "<NA>", "#N/A", "null", "?", "None", "nan", ""], kept=("n/a", ""))
@pytest.mark.parametrize("what", ["label", "subject"])
def test_missing_words(what: str, word: str, tried: Tried, tmp_path: Path):
    cell = inputs.label if what == "label" else inputs.subject
    cells: dict[str, Any] = {f"{what}s": lambda i: cell(i) if i % 4 else word}
    inputs.table(tmp_path / "d", **cells)
    said = tried("csv", "d/cases.csv")
    says(said, f"line 2: {what} {word!r}", "missing", "line 22", "6 rows in all", "drop the row")


@pytest.mark.parametrize("what", ["labels", "subjects"])
def test_missing_words_of_arrays(what: str, tried: Tried, tmp_path: Path):
    number = np.arange(24)
    arrays = {"labels": number // 2 % 2, "subjects": number // 2}
    arrays[what] = np.where(number % 6 == 3, "<NA>", arrays[what].astype(str))
    np.savez(tmp_path / "x.npz", images=np.stack([inputs.image(int(i)) for i in number]), **arrays)
    says(tried("base", "x.npz", "--config.data.subject_key=subjects"), "row 3 ", "'<NA>'", "4 rows in all")


# --- equal images -----------------------------------------------------------------------------------


def test_equal_images(tried: Tried, tmp_path: Path):
    """Cases 22 and 23 are copies of 0 (benign, of another subject) and 1."""

    def pixels(i: int) -> np.ndarray:
        return inputs.image(i - 22 if i > 21 else i)

    inputs.table(tmp_path / "same", pixels=pixels, labels=lambda i: "benign" if i > 21 else inputs.label(i))
    pair = "000.png (subject P00, benign) = 022.png (subject P11, benign)"
    says(tried("csv", "same/cases.csv"), "WARNING 4 images are equal", pair, READY)  # in one fold
    inputs.table(tmp_path / "other", pixels=pixels)
    refusal = tried("csv", "other/cases.csv", workdir="other_run")
    says(refusal, "4 images are equal", "another class", "malignant", "config.data.equal_images = 'accept'")
    for word in ("--config.data.equal_images=accept", "--allow=contradictions"):
        says(tried("csv", "other/cases.csv", word, workdir="other_run"), "The user has accepted this", READY)
    accepted = tried("csv", "other/cases.csv", "--config.data.equal_images=accept", workdir="other_run")
    says(
        accepted,
        "WARNING 4 images are equal pixel for pixel, with another class",
        "different subjects",
        READY,
    )


# --- pixels -----------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_second_version_is_never_given_the_pixels_of_the_first(tried: Tried, tmp_path: Path):
    for version in (1, 2):
        inputs.table(tmp_path / "d", pixels=lambda i, seed=version: inputs.image(i, seed), suffix=".tif")
        for path in (tmp_path / "d").glob("*.tif"):
            os.utime(path, (1577836800, 1577836800))
        says(tried("csv", "d/cases.csv", workdir=f"run{version}"), READY)
    cases = [json.loads((tmp_path / f"run{i}/records/run.json").read_text())["cases"] for i in (1, 2)]
    assert cases[0] != cases[1]
    assert "have changed since its first run" in tried("csv", "d/cases.csv", workdir="run1")


def test_a_damaged_cache_is_made_anew(tried: Tried, tmp_path: Path):
    inputs.table(tmp_path / "d")
    tried("csv", "d/cases.csv")
    (cached,) = (tmp_path / "caches").rglob("*.npy")
    whole = cached.read_bytes()
    cached.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    says(tried("csv", "d/cases.csv"), f"WARNING {cached} is damaged: its pixels are decoded anew", READY)
    assert cached.read_bytes() == whole


def test_half_a_jpeg_is_refused(tried: Tried, tmp_path: Path):
    inputs.table(tmp_path / "d", suffix=".jpg")
    says(tried("csv", "d/cases.csv"), READY)
    inputs.half_zero(tmp_path / "d/007.jpg")
    says(tried("csv", "d/cases.csv", workdir="b"), "line 9", "007.jpg", "part of it is lost", "drop its row")


def test_all_damaged_images_are_named(tried: Tried, tmp_path: Path):
    inputs.table(tmp_path / "d")
    for i in (3, 5, 21):
        (tmp_path / f"d/{i:03d}.png").write_bytes(b"no image")
    says(tried("csv", "d/cases.csv"), "line 5 (003.png)", "line 7 (005.png)", "line 23 (021.png)")
    for i in range(1, 24):
        (tmp_path / f"d/{i:03d}.png").write_bytes(b"no image")
    says(
        tried("csv", "d/cases.csv"), "line 3 (001.png)", "line 25 (023.png)", "23 of 24 images cannot be read"
    )


def test_a_strip_is_resized_and_what_claims_too_much_is_refused(tried: Tried, tmp_path: Path):
    inputs.table(
        tmp_path / "d", pixels=lambda i: np.full((400_000, 1), i, np.uint8) if i == 5 else inputs.image(i)
    )
    says(tried("csv", "d/cases.csv"), "16 x 16 x 1 (23), 400000 x 1 x 1 (1)", READY)
    data = bytearray((tmp_path / "d/005.png").read_bytes())
    data[16:24] = struct.pack(">II", 20_000, 20_000)  # its header: the size, then its sum
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "d/005.png").write_bytes(data)
    says(tried("csv", "d/cases.csv", workdir="b"), "005.png", "400000000 pixels", "scale it down")


def test_a_photo_with_a_second_picture_is_its_first(tried: Tried, tmp_path: Path):
    from PIL import Image

    inputs.table(tmp_path / "d", suffix=".jpg")
    for path in (tmp_path / "d").glob("*.jpg"):
        photo = Image.open(path)
        photo.load()
        photo.save(path, format="MPO", save_all=True, append_images=[photo.resize((4, 4))])
    says(tried("csv", "d/cases.csv"), "16 x 16 x 1 (24)", READY)
