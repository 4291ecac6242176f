"""Folders of other work are refused before anything is written, and only what a run wrote is removed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.records import hold, own


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return folder


@pytest.mark.parametrize(
    "names",
    [
        (),
        (".lock", "run.log", "run.12.log", ".tmp-abcdefgh", ".DS_Store"),
        ("records/.tmp-abcdefgh", "run.log"),
        ("records/run.json", "predictions.csv", "notes.txt", "slurm-1.out"),
        ("records/cases.json",),
        ("records/evaluate/fits/0.json", "anything"),
    ],
)
def test_an_empty_folder_and_a_run_directory_are_taken(tmp_path: Path, names: tuple[str, ...]):
    assert hold.made(make(tmp_path, *names)) == tmp_path


@pytest.mark.parametrize(
    "names",
    [("predictions.csv",), ("checkpoints/evaluate/mine",), ("records/2024.csv",), ("my/a",), ("records",)],
)
def test_a_folder_of_other_work_is_refused(tmp_path: Path, names: tuple[str, ...]):
    with pytest.raises(UsageError, match=r"holds other files \(e.g. \w+.*name a new or an empty folder"):
        hold.made(make(tmp_path, "run.log", *names))


def test_only_what_was_written_and_is_still_so_is_removed(tmp_path: Path):
    make(tmp_path, "old.svg", "edited.svg", "kept.svg", "mine.svg", "mine.csv")
    digest = hashlib.sha256(b"mine").hexdigest()
    written = {
        "old.svg": digest,
        "edited.svg": "0" * 64,
        "kept.svg": digest,
        "gone.svg": digest,
        "../x": digest,
    }
    make(tmp_path.parent, "x")
    own.remove(tmp_path, written, {"kept.svg": "1" * 64})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "edited.svg",
        "kept.svg",
        "mine.csv",
        "mine.svg",
    ]
    assert (tmp_path.parent / "x").exists()
