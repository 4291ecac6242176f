"""The exported model: a folder with weights and a description that says all that prediction needs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.numpy import load

from nachos_jax.core.types import HParams
from nachos_jax.data.table import JOINED
from nachos_jax.protocol.model import coefficients, decision, mask_facts, shipped
from nachos_jax.protocol.run import environment
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records import decode, own, seal
from nachos_jax.records.mask_choice import MaskChoice
from nachos_jax.records.schema import FitRecord, Outcome
from nachos_jax.records.store import RunDirectory, dump, write_atomic
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks.dense import NORMALISATION
from nachos_jax.tasks.normalisation import words

FORMAT, NAME = 1, "model.json"


def write(
    run: Run,
    outcome: Outcome,
    records: Sequence[FitRecord],
    folder: Path,
    final: MaskChoice | None = None,
) -> None:
    """Writes weights first and model.json last: a folder with a model.json is whole.

    Args:
        run: the run.
        outcome: the end of the study of deployment.
        records: of its networks, those of the selected configuration first.
        folder: where to.
        final: what the study chose of final masks, where it did.
    """
    names, tables, earlier = [], {}, _earlier(run, records, folder)
    for number, record in enumerate(records):
        names.append(f"weights_{number:02d}.safetensors")
        weights = run.store.payload(record, "weights.safetensors")
        write_atomic(folder / names[-1], weights)
        tables |= _tables(run, str(record.hparams["architecture"]), number, weights)
    for name, table in tables.items():
        write_atomic(folder / name, table)
    backbone = shipped.write(run, folder)
    text = dump({**_description(run, outcome, records, names, final), **backbone, seal.KEY: seal.BLANK})
    write_atomic(folder / NAME, seal.fill(text, NAME))
    own.remove(folder, earlier, dict.fromkeys([*names, *tables], ""))


def _tables(run: Run, architecture: str, number: int, weights: bytes) -> dict[str, bytes]:
    """The table of the coefficients of a network by its name; {} of a network without."""
    name, classes = f"coefficients_{number:02d}.csv", run.cohort.targets.names
    if architecture == "linear":
        features = run.cohort.preparation["features"]
        return {name: coefficients.table(load(weights), features, classes).encode()}
    if run.cohort.joined:
        columns = run.cohort.preparation[JOINED]
        return {name: coefficients.of_columns(load(weights), columns, classes).encode()}
    return {}


def _earlier(run: Run, records: Sequence[FitRecord], folder: Path) -> dict[str, str]:
    """SHA-256 of the files of another model that was exported to the folder, by name; {} of the same one."""
    try:
        told = decode.parse((folder / NAME).read_bytes())
        if list(told["fits"]) == [record.fit for record in records]:
            return {}
        files = dict(zip(told["weights"], told["weights_sha256"], strict=True))
        architecture = str(told["hparams"]["architecture"])
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
    ):  # none, or a damaged one: then nothing is known as ours
        return {}
    tables: dict[str, bytes] = {}
    for number, (name, sha256) in enumerate(files.items()):
        path = folder / Path(name).name
        weights = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(weights).hexdigest() == sha256:
            tables |= _tables(run, architecture, number, weights)
    return files | {name: hashlib.sha256(table).hexdigest() for name, table in tables.items()}


def _description(
    run: Run,
    outcome: Outcome,
    records: Sequence[FitRecord],
    weights: Sequence[str],
    final: MaskChoice | None,
) -> dict[str, Any]:
    cohort = run.cohort.prepared(records[0].hparams)
    table, store, preparation = cohort.table, cohort.store, cohort.preparation
    tuned = "tune" in preparation.get("backbone", {})
    return {
        "format": FORMAT,
        "task": run.config.task,
        "hparams": dict(records[0].hparams),
        "epochs": outcome.epochs,
        "precision": run.config.precision,
        "weights": list(weights),
        "weights_sha256": [record.payload["weights.safetensors"] for record in records],
        "fits": [record.fit for record in records],
        "classes": list(run.cohort.targets.names),
        "channels": int(preparation["channels"] if tuned else store.shape[-1]),
        "dtype": str(preparation["dtype"] if tuned else store.dtype),
        "preparation": dict(preparation),
        "normalisation": _normalisation(run, records[0].hparams),
        "cases": run.cases,
        "n_cases": len(table),
        "n_subjects": len(set(table.subjects.tolist())),
        "seed": run.config.seed,
        "selection": {
            "metric": outcome.metric,
            "score": outcome.scores[outcome.selected].score,
            "note": "the score that chose this model; it is too good to be reported",
        },
        "decision": decision.chosen(run, outcome),
        **mask_facts.of(run, records, final),
        "estimate": _estimate_sentence(run),
        "versions": environment.versions(),
    }


def _normalisation(run: Run, hparams: HParams) -> str:
    if tasks.of(run.config.task).masks:
        return mask_facts.normalisation(hparams)
    last = f"; columns beside the image by the last {run.cohort.joined}" if run.cohort.joined else ""
    if NORMALISATION.name in hparams:
        return words(str(hparams[NORMALISATION.name]), "pixel")
    impute = run.cohort.preparation.get("impute")
    filled = f"; a missing value is its fill, the {impute} of the training cases" if impute else ""
    if "tune" in run.cohort.preparation.get("backbone", {}):
        columns = last and f"{last} of pixel_mean and pixel_sd in the weights files"
        pixels = "(pixel - mean) / sd of the backbone in preparation, once pixels lie in its range"
        return f"{pixels}{columns}{filled}"
    what = "pixel" if len(run.cohort.shape) > 1 else "feature"
    return f"({what} - pixel_mean) / pixel_sd, statistics in the weights files{last}{filled}"


def _estimate_sentence(run: Run) -> str:
    count = run.folds.count
    trained = "was trained on all of them and tested on none"
    if run.config.members == "folds":
        trained = (
            "averages networks that were each trained on all of them but one fold, and was tested on none"
        )
    estimated = RunDirectory(run.store.path, "evaluate")
    tests = estimated.tests()
    if estimated.outcome(None) is not None:
        return (
            "The estimate in summary.json is that of flat cross-validation, corrected for the choice of the "
            f"trial. It belongs to models that were trained on about {count - 1}/{count} of these cases, not "
            f"to this one, which {trained}."
        )
    if not tests:
        return (
            "No estimate was made in this run directory: run `nachos evaluate` with the same config before "
            "you report a performance."
        )
    done, planned = len(tests), len(run.folds.numbers())
    part = "" if done == planned else f" So far {done} of {planned} outer folds were tested."
    return (
        "The estimate in summary.json belongs to the procedure (search, epochs rule, training) at about "
        f"{count - 1}/{count} of these cases, not to this one model, which {trained}.{part}"
    )
