"""What is told of masks: what several repeats count, no case twice, and what empty masks are worth."""

from __future__ import annotations

import numpy as np
import pytest

from nachos_jax.metrics import overlap
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.page import page
from nachos_jax.report.reading import evidence as records
from nachos_jax.report.sections.segmentation import classes
from tests.report.task_cases import MASKS

pytestmark = pytest.mark.usefixtures("all_unpainted")  # pictures are for test_figures


@pytest.mark.parametrize("repeats", [1, 2])
def test_what_is_counted_of_masks_is_named(make_run, repeats: int):
    run = make_run(**MASKS, folds=3, repeats=repeats, inner=False, settings=(("replicates", 200),))
    text = " ".join(page.write(run.path).read_text().split())
    noun, several = ("case", False) if repeats == 1 else ("prediction", True)
    assert f"Dice of {240 * repeats} {noun}s by class, out of fold" in text
    assert f"Dice against reference volume of {240 * repeats} {noun}s" in text
    assert f"Dice of every {noun}." in text
    assert ("Empty, right (predictions)" in text) == ("Missed (predictions)" in text) == several
    appendix = (run.path / "report/report.md").read_text()
    assert ("Missed: predictions of cases that have the class" in appendix) == several
    assert ("Lowest mean Dice, of each case that of its worst prediction:" in text) == several


def test_the_table_of_classes_tells_what_two_empty_masks_count_as_in_mm(make_run):
    summary = summarise(records.read(make_run(**MASKS, folds=3, inner=False)))
    for row in summary["per_class"]["classes"].values():
        row.update(dict.fromkeys(("window_dice", "hd95", "nsd"), row["dice"]))
    table = classes.grid(summary)
    assert table is not None
    assert "has an overlap of 1 where nothing is predicted" in table.caption
    assert (
        "two empty masks count as 0 and as 1, one of two as the diagonal of the case and as 0."
        in table.caption
    )


def test_the_hardest_cases_are_different_ones_each_by_its_worst_prediction(make_run):
    evidence = records.read(make_run(**MASKS, folds=3, repeats=2, inner=False))
    estimates = Estimates(evidence)
    dice = overlap.dice(estimates.predicted).mean(axis=1)
    worst = {str(name): float(dice[estimates.names == name].min()) for name in np.unique(estimates.names)}
    found = summarise(evidence)["hardest"]
    assert {row["case"]: row["dice"] for row in found} == dict(
        sorted(worst.items(), key=lambda of: of[1])[:5]
    )
    assert [row["dice"] for row in found] == sorted(row["dice"] for row in found)
    for row in found:
        rows = (estimates.names == row["case"]) & (estimates.cases.folds == row["outer_fold"])
        assert dice[rows] == [row["dice"]]
