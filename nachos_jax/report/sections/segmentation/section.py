"""The report on masks: overlap of every class, case by case, and volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.metrics import overlap
from nachos_jax.records.schema import OuterTest
from nachos_jax.report.figures.drawing import Drawing
from nachos_jax.report.figures.rows import Row, ends, forest
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.sections.section import Parts, Section, Summary, Tables, Words
from nachos_jax.report.sections.segmentation import classes, final
from nachos_jax.report.sections.segmentation.figures import cases_by_class, dice_against_volume

HARD = 5
"""Cases with the lowest Dice that the page names."""


class _Segmentation(Section):
    words = Words(
        noun="mask",
        kinds="classes",
        each="each class",
        setting="config.data.classes",
        counts="cases with each class",
        strata="the classes of a case, or fifths of their volume",
        purpose="segment images",
        output="The output is a class for every pixel or voxel: the likeliest one, or the background.",
        loss="The loss is the mixture that each trial names, over patches.",
        predicted="volumes of agreement and error of the mask, seen in tiles of the whole case",
        absent="None of them has %s: in mean Dice and mean IoU that counts as 1 in a case where nothing of "
        "it is predicted, and as 0 otherwise.",
    )
    figures = ("classes", "dice", "volumes")
    also = ("mean_iou",)
    facts = "segmentation/facts.j2"
    averaged = False

    def metrics(self, _run: Mapping[str, Any]) -> Any:
        return overlap

    def outcome(self, arrays: Mapping[str, np.ndarray], names: int) -> tuple[np.ndarray, np.ndarray]:
        """Reference volumes [n, K] and those of agreement and error [n, K, 3], float64."""
        truth, predicted = (arrays[key].astype(np.float64) for key in ("reference", "volumes"))
        return truth.reshape(-1, names), predicted.reshape(-1, names, 3)

    def recorded(self, truth: np.ndarray, predicted: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"reference": truth, "volumes": predicted}

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """[n, K, 3] float64 of [n, 3 K + 1], whose last column is the loss."""
        if not len(outputs):  # of no case nobody knows how many numbers were kept
            return np.zeros((0, outputs.shape[1], 3))
        kept = outputs.shape[1] // 3 * 3
        return outputs[:, :kept].astype(np.float64).reshape(len(outputs), -1, 3)

    def amounts(self, predicted: np.ndarray) -> np.ndarray:
        """Predicted volumes [n, K]."""
        return overlap.volumes(predicted)

    def told(self, truth: np.ndarray, names: Sequence[str]) -> list[str]:
        """The classes of each case with their reference volumes, by which runs know that masks differ."""
        return [
            "; ".join(f"{name} {one:.12g}" for name, one in zip(names, row, strict=True) if one > 0)
            for row in truth.tolist()
        ]

    def unit(self, name: str, names: Sequence[str]) -> str:  # noqa: ARG002
        """Volumes are in the unit that the table of classes tells."""
        return " in the unit of the volumes" if name == "volume_error" else ""

    def observed(self, evidence: Evidence, name: str) -> str:
        return f"Mean volume of {name} in {classes.unit(evidence)}"

    def group(self, truth: np.ndarray, cases: np.ndarray, names: Sequence[str]) -> dict[str, int]:
        return {name: len(set(cases[truth[:, i] > 0].tolist())) for i, name in enumerate(names)}

    def numbers(self, evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
        return {
            **super().numbers(evidence, estimates),
            "per_class": classes.numbers(evidence, estimates),
            "hardest": _hardest(estimates),
            **_final(evidence),
        }

    def extent(self, summary: Summary) -> str:
        count = len(summary["data"]["classes"])
        return f"{count:,} {'class' if count == 1 else 'classes'} beside the background"

    def data_rows(self, summary: Summary) -> list[tuple[str, str]]:
        counts = ", ".join(f"{name} {n:,}" for name, n in summary["data"]["counts"].items())
        return [("Classes, with cases that have them", counts)]

    def columns(self, names: Sequence[str]) -> list[str]:
        return ["dice", *(f"{kind}_{name}" for name in names for kind in ("dice", "reference", "predicted"))]

    def rows(self, truth: np.ndarray, predicted: np.ndarray, _names: Sequence[str]) -> list[list[Any]]:
        """Mean Dice, and of each class Dice, reference and predicted volume; None where the refit met NaN."""
        dice, made, found = overlap.dice(predicted), overlap.volumes(predicted), []
        whole = np.asarray(np.isfinite(predicted).all(axis=(1, 2)))
        for row, known in enumerate(whole.tolist()):
            cells = [float(dice[row].mean()) if known else None]
            for k in range(truth.shape[1]):
                own = (float(dice[row, k]), float(made[row, k])) if known else (None, None)
                cells += [own[0], float(truth[row, k]), own[1]]
            found.append(cells)
        return found

    def pictured(self, test: OuterTest, row: int, names: Sequence[str]) -> dict[str, Any]:
        """Mean Dice, and that of each class, as they were recorded."""
        _, predicted = self.outcome(test.arrays, len(names))
        dice = overlap.dice(predicted[row : row + 1])[0]
        by_class = dict(zip(names, dice.tolist(), strict=True))
        return {**super().pictured(test, row, names), "dice": float(dice.mean()), "classes": by_class}

    def parts(self, summary: Summary) -> Parts:
        context = {"classes": classes.grid(summary), "hardest": summary["hardest"]}
        context |= {"final": final.grid(summary), "measured": classes.noun(summary)}
        return Parts("segmentation/page.html.j2", context)

    def drawings(self, evidence: Evidence, estimates: Estimates, summary: Summary) -> Sequence[Drawing]:
        """Dice of each class with its interval, case by case, and against its volume."""
        if not len(estimates.truth):
            return []
        rows = [
            Row("", name, row["cases"], None, row["dice"]["mean"], *ends(row["dice"]["interval"]))
            for name, row in summary["per_class"]["classes"].items()
        ]
        dice = overlap.dice(estimates.predicted)
        noun = classes.noun(summary)
        told = evidence.classes, classes.unit(evidence), noun
        return [
            lambda: cases_by_class("dice", dice, estimates.cases.folds, evidence.classes, noun),
            lambda: dice_against_volume("volumes", dice, estimates.truth, *told),
            lambda: forest("classes", rows, None, "Dice", (0.0, 1.0)),
        ]

    def tables(self, summary: Summary) -> Tables:
        found = {"Classes": classes.grid(summary), "Final masks": final.grid(summary)}
        return Tables({title: [grid] for title, grid in found.items() if grid})


def _final(evidence: Evidence) -> dict[str, Any]:
    found = final.numbers(evidence)
    return {"final_masks": found} if found else {}


def _hardest(estimates: Estimates) -> list[dict[str, Any]]:
    """The cases with the lowest mean Dice, the lowest first; of several repeats by their worst prediction."""
    if not len(estimates.truth):
        return []
    dice = overlap.dice(estimates.predicted).mean(axis=1)
    order = np.lexsort((estimates.names, dice))
    _, worst = np.unique(estimates.names[order], return_index=True)
    return [
        {
            "case": str(estimates.names[row]),
            "outer_fold": int(estimates.cases.folds[row]),
            "dice": float(dice[row]),
        }
        for row in order[np.sort(worst)[:HARD]]
    ]


SECTION = _Segmentation()
