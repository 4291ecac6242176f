"""Early stopping: what each watched fold sees of a fit, as pure functions of curves.

A watcher follows the loss on its fold. Two watchers can share a fit (pair reuse); each stops on its own,
and its curve ends there, exactly as if it had the fit for itself. A fold beside those that the fit is asked
about is watched until these have stopped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from nachos_jax.core.curves import waited
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.records.schema import Curve


@dataclass(frozen=True)
class FitProgress:
    """A fit on its way."""

    fit: Fit  # which
    training_loss: tuple[float, ...] = ()  # one value an epoch so far
    watchers: dict[int, Curve] = field(default_factory=dict)  # by watched fold; end "" = still watching
    first: str = ""  # digest of the pretrained weights that it began with, "" without such

    @property
    def epochs(self) -> int:
        """Epochs trained so far."""
        return len(self.training_loss)

    @property
    def diverged(self) -> bool:
        """True when the last epoch's training loss was NaN or infinite."""
        return bool(self.training_loss) and not math.isfinite(self.training_loss[-1])

    @property
    def ended(self) -> bool:
        """True when nothing needs another epoch of this fit."""
        if self.diverged or self.epochs >= self.fit.limit.epochs:
            return True
        return bool(self.watchers) and all(self.watchers[fold].end for fold in self.fit.held)

    @property
    def asked(self) -> dict[int, Curve]:
        """The watchers of the folds that the fit is asked about."""
        return {fold: curve for fold, curve in self.watchers.items() if fold in self.fit.held}

    @property
    def watching(self) -> tuple[int, ...]:
        """Folds whose watchers have not stopped."""
        return tuple(fold for fold, curve in self.watchers.items() if not curve.end)


def begin(fit: Fit) -> FitProgress:
    """A fit before its first epoch; only a fit with patience has watchers."""
    folds = fit.watched if fit.limit.patience is not None else ()
    return FitProgress(fit, (), {fold: Curve((), (), "") for fold in folds})


def after_epoch(
    progress: FitProgress, training_loss: float, seen: dict[int, tuple[float, float | None]]
) -> FitProgress:
    """The progress one epoch later, given (loss, selection metric) of every fold still watching.

    Watchers that met NaN, ran out of patience or reached the limit are closed; of folds beside those that the
    fit is asked about only the first.
    """
    losses = (*progress.training_loss, training_loss)
    broken = not math.isfinite(training_loss)
    watchers = dict(progress.watchers)
    for fold in progress.watching:
        loss, score = seen[fold]
        limit = progress.fit.limit if fold in progress.fit.held else None
        watchers[fold] = _extend(watchers[fold], loss, score, broken, limit)
    return replace(progress, training_loss=losses, watchers=watchers)


def _extend(curve: Curve, loss: float, score: float | None, broken: bool, limit: EpochLimit | None) -> Curve:
    if broken or not math.isfinite(loss):
        return Curve((*curve.loss, None), (*curve.score, None), "nan")
    longer = Curve((*curve.loss, loss), (*curve.score, score), "")
    return longer if limit is None else closed(longer, limit)


def closed(curve: Curve, limit: EpochLimit) -> Curve:
    """A curve without NaN, closed if a watcher with this limit stops at its last epoch."""
    if waited(curve.loss, limit.min_delta) >= (limit.patience or 0):
        return replace(curve, end="patience")
    return replace(curve, end="limit" if len(curve.loss) >= limit.epochs else "")
