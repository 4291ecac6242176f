"""The folder of masks that `nachos predict` writes, when a call is cut off."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nachos_jax.cli import mask_files
from nachos_jax.data import mask_inputs
from nachos_jax.data.mask_inputs import MaskInput
from nachos_jax.protocol.model import mask_arrays, mask_facts
from nachos_jax.protocol.model.mask_arrays import Segmented


def nothing() -> Any:
    raise AssertionError("no image is read")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model that calls everything nothing, and is interrupted before a case called `end`."""

    def segmented(*given: Any):
        for case in given[2]:
            if case.name == "end":
                raise KeyboardInterrupt
            yield Segmented(case, np.zeros((4, 3), np.uint8), np.zeros(1, int), None, None)

    monkeypatch.setattr(mask_facts, "sought", lambda _: None)
    monkeypatch.setattr(mask_inputs, "found", lambda names, _: [MaskInput(n, n, nothing) for n in names])
    monkeypatch.setattr(mask_arrays, "sizes", lambda *_: [])
    monkeypatch.setattr(mask_arrays, "segmented", segmented)
    of = SimpleNamespace(mirror=lambda _: None)
    return SimpleNamespace(segmenter=of, description={"preparation": {"axes": (0, 1)}}, classes=("left",))


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_call_that_was_cut_off_is_made_again(model: Any, tmp_path: Path):
    place = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        mask_files.write(place, model, ["a", "sub/b", "end"], True)
    assert names(place) == {"a.png", "sub/b.png", "volumes.csv"}
    assert mask_files.folder(str(place), []) == place
    mask_files.write(place, model, ["c"], True)
    assert names(place) == {"c.png", "volumes.csv"}


def test_what_another_has_put_there_stays(model: Any, tmp_path: Path):
    place = tmp_path / "out"
    mask_files.write(place, model, ["a"], True)
    (tmp_path / "precious.png").write_bytes(b"precious")
    (place / "mine.png").write_bytes(b"mine")
    with open(place / "volumes.csv", "a", encoding="utf-8") as file:
        file.write("x,../precious.png,1\ny,notes.txt,1\n")
    (place / "notes.txt").write_text("notes")
    with pytest.raises(KeyboardInterrupt):
        mask_files.write(place, model, ["end"], True)
    mask_files.write(place, model, ["c"], True)
    assert names(tmp_path) == {
        "out/c.png",
        "out/mine.png",
        "out/notes.txt",
        "out/volumes.csv",
        "precious.png",
    }
