"""Hyperparameters of a trial as people compare them: with what it left out because its config says it."""

from __future__ import annotations

from nachos_jax.core.hparams import PREPARED
from nachos_jax.core.types import HParams
from nachos_jax.report.reading.evidence import Evidence

_OF_CASES = (*PREPARED, "normalisation")
"""Rows that every trial has, and whose value in the config no fit holds."""


def shown(hparams: HParams, evidence: Evidence) -> HParams:
    """The same, and the config's value of how cases are prepared where that is searched."""
    config = evidence.run["config"]
    left_out = {
        name: config["data"][name]
        for name in _OF_CASES
        if config["search"]["space"].get(name) and name not in hparams
    }
    return {**hparams, **left_out} if left_out else hparams
