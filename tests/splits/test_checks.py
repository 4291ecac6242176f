"""The sentences on folds: leakage is refused, weak folds are named, sound ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.splits import checks
from nachos_jax.splits.checks import check_leakage
from nachos_jax.splits.folds import Folds

CLASSES = ("normal", "pneumonia")


def warnings(
    folds: Folds, labels: np.ndarray, names: tuple[str, ...], sites: np.ndarray | None = None
) -> list[str]:
    """Those of a classification."""
    return checks.warnings(folds, np.eye(len(names), dtype=bool)[labels], names, "class", sites)


def test_a_subject_in_two_folds_is_named() -> None:
    folds = Folds(np.array([[0, 0, 1, 1], [2, 3, 3, 2]]), 2, 2)
    check_leakage(folds, np.array(["a", "b", "c", "d"]))
    with pytest.raises(UsageError, match="Subject 'b' has cases in folds 0, 1"):
        check_leakage(folds, np.array(["a", "b", "b", "d"]))
    with pytest.raises(UsageError, match="Subject 'a' has cases in folds 2, 3"):
        check_leakage(folds, np.array(["a", "a", "c", "d"]))


def test_sound_folds_give_no_warning() -> None:
    folds = Folds(np.repeat(np.arange(3), 20)[None], 3)
    assert warnings(folds, np.arange(60) % 2, CLASSES) == []


def test_small_folds_are_named() -> None:
    folds = Folds(np.repeat([0, 1, 2], [20, 9, 10])[None], 3)
    assert warnings(folds, np.arange(39) % 2, CLASSES) == [
        "Fold 1 holds only 9 cases: each is 11 % of its score."
    ]


def test_classes_that_some_fold_lacks_are_named_with_the_site() -> None:
    sites = np.repeat(["bonn", "lima", "york", "zama"], 20)
    labels = np.where(sites == "lima", 0, np.arange(80) % 2)
    folds = Folds(np.repeat(np.arange(4), 20)[None], 4)
    assert warnings(folds, labels, CLASSES, sites) == [
        "Fold 1 (site lima) holds no case of class 'pneumonia': metrics of this class are undefined there."
    ]


@pytest.mark.parametrize(
    ("holders", "where"),
    [((2,), "fold 2: fits that leave it out"), ((0, 2), "fold 0 and fold 2: fits that leave out both")],
)
def test_classes_that_some_fit_never_sees_are_named(holders: tuple[int, ...], where: str) -> None:
    row = np.repeat(np.arange(4), 20)
    labels = np.where(np.isin(row, holders), np.arange(80) % 2, 0)
    folds = Folds(row[None], 4)
    unseen = [text for text in warnings(folds, labels, CLASSES) if "never see" in text]
    assert unseen == [f"Class 'pneumonia' lies wholly in {where} never see this class."]
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4) if not labels[folds.training((i, j))].any()]
    assert pairs, "the warning must be true of some fit"


def test_two_folds_that_both_hold_a_class_are_sound() -> None:
    folds = Folds(np.repeat(np.arange(2), 20)[None], 2)
    assert warnings(folds, np.arange(40) % 2, CLASSES) == []


def test_labels_are_called_labels_and_a_case_may_have_several_or_none() -> None:
    row = np.repeat(np.arange(4), 20)
    has = np.stack([np.ones(80, bool), (row == 1) | (row == 2), row == 3, np.arange(80) % 3 > 0], axis=1)
    texts = checks.warnings(Folds(row[None], 4), has, ("opacity", "mass", "hernia", "oedema"), "label")
    assert [text for text in texts if "undefined" in text] == [
        f"Fold {fold} holds no case of label {name!r}: metrics of this label are undefined there."
        for fold, name in ((0, "mass"), (0, "hernia"), (1, "hernia"), (2, "hernia"), (3, "mass"))
    ]
    assert [text for text in texts if "never see" in text] == [
        "Label 'mass' lies wholly in fold 1 and fold 2: fits that leave out both never see this label.",
        "Label 'hernia' lies wholly in fold 3: fits that leave it out never see this label.",
    ]


def test_of_a_number_only_small_folds_are_named() -> None:
    folds = Folds(np.repeat([0, 1, 2], [20, 9, 10])[None], 3)
    found = checks.warnings(folds, np.zeros((39, 0), bool), ("age",), "class")
    assert len(found) == 1
    assert found[0].startswith("Fold 1 holds only 9 cases")


def test_warnings_agree_with_a_plain_loop_on_real_sites(shared_data: Path) -> None:
    with np.load(shared_data / "cxr_covid_multisite.npz") as file:
        labels, sites, classes = file["labels"], file["site"], tuple(file["label_names"].tolist())
    names, numbers = np.unique(sites, return_inverse=True)
    folds = Folds(numbers[None], len(names))
    texts = warnings(folds, labels, classes, sites)
    for fold, site in enumerate(names.tolist()):
        for number, name in enumerate(classes):
            missing = not (labels[sites == site] == number).any()
            sentence = f"Fold {fold} (site {site}) holds no case of class {name!r}"
            assert any(text.startswith(sentence) for text in texts) == missing
    for number, name in enumerate(classes):
        never = any(
            not (labels[folds.training((i, j))] == number).any() for i in range(5) for j in range(i + 1, 5)
        )
        assert any(text.startswith(f"Class {name!r} lies wholly in") for text in texts) == never
