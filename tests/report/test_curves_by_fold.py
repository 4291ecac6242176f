"""Every ROC and precision-recall curve bears the number of its outer fold, whichever of them are drawn."""

from __future__ import annotations

import csv

import pytest

from nachos_jax.report.page import page
from tests.report.task_cases import LABELS

pytestmark = pytest.mark.usefixtures("all_unpainted")  # pictures are for test_figures


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"tested": (0, 3)}, {0, 3}),
        ({"single_class_fold": 2, "classes": ("benign", "malignant")}, {0, 1, 3, 4}),
        ({"diverged_refit": 1, "classes": ("benign", "malignant")}, {0, 2, 3, 4}),
        ({"tested": (1, 4), **LABELS}, {1, 4}),
    ],
)
@pytest.mark.parametrize("figure", ["roc", "precision_recall"])
def test_curves_are_named_after_their_outer_folds(make_run, figure: str, changes: dict, wanted: set[int]):
    directory = make_run(settings=(("replicates", 200),), **changes)
    page.write(directory.path)
    with open(directory.path / f"report/figures/{figure}.csv", newline="") as file:
        found = {row["curve"] for row in csv.DictReader(file)} - {"mean", "prevalence"}
    if figure == "precision_recall" and "single_class_fold" in changes:
        wanted = wanted | {2}  # of cases that are all positive precision is defined
    assert found == {f"outer fold {fold}" for fold in wanted}
