"""The final masks: what each study chose for them on its inner folds, and what that came to outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics import overlap
from nachos_jax.metrics.contract import SHARE
from nachos_jax.records.mask_choice import MaskChoice
from nachos_jax.report.appendix.grid import Cell, Grid, plain
from nachos_jax.report.numbers.estimates import mean_over_folds
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import number
from nachos_jax.report.words.phrases import span

DIFFERENCE = (-1.0, 1.0)
"""Between two values of Dice."""


def numbers(evidence: Evidence) -> dict[str, Any] | None:
    """Mean Dice of the final masks, of those of the selected configuration alone, and the difference.

    All of masks made in windows that overlap; beside them what each study chose. None of a run that chose
    nothing.
    """
    tests = evidence.tests
    if not evidence.final or not all("final_volumes" in test.arrays for test in tests.values()):
        return None
    final, alone = (
        {
            fold: _mean(test.arrays[key], len(evidence.classes)) if fold in evidence.whole else None
            for fold, test in tests.items()
        }
        for key in ("final_volumes", "window_volumes")
    )
    gain = {
        fold: None if value is None or alone[fold] is None else value - alone[fold]  # pyrefly: ignore[unsupported-operation]
        for fold, value in final.items()
    }
    return {
        "dice": _over_folds(evidence, final, SHARE),
        "alone": _over_folds(evidence, alone, SHARE),
        "gain": _over_folds(evidence, gain, DIFFERENCE),
        "studies": {str(fold): _told(choice, evidence.classes) for fold, choice in evidence.final.items()},
    }


def grid(summary: Mapping[str, Any]) -> Grid | None:
    """What each study chose; None where none did."""
    found = summary.get("final_masks")
    if not found:
        return None
    rows = tuple(
        (
            Cell(fold),
            Cell(", ".join(map(str, study["trials"]))),
            Cell(study["largest"] or "none"),
            *plain([f"{study['cases']:,}", number(study["before"], 3), number(study["after"], 3)]),
        )
        for fold, study in found["studies"].items()
    )
    header = ("Outer fold", "Trials", "Largest component", "Inner cases", "Dice before", "after")
    caption = (
        f"Final masks: mean Dice {_number(found['dice'])}, of the selected trial alone "
        f"{_number(found['alone'])}, difference {_number(found['gain'])} (corrected t over outer folds; all "
        "of masks made in windows that overlap). The trials that make a mask together, and the classes of "
        "which it keeps the largest component alone, were chosen in each study by its inner folds; Dice "
        "before and after is of those and no estimate."
    )
    return Grid("final", caption, header, rows, words=3)


def _mean(volumes: np.ndarray, classes: int) -> float | None:
    """Mean Dice over the cases and classes of a fold; None where a fit met NaN."""
    dice = overlap.dice(volumes.reshape(-1, classes, 3))
    return float(dice.mean()) if np.isfinite(dice).all() else None


def _over_folds(
    evidence: Evidence, by_fold: Mapping[int, float | None], bounds: tuple[float, float]
) -> dict[str, Any]:
    found, interval = mean_over_folds(evidence, list(by_fold.values()), bounds)
    folds = {str(fold): value for fold, value in by_fold.items()}
    return {"folds": folds, **found, "interval": asdict(interval)}


def _told(choice: MaskChoice, names: Sequence[str]) -> dict[str, Any]:
    kept = ["all classes as one"] if choice.together else []
    kept += [names[number - 1] for number in choice.classes]
    before, after = (float(np.mean(dice)) if dice else None for dice in (choice.before, choice.after))
    return {
        "trials": list(choice.trials),
        "largest": "; ".join(kept),
        "cases": choice.cases,
        "before": before,
        "after": after,
    }


def _number(found: Mapping[str, Any]) -> str:
    return f"{number(found['mean'], 3)} ({span(found['interval'])})"
