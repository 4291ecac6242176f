"""Small folders as hospitals send them, and `nachos init` as people call it."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nachos_jax.cli.config_file import load
from nachos_jax.cli.main import main
from nachos_jax.cli.parsing import run_config

SMALL = (
    *("--config.search.trials=1", "--config.folds.count=3", "--config.training.epochs=1"),
    *("--config.model.cnn.stages=1", "--config.model.cnn.width=4", "--config.training.batch_size=4"),
    *("--config.engine.packing=map", "--config.engine.convolution=custom", "--config.report.replicates=200"),
)


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs `nachos` in a folder of its own: exit code, and all that it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*words: str) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = main(["nachos", *words])
        return code, out.getvalue()

    return call


def picture(path: Path, case: int, side: int = 8) -> Path:
    """A gray PNG; a bright square tells odd cases."""
    pixels = np.random.default_rng([1, case]).normal(90, 20, (side, side))
    pixels[2:6, 2:6] += 90 * (case % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], **how: str) -> Path:
    """A CSV file; `how` gives delimiter and encoding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding=how.get("encoding", "utf-8"), newline="") as file:
        writer = csv.writer(file, delimiter=how.get("delimiter", ","))
        writer.writerows([header, *rows])
    return path


def cases(folder: Path) -> list[dict[str, str]]:
    """The rows of cases.csv."""
    with open(folder / "cases.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def config(folder: Path) -> Any:
    """The ConfigDict of config.py, checked as a run would."""
    values = load(str(folder / "config.py"))
    run_config(values)
    return values


def taken(text: str, *lines: str) -> str:
    """A config with the lines that begin so uncommented; every one must be there."""
    for line in lines:
        text, count = re.subn(rf"^    # ({re.escape(line)})", r"    \1", text, flags=re.MULTILINE)
        assert count == 1, line
    Path("o/other.py").write_text(text, encoding="utf-8")
    return "--config=o/other.py"
