"""A run over a part of the subjects is that of the part alone, and says in every place that it is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data import subset
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.report.page import page
from tests import tiny


def _config(folder: Path, rows: np.ndarray, name: str, **fields: Any):
    images, labels, folds = tiny.arrays()
    subjects = np.asarray([f"s{i // 2:02d}" for i in range(tiny.CASES)])
    arrays = {"images": images, "labels": labels, "subject": subjects, "fold": folds}
    chosen: Any = {key: values[rows] for key, values in arrays.items()}
    np.savez(folder / f"{name}.npz", **chosen)
    place = {"data__path": str(folder / f"{name}.npz"), "data__cache": str(folder / "cache")}
    return tiny.run_config(data__source="npz", search__trials=1, **place, **fields)


def test_a_part_is_the_cohort_of_its_rows(tmp_path: Path):
    every = np.arange(tiny.CASES)
    run = open_run(_config(tmp_path, every, "all", data__subset=0.5), str(tmp_path / "run"), "evaluate")
    whole = open_run(_config(tmp_path, every, "all"), str(tmp_path / "whole"), "evaluate")
    rows = subset.rows(whole.cohort.table.subjects, whole.cohort.targets.strata.numbers, 0.5, run.config.seed)
    assert len(run.cohort.table) == len(rows) == tiny.CASES // 2
    assert run.cohort.table.names.tolist() == whole.cohort.table.names[rows].tolist()
    np.testing.assert_array_equal(run.cohort.store.rows(np.arange(len(rows))), whole.cohort.store.rows(rows))
    assert run.cohort.hash != whole.cohort.hash
    assert any("only 24 of 48 subjects take part" in text for text in run.warnings)


@pytest.mark.thorough
def test_the_report_says_that_it_is_a_part(tmp_path: Path):
    run = _config(tmp_path, np.arange(tiny.CASES), "all", data__subset=0.75, training__epochs=1)
    evaluate(run, str(tmp_path / "run"), quiet=True)
    shown = page.write(tmp_path / "run").read_text()
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert any("only 36 of 48 subjects take part (72 of 96 cases)" in text for text in summary["caveats"])
    assert "only 36 of 48 subjects" in shown
    assert summary["data"]["cases"] == 72


def test_too_small_a_part_is_refused_with_the_share(tmp_path: Path):
    run = _config(tmp_path, np.arange(tiny.CASES) % 6 < 3, "some", data__subset=0.01)
    with pytest.raises(UsageError):
        open_run(run, str(tmp_path / "run"), "evaluate")
    divided = {"folds__scheme": "stratified", "folds__count": 4, "data__subset": 0.03}
    run = _config(tmp_path, np.arange(tiny.CASES), "all", **divided)
    with pytest.raises(UsageError, match=r"1 subject, too few for 4 folds.*raise config.data.subset = 0.03"):
        open_run(run, str(tmp_path / "run"), "evaluate")
