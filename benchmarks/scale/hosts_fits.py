"""How long simulated fits last: drawn best epochs, ended by the engine's own stopping rule."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, pvariance
from typing import Any

import numpy as np

OCT_EPOCHS, OCT_PATIENCE = 50, 20
OCT_BEST = (1, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 11, 14, 18, 27, 50)
"""Best epochs (lowest validation loss) of the 810 inner trainings of the NACHOS study on OCT images divided
by volume: quantiles 0, 5, ..., 100 %. There, they trained for 28.1 epochs on average."""
OCT_ALIKE = 0.3
"""Share of the best epoch's variance that lies between trials: 0.33 in that study, and the best epochs of the
two trainings of a pair of folds correlate by 0.26."""


@dataclass(frozen=True)
class Lengths:
    """What decides how long fits last.

    Attributes:
        best: quantiles of the best epoch, evenly spaced from 0 to 1.
        alike: share of its variance that trials have in common, 0 to 1.
        epochs: the largest number of epochs.
        patience: epochs without improvement after which a fold stops watching.
        epoch_seconds: of an epoch of one lane on its device.
        compile_seconds: of a program.
        source: where these come from, for people.
    """

    best: tuple[float, ...] = OCT_BEST
    alike: float = OCT_ALIKE
    epochs: int = OCT_EPOCHS
    patience: int = OCT_PATIENCE
    epoch_seconds: float = 10.0
    compile_seconds: float = 60.0
    source: str = "the published trainings of the NACHOS study (OCT images divided by volume)"


def recorded(workdir: Path) -> Lengths:
    """Reads them from a run directory: the curves of its search fits, and the seconds of its sessions.

    Seconds are told for a session as a whole, so all buckets get the same.

    Raises:
        SystemExit: there are no search fits that stopped early, or no session that ended.
    """
    from nachos_jax.core.curves import best_epoch

    config = json.loads((workdir / "records/run.json").read_text(encoding="utf-8"))["config"]["training"]
    by_trial: dict[str, list[int]] = defaultdict(list)
    for path in sorted((workdir / "records/evaluate/fits").glob("*.json")):
        fit = json.loads(path.read_text(encoding="utf-8"))
        name = json.dumps(fit["hparams"], sort_keys=True)
        by_trial[name] += [best_epoch(curve["loss"]) for curve in fit["curves"].values()]
    best = [float(epoch) for found in by_trial.values() for epoch in found]
    told = [_read(path) for path in sorted((workdir / "records/evaluate/sessions").glob("*.json"))]
    told = [one for one in told if one.get("busy_lane_epochs")]
    if not best or not told:
        raise SystemExit(f"--workdir={workdir}: it has no search fits, or no session that trained any.")
    means = [fmean(found) for found in by_trial.values() if found]
    programs = sum(one["compilations"] for one in told)
    device_seconds = sum(one["train_seconds"] * len(one["devices"]) for one in told)
    return Lengths(
        best=tuple(np.quantile(best, np.linspace(0, 1, 21)).tolist()),
        alike=min(1.0, pvariance(means) / pvariance(best)) if pvariance(best) else 0.0,
        epochs=config["epochs"],
        patience=config["patience"] if config["early_stopping"] else config["epochs"],
        epoch_seconds=device_seconds / sum(one["busy_lane_epochs"] for one in told),
        compile_seconds=sum(one["compile_seconds"] for one in told) / max(programs, 1),
        source=f"the {len(best)} inner curves of a run directory",
    )


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


class Courses:
    """What happens to each fit: a draw that depends on the fit alone.

    Args:
        lengths: what decides how long fits last.
    """

    def __init__(self, lengths: Lengths):
        self._lengths, self._found = lengths, {}

    def record(self, fit: Any) -> Any:
        """The record that the fit ends with.

        Its losses fall by one an epoch until the epoch drawn as the best, and rise by one after it; what
        follows from them is decided by engine/watch.py.

        Args:
            fit: a core.types.Fit.

        Returns:
            Its FitRecord.
        """
        if fit.id not in self._found:
            self._found[fit.id] = self._train(fit)
        return self._found[fit.id]

    def _train(self, fit: Any) -> Any:
        from nachos_jax.engine import watch
        from nachos_jax.records.schema import FitRecord

        best = {fold: self._best(fit, fold) for fold in fit.left_out}
        score = _uniform(fit, "score")
        progress = watch.begin(fit)
        while not progress.ended:
            epoch = progress.epochs + 1
            seen: dict[int, tuple[float, float | None]] = {
                fold: (1.0 + abs(epoch - best[fold]), score) for fold in progress.watching
            }
            progress = watch.after_epoch(progress, 1.0 / epoch, seen)
        return FitRecord(
            fit=fit.id,
            left_out=fit.left_out,
            hparams=dict(fit.hparams),
            limit=fit.limit.epochs,
            status="done",
            epochs=progress.epochs,
            parameters=1,
            training_loss=progress.training_loss,
            curves=progress.watchers,
        )

    def _best(self, fit: Any, fold: int) -> int:
        """The best epoch for one left-out fold: normal draws of trial and fit, mapped to the quantiles."""
        normal, alike = NormalDist(), self._lengths.alike
        trial = normal.inv_cdf(_uniform(fit))
        own = normal.inv_cdf(_uniform(fit, list(fit.left_out), fold))
        place = normal.cdf(math.sqrt(alike) * trial + math.sqrt(1.0 - alike) * own)
        epoch = np.interp(place, np.linspace(0, 1, len(self._lengths.best)), self._lengths.best)
        return min(max(1, round(float(epoch))), self._lengths.epochs)


def _uniform(fit: Any, *what: object) -> float:
    """A number between 0 and 1, both excluded, that follows from hyperparameters, seed and `what`."""
    from nachos_jax.core.types import digest

    return (int(digest([fit.seed, dict(fit.hparams), *what], 12), 16) + 0.5) / 16**12
