"""Temperature and threshold of a deployed classification: chosen as the report chooses those of outer folds.

Both come from what the selected trial's fits predicted of the folds that they left out, which they were not
trained on. Nothing of them enters the estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from safetensors.numpy import load

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics import calibration, decisions
from nachos_jax.metrics.classification import SMALLEST
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.schema import Outcome

CHOICES = ("temperature", "threshold")


def chosen(run: Run, outcome: Outcome) -> dict[str, Any] | None:
    """What model.json tells of them, with the reason where one is None; None for another task."""
    if run.config.task != "classification":
        return None
    held: dict[int, np.ndarray] = {}
    for fit in outcome.fits[outcome.selected]:
        record = run.store.fit(fit)
        if record is None or "inner.safetensors" not in record.payload:
            return None
        arrays = load(run.store.payload(record, "inner.safetensors"))
        held |= {int(fold): outputs for fold, outputs in arrays.items()}
    labels = np.concatenate([run.cohort.targets.values[run.folds.cases(fold)] for fold in held])
    logits, names = np.concatenate(list(held.values())), run.cohort.targets.names
    temperature = calibration.fit_temperature(labels, logits)
    found = {"temperature": temperature.value, "temperature_note": temperature.note}
    positive = run.config.report.positive or (names[1] if len(names) == 2 else "")
    if positive:
        event, rule = names.index(positive), decisions.parse_rule(run.config.report.threshold)
        scores = calibration.with_temperature(logits, 1.0)[:, event]
        threshold = decisions.choose(rule, labels == event, scores)
        found |= {"positive": positive, "rule": run.config.report.threshold}
        found |= {"threshold": threshold.value, "threshold_note": threshold.note}
    return found


def check(description: Mapping[str, Any], wanted: Sequence[str]) -> None:
    """Refuses what `applied` cannot apply, before any case is read.

    Args:
        description: the model's model.json.
        wanted: some of `CHOICES`.

    Raises:
        UsageError: another word is wanted, or the model was shipped without it.
    """
    known = description.get("decision") or {}
    for word in wanted:
        if word not in CHOICES:
            raise UsageError(f"--apply={word}: must be one or both of {', '.join(CHOICES)}.")
        if known.get(word) is None:
            why = known.get(f"{word}_note") or (
                "config.report.positive named no class" if known else "it is of another task or version"
            )
            raise UsageError(f"--apply={word}: this model was shipped without one ({why}); leave it out.")


def applied(
    description: Mapping[str, Any], probabilities: np.ndarray, wanted: Sequence[str]
) -> tuple[np.ndarray, tuple[str, list[str]] | None]:
    """Probabilities with what is wanted of a model's choices.

    Args:
        description: the model's model.json.
        probabilities: [N, C] of the model, not rounded: near 1 float32 passes thresholds that none does.
        wanted: some of `CHOICES`.

    Returns:
        [N, C] float32 probabilities, softened by the temperature if wanted; name and N cells of the column of
        decisions, which are made on the probabilities before that, if wanted.

    Raises:
        UsageError: as `check`.
    """
    check(description, wanted)
    known = description.get("decision") or {}
    column = None
    if "threshold" in wanted:
        called = probabilities[:, description["classes"].index(known["positive"])] >= known["threshold"]
        column = f"called_{known['positive']}", ["yes" if each else "no" for each in called.tolist()]
    if "temperature" in wanted:
        logits = np.log(np.maximum(probabilities, SMALLEST))
        probabilities = calibration.with_temperature(logits, known["temperature"])
    return probabilities.astype(np.float32), column
