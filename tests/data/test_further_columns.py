"""Columns beside label, subject, site and fold: read as they are, and of no influence on the cohort."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nachos_jax
from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.tasks.classification import TASK

Config = Callable[..., DataConfig]
CSV = "path,label,subject,sex,age\n0.png,a,s,f,40\n1.png,b,t,,7.5\n2.png,b,u,m,\n"


def test_of_a_csv(config: Config, table: Callable[..., Path]):
    path = str(table(CSV))
    plain = sources.load(config(source="csv", path=path), TASK)
    cohort = sources.load(config(source="csv", path=path, columns=("age", "sex")), TASK)
    assert {name: cells.tolist() for name, cells in cohort.table.columns.items()} == {
        "age": ["40", "7.5", ""],
        "sex": ["f", "", "m"],
    }
    assert cohort.hash == plain.hash, "they may be added to a finished run"
    with pytest.raises(UsageError, match=r"no column 'sx'.*config\.report\.subgroups.*'sex'"):
        sources.load(config(source="csv", path=path, columns=("sx",)), TASK)


def test_of_an_npz_with_parts(config: Config, tmp_path: Path):
    images, path = np.zeros((4, 5, 5), np.uint8), tmp_path / "x.npz"
    parts = {"train": slice(0, 3), "test": slice(3, 4)}
    age = np.array([1.5, np.nan, 70.0, 3.0])
    arrays = {
        "images": images + np.arange(4, dtype=np.uint8)[:, None, None],
        "labels": np.arange(4) % 2,
        "age": age,
    }
    of_parts: dict[str, Any] = {
        f"{part}_{name}": a[rows] for part, rows in parts.items() for name, a in arrays.items()
    }
    np.savez(path, **of_parts)
    cohort = sources.load(config(path=str(path), subject=WAIVER, columns=("age",)), TASK)
    assert cohort.table.columns["age"].tolist() == ["1.5", "", "70", "3"]
    with pytest.raises(UsageError, match=r"no array 'train_sex'.*config\.report\.subgroups"):
        sources.load(config(path=str(path), subject=WAIVER, columns=("sex",)), TASK)


def test_of_arrays():
    cohort = nachos_jax.cohort_from_arrays(
        np.zeros((3, 4, 4), np.uint8), np.array(["a", "b", "b"]), subjects=np.arange(3)
    )
    more = nachos_jax.with_columns(
        cohort, {"age": np.array([1.0, np.nan, 2.25]), "sex": np.array(["f", "m", ""])}
    )
    assert more.table.columns["age"].tolist() == ["1", "", "2.25"]
    assert more.table.columns["sex"].tolist() == ["f", "m", ""]
    assert (more.hash, dict(cohort.table.columns)) == (cohort.hash, {})
    with pytest.raises(UsageError, match=r"'age' has shape \(2,\) for 3 cases"):
        nachos_jax.with_columns(cohort, {"age": np.zeros(2)})
    with pytest.raises(UsageError, match="one value"):
        nachos_jax.with_columns(cohort, {"age": np.zeros((3, 2))})
