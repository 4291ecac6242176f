"""What a run directory says of the time and the length of fits: the measured side of a plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nachos_jax.protocol.plan.memory import Device, Timed
from nachos_jax.records.schema import FitRecord
from nachos_jax.records.store import RunDirectory
from nachos_jax.splits.folds import Folds


@dataclass(frozen=True)
class Speed:
    """How fast fits are trained."""

    seconds: float  # device time of a busy lane-epoch, in which idle lanes and devices are included
    occupancy: float  # busy lane-epochs over lane-epochs
    cases: float  # training cases of such an epoch, on average
    bucket_seconds: float  # compilation and choice of the lowering of a bucket
    kind: str  # the devices, e.g. "cpu cpu".
    epochs: int  # lane-epochs that were measured
    source: str  # where the figures come from, for people

    @property
    def platform(self) -> str:
        """The platform of these devices: "cpu", "gpu" or "tpu"."""
        return self.kind.partition(" ")[0]


@dataclass(frozen=True)
class Measured:
    """How long the fits of a run were."""

    pair: tuple[int, ...]  # epochs of each search fit of the estimate, which leaves out two folds
    both: tuple[int, ...]  # of those of them that were asked about both
    one: tuple[int, ...]  # epochs until each watcher stopped, had it been alone
    last: tuple[int, ...]  # epochs of each refit, or of each network of the deployment


def lengths(records: Iterable[FitRecord]) -> Measured | None:
    """The lengths of these fits, or None when no search fit is among them."""
    pair, both, one, last = [], [], [], []
    for record in records:
        if record.curves:
            one += [len(curve.loss) for curve in record.curves.values()]
            pair += [record.epochs] if len(record.left_out) == 2 else []
            both += [record.epochs] if len(record.curves) == 2 else []
        else:
            last.append(record.epochs)
    return Measured(tuple(pair), tuple(both), tuple(one), tuple(last)) if one else None


def speed(sessions: Sequence[Mapping[str, Any]], records: Iterable[FitRecord], folds: Folds) -> Speed | None:
    """Time of a lane-epoch over all sessions of the kind of device that trained most; None when none trained.

    Sessions are as `LanePool.spent` and its devices were written down, records the fits of these sessions.
    """
    by_kind: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for session in sessions:
        if session.get("epochs") and session.get("devices"):  # others were killed before they could tell
            by_kind[session["devices"][0]].append(session)
    trained = [(record.epochs, int(folds.training(record.left_out).sum())) for record in records]
    if not by_kind or not trained:
        return None
    kind = max(by_kind, key=lambda kind: sum(session["epochs"] for session in by_kind[kind]))
    chosen = by_kind[kind]
    epochs = sum(session["epochs"] for session in chosen)
    programs = sum(session["compilations"] for session in chosen)
    opening = sum(session["compile_seconds"] + session.get("tuning_seconds", 0.0) for session in chosen)
    return Speed(
        seconds=sum(s["train_seconds"] * len(s["devices"]) for s in chosen) / epochs,
        occupancy=epochs / sum(session["lane_epochs"] for session in chosen),
        cases=sum(n * cases for n, cases in trained) / sum(n for n, _ in trained),
        bucket_seconds=opening / max(programs, 1),
        kind=kind,
        epochs=epochs,
        source=f"sessions of this run: {len(chosen)}",
    )


def speed_here(timed: Timed, device: Device, folds: Folds, epochs: int) -> Speed:
    """The speed of epochs that were timed on this machine."""
    first, second = folds.numbers()[:2]
    return Speed(
        seconds=timed.seconds,
        occupancy=1.0,
        cases=float(folds.training((first, second)).sum()),
        bucket_seconds=timed.compile_seconds,
        kind=f"{device.platform} {device.kind}",
        epochs=epochs * timed.lanes * device.count,
        source=f"timed here, lanes on each of {device.count} devices: {timed.lanes}",
    )


def of_run(workdir: str, folds: Folds) -> tuple[Speed | None, Measured | None]:
    """What the estimate and the deployment in a run directory have measured."""
    stores = RunDirectory(workdir, "evaluate"), RunDirectory(workdir, "deploy")
    sessions = [session for store in stores for session in store.sessions()]
    records = [record for store in stores for record in store.fits()]
    return speed(sessions, records, folds), lengths(records)
