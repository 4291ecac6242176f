"""The scripts of ../shared/cases through the command line."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.case_inputs import READY, P, Tried, says
from tests.cli.conftest import ROOT
from tests.tiers import mostly_thorough

SCRIPTS = ROOT / "../shared/cases"

# --- the scripts themselves -------------------------------------------------------------------------

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


@mostly_thorough(("script", "call", "parts"), SHARED, kept=6, ids=[" ".join(row[0]) for row in SHARED])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_shared_case(
    script: list[str], call: tuple[str, ...], parts: list[str], make: Callable, tried: Tried
):
    make(*script)
    says(tried(*call), *parts)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_shared_stale_cache(make: Callable, tried: Tried):
    for version in ("1", "2"):
        make("stale_cache", version)
        says(tried("csv", "in/cases.csv", workdir=f"run{version}"), READY)
    assert "have changed since its first run" in tried("csv", "in/cases.csv", workdir="run1")
