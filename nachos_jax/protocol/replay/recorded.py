"""Learning curves that were recorded: of a table of curves, or of the search fits of a finished run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from nachos_jax.core.curves import waited
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, HParams
from nachos_jax.records.schema import Curve
from nachos_jax.records.store import RunDirectory

if TYPE_CHECKING:
    from nachos_jax.protocol.study.losses import Losses

NUMBER = "recorded"
"""The only hyperparameter of trials that are known by number alone."""

COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy")
SUFFIX = "__curves"

Key = tuple[frozenset, tuple[int, ...]]
"""Hyperparameters and folds left out: a fit, whatever its limit."""


@dataclass(frozen=True)
class Recorded:
    """The searches of one nested cross-validation, each trial on all inner folds to its early stop.

    Attributes:
        trials: hyperparameters of the trials of each outer fold, by number.
        inner: inner folds of each outer fold.
        curves: what each fit has said of the folds that it left out.
        limit: of every fit.
        parameters: number of trained parameters of each fit, which ties go by; 0 where it is not known.
        training: training loss of each fit, a value an epoch; nothing where it is not known.
        rule: how trials are selected.
    """

    trials: Mapping[int, tuple[HParams, ...]]
    inner: Mapping[int, tuple[int, ...]]
    curves: Mapping[Key, Mapping[int, Curve]]
    limit: EpochLimit
    parameters: Mapping[Key, int]
    training: Mapping[Key, Sequence[float | None]]
    rule: str = "best"

    def of(self, outer: int, number: int, inner: int) -> Curve:
        """What the fit of a trial has said of an inner fold."""
        return self.curves[key(self.trials[outer][number], pair(outer, inner))][inner]


def key(hparams: HParams, left_out: tuple[int, ...]) -> Key:
    """What a fit is known by."""
    return frozenset(hparams.items()), left_out


_NO_ARCHIVE = (OSError, ValueError, EOFError, TypeError, BadZipFile)
"""What comes of a file that is none; a TypeError of an array alone."""


def pair(outer: int, inner: int) -> tuple[int, ...]:
    """The folds that a search fit leaves out."""
    return tuple(sorted((outer, inner)))


def tables(path: str) -> dict[str, Recorded]:
    """The data sets of an npz file: NAME__curves [trials, test folds, validation folds, epochs, 4].

    Columns are loss, accuracy, val_loss, val_accuracy; NaN where an epoch was not run, and for a fold that
    would be left out twice.

    Raises:
        UsageError: the file holds no such array, or one that cannot be replayed.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {n.removesuffix(SUFFIX): file[n] for n in file.files if n.endswith(SUFFIX)}
    except _NO_ARCHIVE as error:
        raise UsageError(
            f"--curves={path}: is no npz file of arrays NAME{SUFFIX}; name one, or the --workdir of a "
            "`nachos evaluate`."
        ) from error
    if not arrays:
        raise UsageError(
            f"--curves={path}: holds no array NAME{SUFFIX} of shape (trials, test folds, validation folds, "
            f"epochs, {len(COLUMNS)}) with columns {', '.join(COLUMNS)}."
        )
    return {name: _table(f"{path}: {name}{SUFFIX}", array) for name, array in arrays.items()}


def _table(where: str, array: np.ndarray) -> Recorded:
    if array.ndim != 5 or array.shape[4] != len(COLUMNS) or array.dtype.kind != "f" or 0 in array.shape:
        raise UsageError(
            f"{where}: has shape {array.shape} and type {array.dtype}, and must be (trials, test folds, "
            f"validation folds, epochs, {len(COLUMNS)}) of floating-point numbers."
        )
    count, tests, folds = array.shape[:3]
    inner = {t: tuple(v for v in range(folds) if v != t) for t in range(tests)}
    trials = tuple({NUMBER: number} for number in range(count))
    found: dict[Key, dict[int, Curve]] = {}
    training: dict[Key, Sequence[float | None]] = {}
    for number in range(count):
        for t, others in inner.items():
            for v in others:
                curve = _curve(array[number, t, v])
                if not curve.loss:
                    raise UsageError(
                        f"{where}: trial {number} was not run on test fold {t}, validation fold {v}."
                    )
                fit = key(trials[number], pair(t, v))
                found.setdefault(fit, {})[v] = curve
                own = _numbers(array[number, t, v, : len(curve.loss), 0])
                training[fit] = max(training.get(fit, ()), own, key=len)
    limit = _limit([curve for curves in found.values() for curve in curves.values()], array.shape[3])
    closed = {fit: {v: _closed(c, limit) for v, c in curves.items()} for fit, curves in found.items()}
    return Recorded(dict.fromkeys(inner, trials), inner, closed, limit, {}, training)


def _curve(rows: np.ndarray) -> Curve:
    """The curve of rows [epochs, 4]: up to the last epoch of which anything is known."""
    ran = np.flatnonzero(np.isfinite(rows).any(axis=1))
    rows = rows[: ran[-1] + 1 if len(ran) else 0]
    loss, score = _numbers(rows[:, 2]), _numbers(rows[:, 3])
    broken = loss.index(None) + 1 if None in loss else len(loss)
    return Curve(loss[:broken], score[:broken], "nan" if None in loss else "")


def _numbers(column: np.ndarray) -> tuple[float | None, ...]:
    """A column [epochs] of the table; None where it is not finite."""
    return tuple(value if math.isfinite(value) else None for value in column.astype(np.float64).tolist())


def _limit(curves: list[Curve], epochs: int) -> EpochLimit:
    """The limit that the curves themselves show: what most of those that ended early had waited."""
    early = Counter(waited(c.loss) for c in curves if c.end != "nan" and len(c.loss) < epochs)
    return EpochLimit(epochs, early.most_common(1)[0][0] if early else epochs)


def _closed(curve: Curve, limit: EpochLimit) -> Curve:
    reason = "limit" if len(curve.loss) >= limit.epochs else "patience"
    return Curve(curve.loss, curve.score, curve.end or reason)


def run(workdir: str) -> Recorded:
    """The searches of a finished `nachos evaluate`.

    Raises:
        UsageError: it is not finished, is of the flat protocol, or its policy has given trials up.
    """
    store = RunDirectory(workdir, "evaluate")
    told = store.run()
    if told is None:
        raise UsageError(
            f"--curves={workdir}: is neither an npz file nor a run directory: name the --workdir of "
            "a `nachos evaluate`, or an npz file of curves."
        )
    config = told["config"]
    policy, protocol = config["search"].get("policy", "full"), config.get("protocol", "nested")
    if (policy, protocol) != ("full", "nested"):
        raise UsageError(
            f"--curves={workdir}: only a nested run under config.search.policy = 'full' has trained every "
            f"trial on all inner folds; this one is {protocol}, under {policy!r}. Name another run, or "
            "make one with --config.search.policy=full in a --workdir of its own."
        )
    planned = range(int(told["folds"]["count"]) * int(told["folds"].get("repeats", 1)))
    outcomes = {t: outcome for t in planned if (outcome := store.outcome(t)) is not None}
    records = {record.fit: record for record in store.fits()}
    missing = [fit for o in outcomes.values() for ids in o.fits for fit in ids if fit not in records]
    if not outcomes or missing:
        raise UsageError(f"--curves={workdir}: the search is not finished; run `nachos evaluate` to its end.")
    searched = [record for record in records.values() if record.curves]
    training = config["training"]
    patience = training["patience"] if training.get("early_stopping", True) else training["epochs"]
    curves: dict[Key, dict[int, Curve]] = {}
    losses: dict[Key, Sequence[float | None]] = {}
    in_one_unit = _losses(store, told.get("task", "classification"))
    for record in searched:
        fit = key(record.hparams, record.left_out)
        curves.setdefault(fit, {}).update(record.curves)
        losses[fit] = max(losses.get(fit, ()), in_one_unit(record), key=len)
    return Recorded(
        trials={t: tuple(trial.hparams for trial in o.trials) for t, o in outcomes.items()},
        inner={t: tuple(v for v in o.scores[0].by_fold) for t, o in outcomes.items()},
        curves=curves,
        limit=EpochLimit(training["epochs"], patience, training["min_delta"]),
        parameters={key(record.hparams, record.left_out): record.parameters for record in searched},
        training=losses,
        rule=config["search"]["rule"],
    )


def _losses(store: RunDirectory, name: str) -> Losses:
    """Training losses as a policy of this version is told them, of a task by name."""
    from nachos_jax.protocol.study.losses import in_watched_unit  # late, both: they import JAX
    from nachos_jax.tasks import registry as tasks

    task, cases = tasks.of(name), store.cases()
    if cases is None or "target_sd" not in task.kept({}):
        return lambda record: record.training_loss
    targets: Any = SimpleNamespace(values=cases.targets)
    return lambda record: in_watched_unit(record, task, targets, cases.folds)


def load(place: str) -> dict[str, Recorded]:
    """What is recorded in an npz file, or in a run directory under its name.

    Raises:
        UsageError: nothing that can be replayed is there.
    """
    path = Path(place)
    return {path.resolve().name: run(place)} if path.is_dir() else tables(place)
