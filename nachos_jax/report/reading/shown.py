"""Hyperparameters of a trial as people compare them: with what it left out of how its cases are prepared."""

from __future__ import annotations

from nachos_jax.core.hparams import BY_TRAINING, PREPARED
from nachos_jax.core.types import HParams
from nachos_jax.report.reading.evidence import Evidence

_NORMALISATION = "normalisation"


def shown(hparams: HParams, evidence: Evidence) -> HParams:
    """The same, and how its cases were prepared where that is searched and the trial leaves it out.

    A trial leaves out the config's way of preparing cases, and normalisation by the training cases.
    """
    config = evidence.run["config"]
    absent = {name: config["data"].get(name) for name in PREPARED} | {_NORMALISATION: BY_TRAINING}
    left_out = {
        name: value
        for name, value in absent.items()
        if config["search"]["space"].get(name) and name not in hparams
    }
    return {**hparams, **left_out} if left_out else hparams
