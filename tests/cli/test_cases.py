"""Inputs that people really have: what is refused, with a cure that works; what is told before training."""

from __future__ import annotations

import json
import os
import runpy
import struct
import sys
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nachos_jax.protocol.crew import crews
from nachos_jax.runtime.stopping import StoppedError
from tests.cli import case_inputs as inputs
from tests.cli.conftest import ROOT, said
from tests.cli.test_bad_inputs import Refused

Tried = Callable[..., str]
SCRIPTS = ROOT / "../shared/cases"
P = r"--config.data.subject_key=(P\d+)_"
SMALL = ("--config.data.height=8", "--config.data.width=8", "--config.training.batch_size=4")
SMALL += ("--config.search.space.batch_size=", "--config.folds.count=3")
READY = "would train now"


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tried:
    """Calls `nachos evaluate` up to where lanes would open; returns what was said, the message last."""

    def stop(*_: object) -> None:
        raise StoppedError(READY)

    monkeypatch.setattr(crews, "gather", stop)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))

    def run(config: str, path: str | Path, *words: str, workdir: str = "run") -> str:
        record = tmp_path / workdir / "records/run.json"
        before = record.exists()
        flags = [f"--config={config}", f"--config.data.path={path}", f"--workdir={workdir}", *SMALL, *words]
        code, out, err = said("evaluate", *flags)
        assert out == ""
        assert "Traceback" not in err
        assert code == (75 if READY in err else 2), err
        assert record.exists() == (before or code == 75), "what is refused leaves no record"
        return err

    return run


def says(text: str, *parts: str) -> None:
    for part in parts:
        assert part in text, f"{part!r} is not in {text!r}"


# --- one thing in two spellings ----------------------------------------------------------------------

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


@pytest.mark.parametrize("kind", [f"subject {k}" for k in SUBJECTS] + [f"label {k}" for k in LABELS])
def test_spellings(kind: str, tried: Tried, tmp_path: Path):
    what, _, name = kind.partition(" ")
    cell, one, other = (SUBJECTS if what == "subject" else LABELS)[name]
    inputs.table(tmp_path / "d", **{f"{what}s": cell})
    refusal = tried("csv", "d/cases.csv")
    says(refusal, f"a {what} in more than one spelling", one, other, "line 2", "line 3", "'join'", "'apart'")
    joined = tried("csv", "d/cases.csv", "--config.data.spellings=join")
    says(joined, "24 cases of 12 subjects", ": 12 cases of 6 subjects", READY)
    apart = tried("csv", "d/cases.csv", "--config.data.spellings=apart", workdir="apart")
    says(apart, "24 cases of 24 subjects" if what == "subject" else ": 6 cases of 6 subjects", READY)


@pytest.mark.parametrize("word", ["n/a", "NA", "<NA>", "#N/A", "null", "?", "None", "nan", ""])
@pytest.mark.parametrize("what", ["label", "subject"])
def test_missing_words(what: str, word: str, tried: Tried, tmp_path: Path):
    cell = inputs.label if what == "label" else inputs.subject
    inputs.table(tmp_path / "d", **{f"{what}s": lambda i: cell(i) if i % 4 else word})
    said = tried("csv", "d/cases.csv")
    says(said, f"line 2: {what} {word!r}", "missing", "line 22", "6 rows in all", "drop the row")


@pytest.mark.parametrize("what", ["labels", "subjects"])
def test_missing_words_of_arrays(what: str, tried: Tried, tmp_path: Path):
    number = np.arange(24)
    arrays = {"labels": number // 2 % 2, "subjects": number // 2}
    arrays[what] = np.where(number % 6 == 3, "<NA>", arrays[what].astype(str))
    np.savez(tmp_path / "x.npz", images=np.stack([inputs.image(i) for i in number]), **arrays)
    says(tried("base", "x.npz", "--config.data.subject_key=subjects"), "row 3 ", "'<NA>'", "4 rows in all")


# --- equal images ------------------------------------------------------------------------------------


def test_equal_images(tried: Tried, tmp_path: Path):
    """Cases 22 and 23 are copies of 0 (benign, of another subject) and 1."""

    def pixels(i: int) -> np.ndarray:
        return inputs.image(i - 22 if i > 21 else i)

    inputs.table(tmp_path / "same", pixels=pixels, labels=lambda i: "benign" if i > 21 else inputs.label(i))
    told = tried("csv", "same/cases.csv")
    says(
        told,
        "WARNING 4 images are equal",
        "000.png (subject P00, benign) = 022.png (subject P11, benign)",
        READY,
    )
    inputs.table(tmp_path / "other", pixels=pixels)
    refusal = tried("csv", "other/cases.csv", workdir="other_run")
    says(refusal, "4 images are equal", "another class", "malignant", "config.data.equal_images = 'accept'")
    accepted = tried("csv", "other/cases.csv", "--config.data.equal_images=accept", workdir="other_run")
    says(
        accepted,
        "WARNING 4 images are equal pixel for pixel, with another class",
        "different subjects",
        READY,
    )


# --- folders and classes -----------------------------------------------------------------------------


def test_parts_of_a_data_set_are_no_classes(tried: Tried, tmp_path: Path):
    def name(i: int) -> str:
        return f"{['train', 'val', 'test'][i % 3]}/{inputs.label(i)}/P{i // 2:02d}_{i}.png"

    inputs.class_folders(tmp_path / "d", name)
    refusal = tried("folder", "d", P)
    says(refusal, "'test', 'train', 'val'", "parts of a data set", "config.data.path")
    cure = refusal.partition("config.data.label_key = '")[2].partition("'")[0]
    says(tried("folder", "d", P, f"--config.data.label_key={cure}"), "class 'benign': 12 cases of 6", READY)
    says(tried("folder", "d/train", P, workdir="train"), "batch_size can be 4")


@pytest.mark.parametrize(
    "part", ["Train", "training", "VALID", "validation", "testing", "test_set", "fold_1"]
)
def test_any_name_of_a_part(part: str, tried: Tried, tmp_path: Path):
    inputs.class_folders(tmp_path / "d", lambda i: f"{['benign', part][i // 2 % 2]}/P{i // 2:02d}_{i}.png")
    says(tried("folder", "d", P), repr(part), "parts of a data set", "CSV table")
    says(tried("folder", "d", P, "--config.data.label_key=^([^/]+)/"), f"class {part!r}: 12 cases", READY)


def test_a_folder_around_the_classes(tried: Tried, tmp_path: Path):
    inputs.class_folders(tmp_path / "d", lambda i: f"images/{inputs.label(i)}/P{i // 2:02d}_{i}.png")
    says(tried("folder", "d", P), "one sub-folder, 'images'", "set config.data.path = 'd/images'")


@pytest.mark.parametrize(
    ("mask", "pattern"),
    [
        ("{c}/P{p}_{i}_mask.png", "*_mask*"),
        ("{c}/P{p}_{i}_mask_1.png", "*_mask*"),
        ("{c}/mask_P{p}_{i}.png", "mask*"),
        ("{c}/P{p}_{i} segmentation.png", "* segmentation*"),
        ("{c}/masks/P{p}_{i}.png", "*masks/*"),
    ],
)
def test_masks_beside_images(mask: str, pattern: str, tried: Tried, tmp_path: Path):
    def names(form: str) -> Callable[[int], str]:
        return lambda i: form.format(c=inputs.label(i), p=f"{i // 2:02d}", i=i)

    inputs.class_folders(tmp_path / "d", names("{c}/P{p}_{i}.png"))
    inputs.class_folders(tmp_path / "d", lambda i: names(mask)(i // 2 * 2))
    refusal = tried("folder", "d", P)
    says(
        refusal,
        "12 file(s) look like masks",
        f"config.data.exclude = ('{pattern}',)",
        "config.data.include = ('*',)",
    )
    left = tried("folder", "d", P, f"--config.data.exclude=('{pattern}',)")
    says(left, "24 cases of 12 subjects", "left out 12 file(s)", READY)
    kept = tried(
        "folder", "d", P, "--config.data.include=('*',)", "--config.data.equal_images=accept", workdir="all"
    )
    says(kept, "36 cases of 12 subjects", READY)


def test_include_takes_some(tried: Tried, tmp_path: Path):
    inputs.class_folders(
        tmp_path / "d", lambda i: f"{inputs.label(i)}/P{i // 2:02d}_{i}{['', 'b'][i % 2]}.png"
    )
    says(
        tried("folder", "d", P, "--config.data.include=('*b.png',)"),
        "12 cases of 12 subjects",
        "left out 12",
        READY,
    )


def test_masks_of_faces_are_a_class(tried: Tried, tmp_path: Path):
    inputs.class_folders(
        tmp_path / "d",
        lambda i: "{0}/P{1:02d}_{0}_{2}.png".format(["with_mask", "without_mask"][i // 2 % 2], i // 2, i),
    )
    says(tried("folder", "d", P), READY)


def test_names_of_old_systems(tried: Tried, tmp_path: Path):
    inputs.old_windows_names(tmp_path / "d")
    says(tried("folder", "d", P), "24 file(s) are no UTF-8 text", r"M\udcfcller", "convmv")


WORDS = ["no finding", "mild", "moderate", "severe"]


def test_grades_need_an_order(tried: Tried, tmp_path: Path):
    inputs.table(tmp_path / "d", labels=lambda i: WORDS[i // 2 % 4])
    for words in (["--config.search.metric=kappa"], ["--config.search.metric=mean_class_distance"]):
        says(
            tried("csv", "d/cases.csv", *words), "order of the classes", "alphabetical", "config.data.classes"
        )
    says(
        tried("csv", "d/cases.csv", "--config.task.classification.loss=cumulative_link"),
        "the loss 'cumulative_link' needs the order",
    )
    classes = f"--config.data.classes={tuple(reversed(WORDS))}"
    says(tried("csv", "d/cases.csv", classes, "--config.search.metric=kappa"), READY)
    says(tried("csv", "d/cases.csv", workdir="other"), READY)


@pytest.mark.parametrize(
    ("names", "healthy"),
    [
        (("abnormal", "normal"), True),
        (("covid", "non_covid"), True),
        (("Case", "Control"), True),
        (("Tumor", "notumor"), True),
        (("Pneumonia", "no finding"), True),
        (("Parasitized", "Uninfected"), True),
        (("benign", "malignant"), False),
        (("healthy", "not healthy"), False),
        (("0", "1"), False),
    ],
)
def test_a_positive_class_that_is_healthy(
    names: tuple[str, str], healthy: bool, tried: Tried, tmp_path: Path
):
    inputs.table(tmp_path / "d", labels=lambda i: names[i // 2 % 2])
    warning = f"called like the healthy one: set config.report.positive = {names[0]!r}"
    assert (warning in tried("csv", "d/cases.csv")) == healthy
    chosen = tried("csv", "d/cases.csv", f"--config.report.positive={names[1]}", workdir="chosen")
    says(chosen, READY)
    assert "healthy one" not in chosen


# --- pixels ------------------------------------------------------------------------------------------


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


# --- what was really given ---------------------------------------------------------------------------

GIVEN = {
    ("base", "d"): ["is a folder", "'npz' reads an NPZ file", "--config=folder"],
    ("csv", "d"): ["is a folder", "--config=folder", "--config=csv"],
    ("base", "d/cases.csv"): ["is a CSV table", "--config=csv"],
    ("folder", "d/cases.csv"): ["is a CSV table", "--config=csv"],
    ("csv", "x.npz"): ["is an NPZ file", "--config=base"],
    ("folder", "x.npz"): ["is an NPZ file", "--config=base"],
    ("base", "x.xlsx"): ["is a spreadsheet", "CSV UTF-8", "--config=csv"],
    ("csv", "x.xlsx"): ["is a spreadsheet", "CSV UTF-8"],
    ("folder", "x.xlsx"): ["is a spreadsheet", "CSV UTF-8"],
    ("base", "x.nii.gz"): ["is a volume", "slices", "--config=csv"],
    ("csv", "x.nii"): ["is a volume", "slices"],
    ("base", "d/000.png"): ["is an image", "name the folder", "--config=csv"],
    ("base", "x.npy"): ["is an array file", "savez_compressed"],
    ("csv", "x.zip"): ["is an archive", "unpack it"],
    ("csv", "x.parquet"): ["is a table", "CSV UTF-8"],
}


@pytest.mark.parametrize(("config", "path"), GIVEN)
def test_the_next_step_for_what_was_given(config: str, path: str, tried: Tried, tmp_path: Path):
    inputs.save(tmp_path / "d/000.png", inputs.image(0))
    (tmp_path / "d/cases.csv").write_text("path,label,subject\n")
    if not path.startswith("d"):
        (tmp_path / path).write_bytes(b"x")
    says(tried(config, path), *GIVEN[config, path])


def test_a_volume_in_a_table(tried: Tried, tmp_path: Path):
    inputs.write_table(
        tmp_path, [["path", "label", "subject"], ["a.nii.gz", "x", "1"], ["b.nii.gz", "y", "2"]]
    )
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).write_bytes(b"\x1f\x8b")
    says(tried("csv", "cases.csv"), "a.nii.gz", "volumes are not read", "slices")


def test_several_labels_a_case(tried: Tried, tmp_path: Path):
    inputs.table(tmp_path / "d", labels=lambda i: ["edema", "mass", "edema|mass"][i // 2 % 3])
    says(
        tried("csv", "d/cases.csv"),
        "'edema|mass' names several classes",
        "line 6",
        "'multilabel'",
        "target_keys",
    )
    rows = [
        ["path", "label", "subject"],
        ["000.png", "edema", "P"],
        ["001.png", "mass", "Q"],
        ["000.png", "mass", "P"],
    ]
    inputs.write_table(tmp_path / "d", rows)
    says(tried("csv", "d/cases.csv"), "line 4", "the same file as", "'multilabel'")
    inputs.write_table(tmp_path / "d", [["path", "edema", "mass", "subject"], ["000.png", "1", "0", "P"]])
    says(tried("csv", "d/cases.csv"), "no column 'label'", "config.data.target_keys", "'multilabel'")


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.xlsx", "x.zip"])
def test_arrays_are_no_input_of_predict(name: str, tmp_path: Path):
    from nachos_jax.core.errors import UsageError
    from nachos_jax.data import sources

    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(
        UsageError, match=rf"{name} is an? .*(\.probabilities\(images\)|image files, folders)"
    ):
        sources.read_inputs([tmp_path / name], {})


# --- the way there -----------------------------------------------------------------------------------


def test_who_is_there(tried: Tried, tmp_path: Path):
    inputs.table(tmp_path / "d")
    lines = (tmp_path / "d/cases.csv").read_text().splitlines()
    sited = [f"{lines[0]},site", *(f"{line},{'ab'[i % 3 == 0]}" for i, line in enumerate(lines[1:]))]
    (tmp_path / "d/cases.csv").write_text("\n".join(sited))
    told = tried("csv", "d/cases.csv")
    says(told, "24 cases of 12 subjects: 2 a subject", "sites: a (16), b (8)", "16 x 16 x 1 (24)")
    says(
        told,
        "class 'benign': 12 cases of 6 subjects; a (8), b (4)",
        "class 'malignant': 12 cases of 6 subjects",
    )
    code, out, _ = said("plan", "--config=csv", "--config.data.path=d/cases.csv", *SMALL)
    assert code == 0
    says(out, "class 'benign': 12 cases of 6 subjects", "16 x 16 x 1 (24)", "by the order of the cases")


@pytest.mark.parametrize("name", ["csv", "configs/csv.py", "csv.py", "csv:d/cases.csv"])
def test_a_config_that_ships_is_found_anywhere(name: str, tried: Tried, tmp_path: Path):
    inputs.table(tmp_path / "d")
    says(tried(name, "d/cases.csv"), READY)
    (tmp_path / "csv").mkdir(exist_ok=True)
    says(tried(name, "d/cases.csv"), READY)


def test_a_config_of_ones_own_comes_first(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "csv.py").write_text("raise SystemExit('mine')")
    assert "mine" in refused("evaluate", "--config=csv.py", "--workdir=run")


# --- the scripts themselves --------------------------------------------------------------------------

CSV, FOLDER = ("csv", "in/cases.csv"), ("folder", "in")
SHARED: list[tuple[list[str], tuple[str, ...], list[str]]] = [
    *[(["table_spellings", k], CSV, ["a subject in more than one", "'join'"]) for k in
      ("ids_float", "ids_zeros", "ids_case", "ids_unicode", "ids_zerowidth")],
    *[(["table_spellings", k], CSV, ["a label in more than one", "'join'"]) for k in
      ("labels_case", "labels_float", "labels_bool")],
    *[(["table_spellings", "labels_missing", w], CSV, ["line 2", repr(w), "missing"]) for w in
      ("n/a", "NA", "<NA>", "#N/A", "null", "?")],
    (["class_words"], ("csv", "in/two.csv"), ["config.report.positive = 'abnormal'", READY]),
    (["class_words"], ("csv", "in/four.csv", "--config.search.metric=kappa"), ["config.data.classes"]),
    (["kaggle_layout"], (*FOLDER, P), ["'test', 'train', 'val'", "config.data.label_key"]),
    (["duplicate_images"], CSV, ["with another class", "config.data.equal_images = 'accept'"]),
    (["duplicate_images"], (*CSV, "--config.data.equal_images=accept"), ["different subjects", READY]),
    (["non_utf8_names"], (*FOLDER, P), ["no UTF-8", "convmv"]),
    (["narrow_strip"], CSV, ["60000 x 1", READY]),
    (["narrow_strip", "400000"], CSV, ["400000 x 1", READY]),
    (["phone_photos"], CSV, ["32 x 24 x 3 (24)", READY]),
    (["enhanced_rescale"], CSV, [READY]),
]  # fmt: skip


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs a script of ../shared/cases; its input lies in `in`."""
    if not SCRIPTS.is_dir():
        pytest.skip("no scripts at ../shared/cases beside the checkout")

    def run(name: str, *words: str) -> Path:
        script = str(SCRIPTS / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [script, str(tmp_path / "in"), *words])
        runpy.run_path(script)
        return tmp_path / "in"

    return run


@pytest.mark.parametrize(("script", "call", "parts"), SHARED, ids=[" ".join(row[0]) for row in SHARED])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_shared_case(
    script: list[str], call: tuple[str, ...], parts: list[str], make: Callable, tried: Tried
):
    make(*script)
    says(tried(*call), *parts)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_shared_stale_cache(make: Callable, tried: Tried):
    for version in ("1", "2"):
        make("stale_cache", version)
        says(tried("csv", "in/cases.csv", workdir=f"run{version}"), READY)
    assert "have changed since its first run" in tried("csv", "in/cases.csv", workdir="run1")
