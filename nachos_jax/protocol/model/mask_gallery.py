"""Cases with the masks that the model of their outer fold gives them: the worst, the middle and the best one.

Files for people, made of records and pixels: they can be deleted, and the same `nachos evaluate` makes them
anew. Nothing is trained or chosen by them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.data.ragged import Ragged
from nachos_jax.metrics import overlap
from nachos_jax.protocol.model.gallery_files import FOLDER, INDEX, known, written
from nachos_jax.protocol.model.mask_pictures import picture
from nachos_jax.protocol.model.refits import refit_of
from nachos_jax.protocol.model.tested_masks import masks_of_store, of_fit
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records import own
from nachos_jax.records.store import dump, write_atomic
from nachos_jax.runtime import stopping

FORMAT, SHOWN = 1, 3
"""Of gallery.json, and how many cases: the worst, the middle and the best."""
NOTE = (
    "White lines are the reference, dotted ones the prediction, in the slices that hold most of the "
    "reference. These masks are made anew, in windows that overlap; the numbers are those of the test, in "
    "tiles that do not."
)


@dataclass(frozen=True)
class Shown:
    """A tested case."""

    row: int  # in the case table
    outer_fold: int  # that it was tested in
    fit: str  # id of the refit that predicted it
    dice: float  # mean over classes, as recorded


def write(run: Run, most: int = SHOWN) -> Path:
    """Writes explanations/NNN.png and explanations/gallery.json, whose path it returns.

    A gallery that is there and shows the same cases by the same fits is left alone.

    Raises:
        UsageError: a payload is missing or damaged.
    """
    tested = _tested(run)
    chosen = spread(tested, min(most, SHOWN))
    header = {
        "format": FORMAT,
        "tested": [test.outer_fold for test in run.store.tests()],
        "predictions": len(tested),
        "errors": 0,
        "note": NOTE,
    }
    folder = run.store.path / FOLDER
    facts = [_facts(run, case) for case in chosen]
    if known(folder, header, facts):
        return folder / INDEX
    items = []
    for number, (case, fact) in enumerate(zip(chosen, facts, strict=True), 1):
        stopping.check()
        data = _drawn(run, case)
        file = f"{number:03d}.png"
        write_atomic(folder / file, data)
        items.append({**fact, "file": file, "sha256": hashlib.sha256(data).hexdigest()})
    own.remove(folder, written(folder), {item["file"]: item["sha256"] for item in items})
    write_atomic(folder / INDEX, dump({**header, "items": items}))
    return folder / INDEX


def spread(tested: Sequence[Shown], most: int) -> list[Shown]:
    """So many cases from the lowest to the highest Dice, at even ranks; ties as in the case table."""
    ranked = sorted(tested, key=lambda case: (case.dice, case.row))
    if len(ranked) <= most:
        return ranked
    return [ranked[place] for place in np.linspace(0, len(ranked) - 1, most).round().astype(int)]


def _tested(run: Run) -> list[Shown]:
    """All cases with a prediction."""
    rows = {name: row for row, name in enumerate(run.cohort.table.names.tolist())}
    found = []
    for test in run.store.tests():
        dice = overlap.dice(test.arrays["volumes"]).mean(axis=1)
        found += [
            Shown(rows[case], test.outer_fold, test.fit, value)
            for case, value in zip(test.cases, dice.tolist(), strict=True)
            if np.isfinite(value)
        ]
    return found


def _facts(run: Run, case: Shown) -> dict[str, Any]:
    """What the records say of a case."""
    weights = refit_of(run, case).payload["weights.safetensors"]
    name = str(run.cohort.table.names[case.row])
    return {"case": name, "outer_fold": case.outer_fold, "fit": case.fit, "weights_sha256": weights}


def _drawn(run: Run, case: Shown) -> bytes:
    refit = refit_of(run, case)
    store = run.cohort.prepared(refit.hparams).store
    assert isinstance(store, Ragged)
    predicted = masks_of_store(store, of_fit(run, refit))(case.row)
    return picture(store.one(case.row), store.mask(case.row), predicted, store.spacing[case.row].tolist())
