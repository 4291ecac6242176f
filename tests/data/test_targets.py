"""Targets on their way from the arrays of a source to the cohort, of every task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.data.arrays import ArrayCases, cohort
from nachos_jax.data.columns import target_texts
from nachos_jax.tasks import classification, multilabel, regression

IMAGES = np.zeros((4, 5, 6), np.uint8)
LABELS = np.array([[1, 0], [0, 1], [np.nan, 1], [1, 0]])
NUMBERS = np.array([0.1, -3.0, 1e-9, 1 / 3])


def of(targets, task, names=()):
    return cohort(ArrayCases(IMAGES, targets, names=names, one_case_per_subject=True), task.TASK)


def test_numbers_come_back_exactly():
    found = of(NUMBERS, regression)
    np.testing.assert_array_equal(found.targets.values, NUMBERS)
    assert found.targets.task == "regression"
    assert of(NUMBERS + 1, regression).hash != found.hash


def test_labels_come_with_their_names():
    found = of(LABELS, multilabel, ("mass", "oedema"))
    np.testing.assert_array_equal(found.targets.values, LABELS)
    assert found.targets.names == ("mass", "oedema")
    assert of(LABELS, multilabel).targets.names == ("label_0", "label_1")
    other = np.where(np.isnan(LABELS), 0, LABELS)
    assert of(other, multilabel, ("mass", "oedema")).hash != found.hash, "unknown is not absent"


def test_the_task_is_part_of_the_hash():
    numbers = np.array([0, 1, 0, 1])
    assert of(numbers, classification).hash != of(numbers, regression).hash


def test_an_array_file_may_hold_any_of_them(config: Callable[..., DataConfig], tmp_path: Path):
    names = np.array(["mass", "oedema"])
    np.savez(tmp_path / "x.npz", images=IMAGES, labels=LABELS, label_names=names, age=NUMBERS)
    path = str(tmp_path / "x.npz")
    labels = sources.load(config(path=path, subject=WAIVER), multilabel.TASK).targets
    assert labels.names == ("mass", "oedema")
    np.testing.assert_array_equal(labels.values, LABELS)
    age = sources.load(config(path=path, subject=WAIVER, label_key="age"), regression.TASK).targets
    assert age.names == ("age",)
    np.testing.assert_array_equal(age.values, NUMBERS)


def test_cells_of_arrays():
    assert target_texts(np.array([[1], [0]], bool), "y", (), "x") == {"y": ["1", "0"]}
    assert target_texts(np.array([1.0, 0.1, np.nan]), "y", (), "x") == {"y": ["1", "0.1", "nan"]}
    assert target_texts(np.array([b" a ", b"b"]), "y", (), "x") == {"y": ["a", "b"]}
    two = np.array([[1, 0], [0, 1]])
    assert target_texts(two, "y", ("p", "q"), "x") == {"p": ["1", "0"], "q": ["0", "1"]}
    assert list(target_texts(two, "y", ("p",), "x")) == ["y_0", "y_1"]
    with pytest.raises(UsageError, match=r"x: the labels have shape \(2, 2, 1\)"):
        target_texts(two[..., None], "y", (), "x")


def test_a_part_of_the_targets_keeps_all_that_belongs_to_a_case():
    every = of(np.array(["a", "b", "b", "c"]), classification).targets
    assert (len(every), every.counts(), every.texts()) == (4, {"a": 1, "b": 2, "c": 1}, ["a", "b", "b", "c"])
    for chosen in (np.array([3, 1]), np.array([False, True, False, True])):
        part = every.of(chosen)
        assert part.names == ("a", "b", "c")
        np.testing.assert_array_equal(part.values, every.values[chosen])
        np.testing.assert_array_equal(part.has, every.has[chosen])
        np.testing.assert_array_equal(part.strata.numbers, every.strata.numbers[chosen])
        assert part.on_device.dtype == np.int32


def test_class_names_that_nothing_reads_are_refused(config: Callable[..., DataConfig], tmp_path: Path):
    np.savez(
        tmp_path / "x.npz",
        images=IMAGES,
        labels=np.array([0, 1, 0, 1]),
        tall=np.array([0, 1, 0, 1]),
        names=np.array(["no", "yes"]),
    )
    several = config(
        path=str(tmp_path / "x.npz"), subject=WAIVER, label_names_key="names", target_keys=("tall",)
    )
    with pytest.raises(UsageError, match="label_names_key = 'names' does nothing here: .*has several"):
        sources.load(several, classification.TASK)
    (tmp_path / "x.csv").write_text("path,label,subject\n")
    table = config(source="csv", path=str(tmp_path / "x.csv"), label_names_key="names")
    with pytest.raises(UsageError, match="it is for npz files. Set it back to 'label_names'"):
        sources.load(table, classification.TASK)
