"""A part of a cohort is the cohort that reading these cases alone would have given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import masks, sources
from nachos_jax.data.table import Cohort
from nachos_jax.tasks import classification, multilabel, regression, segmentation
from tests.masks import PLAIN, pairs, source

CASES = 20
KEPT = ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 4, 7, 8, 11, 13, 14, 16, 19])
"""Rows that follow one another, and rows that do not."""
TASKS = {"label": classification.TASK, "amount": regression.TASK}
Make = Callable[..., DataConfig]


def written(path: Path, rows: Sequence[int]) -> Path:
    """A table of vectors with labels, numbers, sites, folds and a column for subgroups."""
    draw = np.random.default_rng(5)
    values = draw.normal(0, 1, (CASES, 3))
    lines = ["case,label,amount,edema,mass,subject,site,fold,sex,f1,f2,f3"]
    for row in rows:
        known = ("" if row % 4 == 3 else row % 2, int(row % 5 < 2))
        who = f"p{row:02d},{'ABC'[row % 3]},{row % 2},{'fm'[row % 5 % 2]}"
        cells = (f"c{row:02d}", "xy"[row % 2], 0.25 * row, *known, who, *values[row])
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def same(found: Cohort, wanted: Cohort) -> None:
    assert found.hash == wanted.hash
    assert (found.targets.facts, found.targets.names) == (wanted.targets.facts, wanted.targets.names)
    assert found.targets.strata.names == wanted.targets.strata.names
    assert found.targets.ordered == wanted.targets.ordered
    np.testing.assert_array_equal(found.targets.strata.numbers, wanted.targets.strata.numbers)
    for name in ("values", "has"):
        np.testing.assert_array_equal(getattr(found.targets, name), getattr(wanted.targets, name))
    for name in ("names", "subjects", "sites", "folds"):
        np.testing.assert_array_equal(getattr(found.table, name), getattr(wanted.table, name))
    assert {k: v.tolist() for k, v in found.table.columns.items()} == {
        k: v.tolist() for k, v in wanted.table.columns.items()
    }
    all_rows = np.arange(len(wanted.table), dtype=np.int32)
    jax.tree.map(np.testing.assert_array_equal, found.store.rows(all_rows), wanted.store.rows(all_rows))
    ours, theirs = (one.store.sums().mean_sd(np.ones(len(all_rows), bool)) for one in (found, wanted))
    np.testing.assert_array_equal(ours, theirs)


def taken(cohort: Cohort, task: Any, rows: Sequence[int]) -> Cohort:
    chosen = np.asarray(rows)
    return cohort.take(chosen, task.part(cohort.targets, chosen))


@pytest.mark.parametrize("rows", KEPT)
@pytest.mark.parametrize("what", ["label", "amount", "several"])
def test_vectors(config: Make, tmp_path: Path, what: str, rows: list[int]):
    keys: dict[str, Any] = {"label_key": what} if what in TASKS else {"target_keys": ("edema", "mass")}
    data = config(source="vectors", features=("f*",), fold_key="fold", columns=("sex",), **keys)
    task = TASKS.get(what, multilabel.TASK)
    of = [
        sources.load(replace(data, path=str(written(tmp_path / f"{number}.csv", lines))), task)
        for number, lines in enumerate((range(CASES), rows))
    ]
    same(taken(of[0], task, rows), of[1])


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [0, 3, 4, 5]])
def test_images(config: Make, table: Callable[..., Path], rows: list[int]):
    lines = [f"{number}.png,{'ab'[number % 2]},p{number},s{number % 2}" for number in range(6)]
    header = "path,label,subject,site"
    whole, part = (
        sources.load(
            config(source="csv", path=str(table("\n".join([header, *(lines[i] for i in of)])))),
            classification.TASK,
        )
        for of in (range(6), rows)
    )
    same(taken(whole, classification.TASK, rows), part)


def test_masks():
    of, rows = pairs(), [0, 2, 3, 7]
    whole = source(of)
    columns = whole.columns
    names, subjects = ([getattr(columns, name)[row] for row in rows] for name in ("names", "subjects"))
    columns = replace(columns, folds=None)
    part = replace(columns, names=names, subjects=subjects)
    kept = [of[row] for row in rows]
    alone = masks.MaskSource(part, whole.where, lambda: kept.__getitem__)
    found = masks.cohort(replace(whole, columns=columns), PLAIN, segmentation.TASK)
    same(taken(found, segmentation.TASK, rows), masks.cohort(alone, PLAIN, segmentation.TASK))


def test_what_is_left_must_be_something_to_learn_from(config: Make, tmp_path: Path):
    data = config(source="vectors", features=("f*",), path=str(written(tmp_path / "a.csv", range(CASES))))
    labels = sources.load(replace(data, label_key="label"), classification.TASK)
    with pytest.raises(UsageError, match="no case of class 'y' is left"):
        taken(labels, classification.TASK, [0, 2, 4])
    numbers = sources.load(replace(data, label_key="amount"), regression.TASK)
    with pytest.raises(UsageError, match="nothing to predict"):
        taken(numbers, regression.TASK, [3])
