"""Whether all that a result came from is still on disk."""

from __future__ import annotations

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.design.study import Study
from nachos_jax.records.store import RunDirectory


def nothing(store: RunDirectory, study: Study, tested: str = "") -> bool:
    """Whether the outcome of a study, its trials and the records of all its fits are on disk.

    Args:
        store: the run directory.
        study: a study whose result is on disk.
        tested: id of the fit that was tested; "" where the search fits test themselves.

    Raises:
        UsageError: records do not belong together, or arrays that the report reads are lost or damaged.
    """
    outcome = store.outcome(study.outer)
    if outcome is None or list(outcome.trials) != store.trials(study.outer):
        return False
    search = {fit: trial for trial, fits in zip(outcome.trials, outcome.fits, strict=True) for fit in fits}
    records = {fit: store.fit(fit) for fit in search}
    if any(record and not study.holds(search[fit], record) for fit, record in records.items()):
        raise UsageError(
            f"{store.outcome_path(study.outer)} is of other cases or another config: delete this file and "
            "run the same `nachos evaluate` again, or use another --workdir."
        )
    if tested and tested != study.refit(outcome.trials[outcome.selected], outcome.epochs).id:
        raise UsageError(
            f"{store.test_path(study.outer)} is not of the fit that was selected: delete this file and run "
            "the same `nachos evaluate` again."
        )
    needed = [*search, tested] if tested else search
    if not set(needed) <= store.fit_ids():
        return False
    for name in [*outcome.fits[outcome.selected], tested] if tested else needed:
        record = store.fit(name)
        for suffix in record.payload if record else ():
            store.payload(record, suffix)  # pyrefly: ignore[bad-argument-type]
    return True
