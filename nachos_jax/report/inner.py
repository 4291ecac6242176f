"""What the search fits of selected trials predicted of their inner folds, read from payloads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from safetensors.numpy import load

from nachos_jax.core.errors import UsageError
from nachos_jax.records.schema import Outcome
from nachos_jax.records.store import RunDirectory

SUFFIX = "inner.safetensors"


def of_selected(
    directory: RunDirectory, outcomes: Mapping[int | None, Outcome | None]
) -> dict[int, dict[int, np.ndarray]]:
    """Logits of each inner fold by the selected trial of each outer fold.

    Returns:
        {outer fold: {inner fold: [n, C] float32}}; a fit of an older version, which kept none, is left out.

    Raises:
        UsageError: a payload is missing or damaged.
    """
    return {
        fold: of_trial(directory, outcome, outcome.selected)
        for fold, outcome in outcomes.items()
        if outcome is not None and fold is not None
    }


def of_trial(directory: RunDirectory, outcome: Outcome, trial: int) -> dict[int, np.ndarray]:
    """Logits [n, C] of each inner fold by one trial of a study."""
    found = {}
    for name in outcome.fits[trial]:
        record = directory.fit(name)
        if record is None:
            raise UsageError(
                f"{directory.path}: the record of fit {name} is missing: run the same command again, which "
                "trains it anew."
            )
        if SUFFIX in record.payload:
            arrays = load(directory.payload(record, SUFFIX))
            found |= {int(fold): logits for fold, logits in arrays.items() if int(fold) != outcome.study}
    return found
