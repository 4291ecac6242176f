"""What the search fits of selected trials predicted of their inner folds, read from payloads."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
from safetensors.numpy import load

from nachos_jax.core.errors import UsageError
from nachos_jax.records.schema import Outcome
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading.cases import AGAIN

log = logging.getLogger("nachos_jax")

SUFFIX = "inner.safetensors"


def of_selected(
    directory: RunDirectory, outcomes: Mapping[int | None, Outcome | None]
) -> dict[int, dict[int, np.ndarray]]:
    """Outputs of each inner fold by the selected trial of each outer fold.

    Returns:
        {outer fold: {inner fold: [n, S] float32}}; nothing for an outer fold of which some are lost or
        damaged, with a warning: the estimate does not need them. A fit of an older version kept none.
    """
    found: dict[int, dict[int, np.ndarray]] = {}
    for fold, outcome in outcomes.items():
        if outcome is None or fold is None:
            continue
        try:
            found[fold] = of_trial(directory, outcome, outcome.selected)
        except UsageError as error:
            log.warning("outer fold %d is reported without inner predictions: %s", fold, error)
    return found


def of_trial(directory: RunDirectory, outcome: Outcome, trial: int) -> dict[int, np.ndarray]:
    """Outputs [n, S] of each inner fold by one trial of a study.

    Raises:
        UsageError: a record or a payload is missing or damaged.
    """
    found = {}
    for name in outcome.fits[trial]:
        record = directory.fit(name)
        if record is None:
            raise UsageError(f"{directory.folder / 'fits' / name}.json is missing: {AGAIN}")
        if SUFFIX in record.payload:
            arrays = load(directory.payload(record, SUFFIX))
            found |= {int(fold): outputs for fold, outputs in arrays.items() if int(fold) != outcome.study}
    return found
