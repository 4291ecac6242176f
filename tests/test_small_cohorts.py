"""docs/small_cohorts.md: its commands run in their order, from a folder of images to checklists."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nachos_jax.cli import main
from nachos_jax.models.zoo import registry
from nachos_jax.statistics.width import auc_width
from tests import pretrained

PAGE = Path(__file__).resolve().parents[1] / "docs/small_cohorts.md"
TEXT = PAGE.read_text(encoding="utf-8")
WEIGHTS = "efficientnet_lite0.safetensors"
QUICK = ("search.trials=1", "search.initial=1", "folds.count=3", "report.replicates=200", "report.gallery=2")
QUICK += ("engine.checkpoint_epochs=1000", "engine.lanes=2", "training.batch_size=8", "training.epochs=2")
PLAIN = {"pixels", "features", "tuned"}
"""Runs of the page."""

pytestmark = pytest.mark.thorough  # its commands are parsed by test_docs, and each is run by tests of its own


def lines() -> list[list[str]]:
    """The words of each command of the page, in their order."""
    text = "".join(re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def images(folder: str, patients: range) -> list[str]:
    """Two images a patient, darker where benign; the lines of their table."""
    Path(folder).mkdir()
    rows = []
    for patient in patients:
        label = ("benign", "malignant")[patient % 2]
        for view in range(2):
            draw = np.random.default_rng([patient, view])
            pixels = draw.integers(0, 120, (40, 48), np.uint8) + np.uint8(80 * (label == "malignant"))
            Image.fromarray(pixels).save(f"{folder}/{patient:02d}_{view}.png")
            rows.append(f"{folder}/{patient:02d}_{view}.png,{label},P{patient:02d}")
    return ["path,label,subject", *rows]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with images/, patients.csv, elsewhere.csv, new/ and weights of a tiny network of that name."""
    found = tmp_path_factory.mktemp("small")
    stages = tuple((name.replace("mid", "stage7"), stage) for name, stage in pretrained.STAGES)
    tiny = dataclasses.replace(pretrained.SMALL, stages=stages)
    with contextlib.chdir(found), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(found / "cache"))
        patch.setattr(registry, "_networks", lambda: {"efficientnet_lite0": tiny})
        pretrained.write(found).rename(found / WEIGHTS)
        for table, folder, patients in (
            ("patients", "images", range(24)),
            ("elsewhere", "away", range(30, 40)),
        ):
            Path(f"{table}.csv").write_text("\n".join(images(folder, patients)) + "\n")
        images("new", range(50, 53))
        yield found


@pytest.fixture(scope="module")
def said(place: Path) -> dict[str, list[str]]:
    """What each command of the page printed, by its name, once all have run in their order."""
    found: dict[str, list[str]] = {}
    for program, *words in lines():
        assert program == "nachos"
        quick = [f"--config.{field}" for field in QUICK] if words[0] in ("evaluate", "deploy") else []
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main.main(["nachos", *words, *quick]) == 0, words
        found.setdefault(words[0], []).append(printed.getvalue())
    return found


def test_the_page_goes_from_a_folder_to_another_hospital(said: dict[str, list[str]], place: Path):
    assert [*said] == ["init", "audit", "plan", "evaluate", "compare", "deploy", "predict"]
    assert {path.name for path in (place / "runs").iterdir()} == PLAIN
    assert len((place / "predicted.csv").read_text().splitlines()) == 1 + 6
    summaries = {name: json.loads((place / f"runs/{name}/summary.json").read_text()) for name in PLAIN}
    assert {summary["data"]["subjects"] for summary in summaries.values()} == {24}
    assert summaries["features"]["external"]["cases"] == 20
    assert len(summaries["features"]["external"]["metrics"][summaries["features"]["headline"]]["models"]) == 3
    assert all("external" not in summaries[name] for name in PLAIN - {"features"})


def test_the_runs_can_be_compared(said: dict[str, list[str]]):
    for text, names in zip(
        said["compare"], (("features", "pixels"), ("tuned", "features", "pixels")), strict=True
    ):
        assert all(name in text for name in names)
        assert "3 of 3 outer folds (stratified), 48 cases" in text


def test_what_is_to_be_printed_is_there(said: dict[str, list[str]], place: Path):
    run = place / "runs/features"
    appendix = (run / "report/report.md").read_text()
    assert "CLAIM 2024" in appendix
    assert "TRIPOD+AI" in appendix
    assert "Apache-2.0" in appendix
    assert "ImageNet-1k" in appendix
    assert list((run / "report/tables").glob("*.tex"))
    assert json.loads((run / "summary.json").read_text())["sentence"].split(" (")[0] in appendix


def test_the_other_hospital_trained_nothing(said: dict[str, list[str]], place: Path):
    records = place / "runs/features/records"
    external = json.loads((records / "external.json").read_text())
    assert external["after"] == 3, "all outer folds were tested before these cases were named"
    assert len(list((records / "evaluate/external").glob("fold_*.json"))) == 3


def test_the_narrowest_interval_is_the_one_of_the_page_and_stands_in_the_audit(
    said: dict[str, list[str]], place: Path
):
    (half,) = re.findall(r"an AUC of 0\.8 has a 95 % interval of ± (0\.\d+) or wider", TEXT)
    assert float(half) == pytest.approx(auc_width(150, 150, 0.8) / 2, abs=5e-4)
    found = json.loads(next((place / "audit").glob("*.json")).read_text())
    assert "The narrowest intervals" in json.dumps(found)
