"""The vocabulary of the project: read this file first.

Words are those of the protocol: a *fit* is one training, a *trial* is one hyperparameter
configuration, a *study* is the search of one outer fold (or of deployment). All types here are
frozen and know nothing of JAX, files or networks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

HParamValue = float | int | str | bool
HParams = Mapping[str, HParamValue]
"""Active hyperparameters of a trial by name, e.g. {"learning_rate": 0.01, "cnn.width": 16}."""


def digest(payload: object, length: int = 16) -> str:
    """The first characters of the SHA-256 of a JSON-able value, independent of key order.

    Floats enter by their shortest exact text.
    """
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@dataclass(frozen=True)
class EpochLimit:
    """When a fit ends.

    Attributes:
        epochs: the largest number of epochs, at least 1.
        patience: epochs without improvement of a watched fold's loss after which that fold's
            watcher stops; None for a fit that runs exactly `epochs` epochs and is scored once.
        min_delta: smallest decrease of the watched loss that counts as improvement.
    """

    epochs: int
    patience: int | None = None
    min_delta: float = 0.0


@dataclass(frozen=True)
class Fit:
    """One training. Its result depends on these fields and on nothing else.

    Attributes:
        hparams: the active hyperparameters.
        left_out: sorted fold numbers whose cases the fit must not see; () trains on all cases.
        seed: run seed.
        limit: when it ends.
        cases: hash of the case table with its folds.
        asked: those of the folds left out that a study asks about; None for all of them.
        beside: those of the others that are watched too, because another study may ask about them later.
            Nothing of its result depends on them, so they are no part of its id.
    """

    hparams: HParams
    left_out: tuple[int, ...]
    seed: int
    limit: EpochLimit
    cases: str
    asked: tuple[int, ...] | None = None
    beside: tuple[int, ...] = field(default=(), compare=False)

    @cached_property
    def id(self) -> str:
        """Hash of exactly the fields of this fit but `beside`: 16 hexadecimal characters."""
        told = {
            "hparams": dict(self.hparams),
            "left_out": list(self.left_out),
            "seed": self.seed,
            "limit": [self.limit.epochs, self.limit.patience, self.limit.min_delta],
            "cases": self.cases,
        }
        return digest(told if self.asked is None else {**told, "asked": list(self.asked)})

    @property
    def held(self) -> tuple[int, ...]:
        """The folds whose cases its result predicts."""
        return self.left_out if self.asked is None else self.asked

    @property
    def watched(self) -> tuple[int, ...]:
        """Those, and the folds beside them, sorted."""
        return tuple(sorted({*self.held, *self.beside})) if self.beside else self.held

    @cached_property
    def stream(self) -> str:
        """Hash that names the random streams: (seed, folds left out, hyperparameters).

        It leaves out the epoch limit, the folds asked about and the case table, so a refit for n epochs is
        the prefix of the same fit for more epochs, and targets cannot reach the random numbers.
        """
        return digest([self.seed, list(self.left_out), dict(self.hparams)], length=32)


@dataclass(frozen=True)
class Trial:
    """One hyperparameter configuration of one study.

    Attributes:
        study: outer fold number, or None for the study of deployment.
        number: 0-based position in the study; 0 is always the default configuration.
        hparams: the active hyperparameters.
        origin: who proposed it: "default", "prior" (the user), or the name of a searcher.
    """

    study: int | None
    number: int
    hparams: HParams
    origin: str


@dataclass(frozen=True)
class TrialScore:
    """What the inner folds say of a trial.

    Attributes:
        score: mean over the inner folds of the selection metric at each fold's best epoch, turned
            so that higher is better; None when the trial failed or was stopped.
        spread: standard deviation (ddof 1) over inner folds; 0.0 with one inner fold; None without score.
        epochs: n*, the rounded mean best epoch (at least 1); None without score.
        parameters: number of trained parameters of its network (ties go to the smaller).
        status: "done", "failed" (a training met NaN or Inf, or a metric was undefined) or "stopped" (the
            policy gave it up before it was trained in full).
        by_fold: selection metric of each inner fold that it was trained on, keyed by fold number.
    """

    score: float | None
    spread: float | None
    epochs: int | None
    parameters: int
    status: str
    by_fold: Mapping[int, float | None]
