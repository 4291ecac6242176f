"""Folders that people really have, what else they give, and what a run tells them before it trains."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from tests.cli import case_inputs as inputs
from tests.cli.case_inputs import READY, SMALL, P, Tried, says
from tests.cli.conftest import said
from tests.cli.test_bad_inputs import Refused
from tests.tiers import mostly_thorough

# --- folders and classes ----------------------------------------------------------------------------


def test_parts_of_a_data_set_are_no_classes(tried: Tried, tmp_path: Path):
    def name(i: int) -> str:
        return f"{['train', 'val', 'test'][i % 3]}/{inputs.label(i)}/P{i // 2:02d}_{i}.png"

    inputs.class_folders(tmp_path / "d", name)
    refusal = tried("folder", "d", P)
    says(refusal, "'test', 'train', 'val'", "parts of a data set", "config.data.path")
    cure = refusal.partition("config.data.label_key = '")[2].partition("'")[0]
    says(tried("folder", "d", P, f"--config.data.label_key={cure}"), "class 'benign': 12 cases of 6", READY)
    says(tried("folder", "d/train", P, workdir="train"), "batch_size can be 4")


@mostly_thorough(
    "part",
    ["Train", "training", "VALID", "validation", "testing", "test_set", "fold_1", "trainA", "1_train"],
    kept=("Train", "fold_1"),
)
def test_any_name_of_a_part(part: str, tried: Tried, tmp_path: Path):
    inputs.class_folders(tmp_path / "d", lambda i: f"{['benign', part][i // 2 % 2]}/P{i // 2:02d}_{i}.png")
    says(tried("folder", "d", P), repr(part), "parts of a data set", "CSV table")
    says(tried("folder", "d", P, "--config.data.label_key=^([^/]+)/"), f"class {part!r}: 12 cases", READY)


@pytest.mark.parametrize("parts", [("brain_train", "brain_test"), ("HAM_part_1", "HAM_part_2"), ("tr", "te")])
def test_names_of_parts_in_every_folder(parts: tuple[str, str], tried: Tried, tmp_path: Path):
    def name(i: int) -> str:
        return f"{parts[i // 2 % 2]}/{inputs.label(i // 2)}/P{i // 2:02d}_{i}.png"

    inputs.class_folders(tmp_path / "d", name)
    says(tried("folder", "d", P), repr(parts[0]), repr(parts[1]), "parts of a data set", "label_key")


def test_a_folder_around_the_classes(tried: Tried, tmp_path: Path):
    inputs.class_folders(tmp_path / "d", lambda i: f"images/{inputs.label(i)}/P{i // 2:02d}_{i}.png")
    says(tried("folder", "d", P), "one sub-folder, 'images'", "set config.data.path = 'd/images'")


@mostly_thorough(
    ("mask", "pattern"),
    [
        ("{c}/P{p}_{i}_mask.png", "*_mask*"),
        ("{c}/P{p}_{i}_mask_1.png", "*_mask*"),
        ("{c}/P{p}_{i}_label.png", "*_label*"),
        ("{c}/mask_P{p}_{i}.png", "mask*"),
        ("{c}/P{p}_{i} segmentation.png", "* segmentation*"),
        ("{c}/masks/P{p}_{i}.png", "*masks/*"),
    ],
    kept=("{c}/P{p}_{i}_mask.png", "{c}/masks/P{p}_{i}.png"),
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
    inputs_of_predict = [tmp_path / "d", tmp_path / os.fsdecode(b"M\xfcller.png")]
    for path in inputs_of_predict:
        with pytest.raises(UsageError, match="no UTF-8 text"):
            sources.read_inputs([path], {})


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


@mostly_thorough(
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
        (("HER2+", "HER2-"), True),
        (("melanoma", "nevus"), True),
    ],
    kept=(("abnormal", "normal"), ("benign", "malignant"), ("HER2+", "HER2-")),
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


# --- what was really given --------------------------------------------------------------------------

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
    ("base", "x.nii.gz"): ["is a volume", "config.data.volume", "--config=csv"],
    ("csv", "x.nii"): ["is a volume", "config.data.volume"],
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
    says(tried("csv", "cases.csv"), "a.nii.gz", "set config.data.volume = 'whole'")


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
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(
        UsageError, match=rf"{name} is an? .*(\.probabilities\(images\)|image files, folders)"
    ):
        sources.read_inputs([tmp_path / name], {})


# --- the way there ----------------------------------------------------------------------------------


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


@mostly_thorough("name", ["csv", "configs/csv.py", "csv.py", "csv:d/cases.csv"], kept=("csv", "csv.py"))
def test_a_config_that_ships_is_found_anywhere(name: str, tried: Tried, tmp_path: Path):
    inputs.table(tmp_path / "d")
    says(tried(name, "d/cases.csv"), READY)
    (tmp_path / "csv").mkdir(exist_ok=True)
    says(tried(name, "d/cases.csv"), READY)


def test_a_config_of_ones_own_comes_first(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "csv.py").write_text("raise SystemExit('mine')")
    assert "mine" in refused("evaluate", "--config=csv.py", "--workdir=run")
