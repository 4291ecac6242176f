"""What a run has cost: fits by their records, time by its sessions, money and energy if rates are given."""

from __future__ import annotations

from typing import Any

from nachos_jax.records.schema import FitRecord
from nachos_jax.report.reading.evidence import Evidence


def spent(evidence: Evidence) -> dict[str, Any]:
    """Fits, epochs, seconds, device hours, and their price and energy.

    Pair reuse is counted over finished studies and their refits, whose fits are all known: a run without
    it trains one fit for every study, trial and inner fold.
    """
    searched = [ids for outcome in evidence.outcomes.values() for ids in outcome.fits]
    lanes = {fit.fit: _lane(fit) for fit in evidence.fits}
    # In the flat protocol search fits are the ones that test, and nothing is refitted.
    refits = {test.fit for test in evidence.tests.values()} - {fit for ids in searched for fit in ids}

    def total(key: str) -> float:
        return sum(session.get(key) or 0 for session in evidence.sessions)

    # The processes of a launch run side by side: it took as long as the longest of them.
    seconds: dict[Any, float] = {}
    for number, session in enumerate(evidence.sessions):
        launch = session.get("launch", number)
        seconds[launch] = max(seconds.get(launch, 0.0), session.get("seconds") or 0.0)
    hours = sum((s.get("seconds") or 0.0) * _count(s.get("devices")) for s in evidence.sessions) / 3600

    return {
        "fits_trained": len(evidence.fits),
        "fits_diverged": sum(fit.status == "diverged" for fit in evidence.fits),
        "fits_of_finished_studies": len({lanes.get(fit, fit) for ids in searched for fit in ids} | refits),
        "fits_without_pair_reuse": sum(map(len, searched)) + len(refits),
        "epochs": _epochs(evidence),
        "occupancy": total("busy_lane_epochs") / total("lane_epochs") if total("lane_epochs") else None,
        "seconds": sum(seconds.values()),
        "process_seconds": total("seconds"),
        "compile_seconds": total("compile_seconds"),
        "tuning_seconds": total("tuning_seconds"),
        "train_seconds": total("train_seconds"),
        "compilations": int(total("compilations")),
        "sessions": len(seconds),
        "processes": len(evidence.sessions),
        "devices": sorted({str(_plain(s["devices"])) for s in evidence.sessions if s.get("devices")}),
        "device_hours": hours,
        **_rates(evidence, hours),
    }


def _epochs(evidence: Evidence) -> int:
    """Epochs of all fits. A search fit that goes on from another one trains its own epochs only."""
    furthest: dict[Any, int] = {}
    for fit in evidence.fits:
        furthest[_lane(fit)] = max(fit.epochs, furthest.get(_lane(fit), 0))
    return sum(furthest.values())


def _lane(fit: FitRecord) -> Any:
    """What search fits have in common that go on from each other, whichever folds they are asked about."""
    return (frozenset(fit.hparams.items()), fit.left_out) if fit.curves else fit.fit


def _rates(evidence: Evidence, hours: float) -> dict[str, Any]:
    """Money and energy of the device hours; None where the config gives no rate."""
    given = evidence.settings
    return {
        "money": hours * given.price if given.price else None,
        "currency": given.currency,
        "kilowatt_hours": hours * given.watts / 1000 if given.watts else None,
    }


def _count(devices: Any) -> int:
    """Number of devices of a session, in any form that sessions had: a list, a count by kind, a text."""
    if isinstance(devices, dict):
        return sum(int(n) for n in devices.values())
    if isinstance(devices, (list, tuple)):
        return len(devices)
    head = str(devices or "").partition(" x ")[0]
    return int(head) if head.isdecimal() else bool(devices)


def _plain(devices: Any) -> str:
    """Devices of a session as text, whether recorded as a text, a list or a count by kind."""
    if isinstance(devices, dict):
        return ", ".join(f"{n} x {kind}" for kind, n in sorted(devices.items()))
    return ", ".join(map(str, devices)) if isinstance(devices, (list, tuple)) else str(devices)
