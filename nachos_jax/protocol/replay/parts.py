"""What stands for the lanes, the disk and the searcher while recorded curves are played."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nachos_jax.core.curves import stop
from nachos_jax.core.types import EpochLimit, Fit, HParams, Trial
from nachos_jax.engine.watch import closed
from nachos_jax.protocol.replay.recorded import Key, Recorded, key
from nachos_jax.records.schema import Curve, FitRecord, Outcome
from nachos_jax.search.searcher import Proposal


class Answers:
    """A crew that knows what every fit comes to, and counts the epochs that it would have trained.

    Args:
        recorded: the curves.
        outer: the only study that asks, whose fits watch its inner folds alone; None for all of them, whose
            fits end with every fold that they are asked about.
    """

    working = False
    lanes, pace = (0, 0), (0, 0.0)

    def __init__(self, recorded: Recorded, outer: int | None):
        self._recorded, self._outer = recorded, outer
        self._ended: list[FitRecord] = []
        self._epochs: dict[Key, int] = {}
        self.ledger: Any = Notes()

    @property
    def epochs(self) -> int:
        """Epochs trained: a fit that is asked for again goes on from where it stood."""
        return sum(self._epochs.values())

    def prepare(self) -> None:
        """See Crew."""

    def submit(self, fits: Sequence[Fit]) -> None:
        """See Crew."""
        self._ended += map(self._record, fits)
        self.working = bool(self._ended)

    def step(self) -> list[FitRecord]:
        """See Crew."""
        ended, self._ended, self.working = self._ended, [], False
        return ended

    def rest(self) -> None:
        """See Crew."""

    def look(self) -> None:
        """See Crew."""

    def close(self, seconds: float, failed: bool = False) -> None:
        """See Crew."""

    def _record(self, fit: Fit) -> FitRecord:
        name = key(fit.hparams, fit.left_out)
        known = self._recorded.curves[name]
        curves = {v: cut(known[v], fit.limit) for v in fit.held if v in known and v != self._outer}
        epochs = max(len(curve.loss) for curve in curves.values())
        self._epochs[name] = max(epochs, self._epochs.get(name, 0))
        return FitRecord(
            fit=fit.id,
            left_out=fit.left_out,
            hparams=fit.hparams,
            limit=fit.limit.epochs,
            status="done",
            epochs=epochs,
            parameters=self._recorded.parameters.get(name, 0),
            training_loss=tuple(self._recorded.training.get(name, ()))[:epochs],
            curves=curves,
        )


def cut(curve: Curve, limit: EpochLimit) -> Curve:
    """A recorded curve as a fit with this limit would have ended it; without a patience nothing watches."""
    end = limit.epochs if limit.patience is None else stop(curve.loss, limit)
    if end is None or end >= len(curve.loss):
        return curve
    ended = Curve(curve.loss[:end], curve.score[:end], "limit")
    return ended if limit.patience is None else closed(ended, limit)


class Memory:
    """A run directory that is forgotten."""

    command = "replay"

    def __init__(self):
        self.outcomes: dict[int | None, Outcome] = {}

    def run(self) -> None:
        """Nothing was written of a run."""

    def fits(self) -> Iterator[FitRecord]:
        """No record is there when a replay begins."""
        return iter(())

    def trials(self, _study: int | None) -> list[Trial]:
        """No trial either."""
        return []

    def outcome(self, study: int | None) -> Outcome | None:
        """The end of a study."""
        return self.outcomes.get(study)

    def fit(self, _fit: str) -> None:
        """Predictions are not recorded."""

    def commit_trial(self, _trial: Trial) -> None:
        """Trials are known."""

    def commit_outcome(self, outcome: Outcome) -> None:
        """Keeps the end of a study."""
        self.outcomes[outcome.study] = outcome


class Notes:
    """What a process notes of its session: nothing."""

    doing = ""

    def standing(self, **_figures: Any) -> None:
        """Where the replay stands."""


@dataclass(frozen=True)
class InOrder:
    """Proposes recorded trials as they were numbered."""

    trials: tuple[HParams, ...]

    def ask(self, count: int, history: Sequence[Any]) -> list[Proposal]:
        """See `Searcher`."""
        known = self.trials[len(history) : len(history) + count]
        return [Proposal(hparams, "recorded") for hparams in known]
