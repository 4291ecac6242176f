"""The most confident errors of an estimate, each explained by the model that did not see its outer fold.

Files for people, made of records and pixels: they can be deleted, and the same `nachos evaluate` makes them
anew. Nothing is trained or chosen by them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.joined import images_of, part
from nachos_jax.models import registry as models
from nachos_jax.protocol.model import external, mask_gallery, networks
from nachos_jax.protocol.model.gallery_files import FOLDER, INDEX, known, written
from nachos_jax.protocol.model.pictures import legend, picture
from nachos_jax.protocol.model.refits import refit_of
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records import own
from nachos_jax.records.schema import FitRecord
from nachos_jax.records.store import dump, write_atomic
from nachos_jax.runtime import stopping
from nachos_jax.tasks import registry as tasks

log = logging.getLogger("nachos_jax")

FORMAT = 1
NOTE = (
    "Each map shows what moved the output of the model of that outer fold towards the wrong class, not why "
    "it is wrong."
)

LARGEST = 320
"""Pixels of a panel's longer side: all pictures together are to fit into a page."""

_APART = 0.02
"""How far a recomputed probability may lie from the recorded one: other devices round otherwise."""


@dataclass(frozen=True)
class WrongCase:
    """A wrong prediction."""

    row: int  # of the case in the case table
    outer_fold: int  # that it was tested in
    fit: str  # id of the refit that predicted it
    label: int  # class number
    predicted: int  # class number
    probability: float  # of the predicted class


def write_or_warn(run: Run) -> None:
    """`write`, whose failure is a warning: the estimate does not depend on it.

    Nothing is written while no outer fold is tested, as in the flat protocol, which keeps no weights, when
    config.report.gallery is 0, or for a task or vectors that have no pictures.
    """
    try:
        makes = {"classification": write, "segmentation": mask_gallery.write}
        seen = run.config.tuned.get("tuned.inputs") != "activations"  # of which there are no pictures
        pictures = run.config.task in makes and len(run.cohort.shape) > 1 and seen
        networks_only = not all(models.hosted(str(name)) for name in run.config.candidates("architecture"))
        wanted = run.config.report.gallery and pictures and networks_only
        if wanted and run.store.tests():
            makes[run.config.task](run, run.config.report.gallery)
    except Exception as error:
        log.warning("the gallery of errors in %s was not made (%s)", run.store.path / FOLDER, error)


def write(run: Run, most: int = 12) -> Path:
    """Writes explanations/NNN.png and explanations/gallery.json, whose path it returns.

    At most so many cases are shown, the most confident errors over the outer folds tested so far; a gallery
    that is there and shows the same errors by the same fits is left alone. gallery.json holds "tested" (outer
    folds), "predictions" and "errors" (counts), "note", and "items", most confident first (see `_facts`).

    Raises:
        UsageError: a payload is missing or damaged, or a refit does not say again what was recorded.
    """
    errors, header = _errors(run)
    chosen = one_a_subject(errors, run.cohort.table.subjects, most)
    folder = run.store.path / FOLDER
    if known(folder, header, [_facts(run, wrong) for wrong in chosen]):
        return folder / INDEX
    items: list[dict[str, Any]] = []
    for wrong, image, found in _explained(run, chosen, most):
        stopping.check()
        data = picture(image, found["map"], _words(run, wrong, found), LARGEST)
        file = f"{chosen.index(wrong) + 1:03d}.png"
        write_atomic(folder / file, data)
        told = {"file": file, "sha256": hashlib.sha256(data).hexdigest()}
        items.append({**_facts(run, wrong), "method": found["method"], "peak": found["peak"], **told})
    items.sort(key=lambda item: item["file"])
    own.remove(folder, written(folder), {item["file"]: item["sha256"] for item in items})
    write_atomic(folder / INDEX, dump({**header, "items": items}))
    return folder / INDEX


def one_a_subject(errors: Sequence[WrongCase], subjects: np.ndarray, most: int) -> list[WrongCase]:
    """The most confident errors, at most one of each subject; ties in the order of folds and cases."""
    ranked = sorted(errors, key=lambda wrong: (-wrong.probability, wrong.outer_fold, wrong.row))
    first: dict[str, WrongCase] = {}
    for wrong in ranked:
        first.setdefault(str(subjects[wrong.row]), wrong)
    return list(first.values())[:most]


def _errors(run: Run) -> tuple[list[WrongCase], dict[str, Any]]:
    """All wrong predictions so far, and what heads the index."""
    rows = {name: row for row, name in enumerate(run.cohort.table.names.tolist())}
    tests, found, count = run.store.tests(), [], 0
    for test in tests:
        refit = run.store.fit(test.fit)
        if refit is not None and "weights.safetensors" not in refit.payload:
            continue  # an estimator, of which nothing is kept that could be looked into
        labels, probabilities = test.arrays["labels"].tolist(), test.arrays["probabilities"]
        for case, label, chances in zip(test.cases, labels, probabilities, strict=True):
            if np.isnan(chances).any():  # the refit met NaN and predicted nothing
                continue
            predicted, count = int(chances.argmax()), count + 1
            if predicted != label:
                wrong = (rows[case], test.outer_fold, test.fit, label, predicted, float(chances[predicted]))
                found.append(WrongCase(*wrong))
    header = {
        "format": FORMAT,
        "tested": [test.outer_fold for test in tests],
        "predictions": count,
        "errors": len(found),
        "note": NOTE,
    }
    return found, header


def _explained(
    run: Run, chosen: Sequence[WrongCase], batch: int
) -> Iterator[tuple[WrongCase, np.ndarray, dict[str, Any]]]:
    """(error, its image, what explains it), outer fold after outer fold."""
    for fit in dict.fromkeys(wrong.fit for wrong in chosen):
        own = [wrong for wrong in chosen if wrong.fit == fit]
        images = run.cohort.prepared(refit_of(run, own[0]).hparams).store.rows(
            np.asarray([wrong.row for wrong in own], np.int32)
        )
        found = _maps(run, refit_of(run, own[0]), own, images, batch)
        yield from zip(own, images_of(images), found, strict=True)


def _maps(
    run: Run, record: FitRecord, own: Sequence[WrongCase], images: Any, batch: int
) -> list[dict[str, Any]]:
    """Map, peak and method for errors of one refit; by occlusion where Grad-CAM has no map to give."""
    table, task = run.cohort.table, run.config.task
    of, weights = external.network(run, record)
    # Always as many rows, so that outer folds with the same architecture share a compilation.
    rows = np.resize(np.arange(len(own)), batch)
    told = part(images, rows), np.asarray([wrong.predicted for wrong in own], np.int32)[rows]
    method = "gradcam"
    try:
        found = networks.explainer(of, method, few=True)(weights, *told)
    except UsageError:
        method = "occlusion"
        found = networks.explainer(of, method)(weights, *told)
    again = tasks.of(task).predicted(np.asarray(found.logits))
    for i, wrong in enumerate(own):
        if not abs(again[i, wrong.predicted] - wrong.probability) <= _APART:
            raise UsageError(
                f"the refit {record.fit} gives {table.names[wrong.row]} the probability "
                f"{again[i, wrong.predicted]:.4f} where {wrong.probability:.4f} was recorded"
            )
    maps, peaks = np.asarray(found.maps), np.asarray(found.peak)
    return [{"map": maps[i], "peak": float(peaks[i]), "method": method} for i in range(len(own))]


def _facts(run: Run, wrong: WrongCase) -> dict[str, Any]:
    """What the records say of an error."""
    table = run.cohort.table
    return {
        "case": str(table.names[wrong.row]),
        "subject": str(table.subjects[wrong.row]),
        "outer_fold": wrong.outer_fold,
        "label": run.cohort.targets.names[wrong.label],
        "predicted": run.cohort.targets.names[wrong.predicted],
        "probability": wrong.probability,
        "fit": wrong.fit,
        "weights_sha256": refit_of(run, wrong).payload["weights.safetensors"],
    }


def _words(run: Run, wrong: WrongCase, found: dict[str, Any]) -> list[str]:
    """What stands below a picture."""
    table = run.cohort.table
    names = run.cohort.targets.names
    label, predicted = names[wrong.label], names[wrong.predicted]
    return [
        f"{table.names[wrong.row]}, outer fold {wrong.outer_fold}",
        f"predicted {predicted}, probability {wrong.probability:.3f}; labelled {label}",
        legend(found["method"], predicted, found["peak"]),
    ]
