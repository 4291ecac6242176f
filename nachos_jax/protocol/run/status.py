"""Where a run stands, from its records alone."""

from __future__ import annotations

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.design.protocols import PROTOCOLS
from nachos_jax.records.store import RunDirectory


def describe(workdir: str) -> str:
    """A few lines for people: outer folds tested, studies, fits, deployment.

    Raises:
        UsageError: no run in this directory.
    """
    store = RunDirectory(workdir)
    run = store.run()
    if run is None:
        raise UsageError(
            f"{workdir} holds no run (no records/run.json): name the --workdir of an evaluation."
        )
    folds, trials = run["folds"], run["config"]["search"]["trials"]
    planned = range(folds["count"] * folds["repeats"])
    tested = {test.outer_fold for test in store.tests()}
    subjects = "subjects waived" if run["waived"] else f"{run['n_subjects']} subjects"
    lines = [
        f"{workdir}: {run['n_cases']} cases, {subjects}, {len(run['classes'])} classes",
    ]
    protocol = PROTOCOLS[run["config"].get("protocol", "nested")]

    def told(study: int | None, tested: bool) -> str:
        return _study(store, study, trials, tested)

    lines += protocol.standing(planned, tested, told, _fits(store))
    deployment = RunDirectory(workdir, "deploy")
    built = (deployment.path / "deploy" / "model.json").exists()
    state = "exported" if built else _study(deployment, None, trials, False)
    lines.append(f"model: {state}, {_fits(deployment)}")
    return "\n".join(lines)


def _fits(store: RunDirectory) -> str:
    records = list(store.fits())
    failed = sum(record.status == "diverged" for record in records)
    broken = f" ({failed} met NaN or infinity)" if failed else ""
    return f"{len(records)} fits{broken}, {sum(record.epochs for record in records)} epochs"


def _study(store: RunDirectory, study: int | None, trials: int, tested: bool) -> str:
    outcome = store.outcome(study)
    if outcome is None:
        asked = len(store.trials(study))
        return f"searching, {asked} of {trials} trials asked" if asked else "not begun"
    chosen = f"trial {outcome.selected} of {len(outcome.trials)}, {outcome.epochs} epochs"
    return f"tested with {chosen}" if tested else f"selected {chosen}, refit to come"
