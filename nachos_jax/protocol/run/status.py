"""Where a run stands, from its records alone."""

from __future__ import annotations

from nachos_jax.protocol.design.protocols import PROTOCOLS
from nachos_jax.protocol.run.progress import ENDED, left
from nachos_jax.records.readable import no_run
from nachos_jax.records.store import RunDirectory

UNSEALED = "records: begun by an older version, without digests: what a disk or a hand changes is not noticed"


def describe(workdir: str) -> str:
    """A few lines for people: outer folds tested, studies, fits, deployment.

    Raises:
        UsageError: no run in this directory.
    """
    store = RunDirectory(workdir)
    run = store.run()
    if run is None:
        raise no_run(store)
    folds, trials = run["folds"], run["config"]["search"]["trials"]
    planned = range(folds["count"] * folds["repeats"])
    tested = {test.outer_fold for test in store.tests()}
    subjects = "subjects waived" if run["waived"] else f"{run['n_subjects']} subjects"
    lines = [
        f"{workdir}: {run['n_cases']} cases, {subjects}, {len(run['classes'])} classes",
    ]
    protocol = PROTOCOLS[run["config"].get("protocol", "nested")]

    def stands(study: int | None, tested: bool | None) -> str:
        return _study(store, study, trials, tested)

    lines += protocol.standing(planned, tested, stands, _fits(store))
    deployment = RunDirectory(workdir, "deploy")
    built = (deployment.path / "deploy" / "model.json").exists()
    state = "exported" if built else _study(deployment, None, trials, False)
    lines.append(f"model: {state}, {_fits(deployment)}")
    for part in (store, deployment):
        now = _now(part)
        lines += [f"{part.command}: {now}"] if now else []
    if not store.sealed:
        lines.append(UNSEALED)
    return "\n".join(lines)


def _now(store: RunDirectory) -> str:
    """What the newest launch does, or did last; "" when it has ended in order."""
    sessions = store.sessions()
    launch = [session for session in sessions if session.get("launch") == sessions[-1].get("launch")]
    if not launch or all(session.get("doing", ENDED) == ENDED for session in launch):
        return ""
    leader = launch[0]

    def total(key: str) -> int:
        return sum(session.get(key) or 0 for session in launch)

    rate = sum((s.get("epochs") or 0) / s["train_seconds"] for s in launch if s.get("train_seconds"))
    parts = [
        f"{leader.get('fits_ended', 0)}/{leader.get('fits_planned', '?')} fits",
        f"{total('epochs'):,} epochs",
    ]
    parts += [f"lanes {total('busy')}/{total('lanes')}"] + ([f"{rate:.3g} epochs/s"] if rate else [])
    parts += [left(leader.get("epochs_left", 0), rate), f"{leader.get('doing', ENDED)}"]
    return f"{', '.join(parts)} (as told {store.told_ago():.0f} s ago)"


def _fits(store: RunDirectory) -> str:
    records = list(store.fits())
    failed = sum(record.status == "diverged" for record in records)
    broken = f" ({failed} met NaN or infinity)" if failed else ""
    return f"{len(records)} fits{broken}, {sum(record.epochs for record in records)} epochs"


def _study(store: RunDirectory, study: int | None, trials: int, tested: bool | None) -> str:
    """Where a study stands; one that is tested by its search alone, None, is so once it has an outcome."""
    outcome = store.outcome(study)
    if outcome is None:
        if tested:
            return (
                "tested, but its outcome is lost: run the same `nachos evaluate` again, which writes it anew"
            )
        asked = len(store.trials(study))
        return f"searching, {asked} of {trials} trials asked" if asked else "not begun"
    chosen = f"trial {outcome.selected} of {len(outcome.trials)}, {outcome.epochs} epochs"
    return f"selected {chosen}, refit to come" if tested is False else f"tested with {chosen}"
