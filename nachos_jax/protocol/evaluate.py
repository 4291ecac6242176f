"""NACHOS: the estimate. Search inside each outer fold, select, refit, test once.

The flat protocol is the other way to an estimate: one search by plain cross-validation, whose optimism the
report takes out by resampling (BBC-CV, Tsamardinos et al. 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from safetensors.numpy import load

from nachos_jax.cluster.board import Party
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.crew import crews
from nachos_jax.protocol.run.opening import Run, begin, open_run
from nachos_jax.protocol.run.progress import Progress
from nachos_jax.protocol.study.conduct import Conductor, Ending
from nachos_jax.protocol.study.study import Study, estimation_studies, flat_study
from nachos_jax.records.schema import FitRecord, Outcome, OuterTest
from nachos_jax.tasks import registry as tasks


def evaluate(
    config: RunConfig,
    workdir: str,
    outer_folds: Sequence[int] | None = None,
    cohort: Cohort | None = None,
    quiet: bool = False,
    party: Party | None = None,
) -> Run:
    """Estimates the performance of the whole procedure by nested cross-validation, or as the config says.

    Args:
        config: the checked configuration.
        workdir: the run directory; the same call again resumes.
        outer_folds: outer folds to run now; None = all. The others can be run later.
        cohort: the cases, or None to load what the config names.
        quiet: show no progress.
        party: the other processes of this launch, of which this one is number 0; None when it is alone.

    Returns:
        The run; its results are records in the run directory.

    Raises:
        UsageError: nothing was trained because something must be mended first, or a study failed.
    """
    run = open_run(config, workdir, "evaluate", cohort)
    chosen = chosen_folds(run, outer_folds)
    if config.flat:
        return _evaluate_flat(run, quiet, party)
    begin(run)
    studies = estimation_studies(chosen, run.folds, run.cases, config)
    tested = {test.outer_fold for test in run.store.tests()}
    if tested >= set(chosen):
        return run
    crew = crews.gather(run, party)
    ending = Ending(
        fits=refits,
        finish=lambda study, _, records: _test(run, study, records[0]),
        finished=lambda study: study.outer in tested,
    )
    Conductor(run, studies, crew, ending, Progress("evaluate", quiet)).conduct()
    return run


def _evaluate_flat(run: Run, quiet: bool, party: Party | None) -> Run:
    """One search; its fits have already predicted every case once, so nothing follows it."""
    begin(run)
    study = flat_study(run.folds, run.cases, run.config)
    outcome, known = run.store.outcome(None), {record.fit for record in run.store.fits()}
    if outcome is not None and known >= {fit for fits in outcome.fits for fit in fits}:
        return run
    # The report reads the predictions of all trials: a search fit whose record was lost is trained again.
    ending = Ending(fits=searched, finish=lambda *_: None, finished=lambda _: False)
    crew = crews.gather(run, party)
    Conductor(run, [study], crew, ending, Progress("evaluate", quiet)).conduct()
    return run


def chosen_folds(run: Run, wanted: Sequence[int] | None) -> list[int]:
    """The outer folds to run, in order.

    Raises:
        UsageError: a number that is no fold, or any in the flat protocol.
    """
    known = run.folds.numbers()
    if wanted is None:
        return list(known)
    if run.config.flat:
        raise UsageError("--outer_folds: the flat protocol has no outer folds; leave the flag out.")
    strange = [fold for fold in wanted if fold not in known]
    if strange or not wanted:
        raise UsageError(
            f"--outer_folds={','.join(map(str, wanted))}: outer folds are numbered {known[0]} to {known[-1]}."
        )
    return sorted(set(wanted))


def refits(study: Study, outcome: Outcome) -> list[Fit]:
    """The one fit on everything but the outer fold, for n* epochs."""
    return [study.refit(outcome.trials[outcome.selected], outcome.epochs)]


def searched(study: Study, outcome: Outcome) -> list[Fit]:
    """All search fits of a study."""
    return [fit for trial in outcome.trials for fit in study.search_fits(trial).values()]


def _test(run: Run, study: Study, record: FitRecord) -> None:
    """Commits the predictions that the refit made of its outer fold after its last epoch.

    A refit that diverged predicts nothing: its predictions are null, and the report says so.
    """
    assert study.outer is not None
    task, cases = tasks.of(run.config.task), np.flatnonzero(run.folds.cases(study.outer))
    targets = run.cohort.targets.of(cases)
    seen = np.full((len(cases), task.device(targets.names, record.hparams).seen), np.nan, np.float32)
    if record.status == "done":
        seen = load(run.store.payload(record, f"{task.kind}.safetensors"))[task.kind]
    tested = task.tested(seen, targets)
    run.store.commit_test(
        OuterTest(
            outer_fold=study.outer,
            fit=record.fit,
            cases=tuple(run.cohort.table.names[cases].tolist()),
            arrays=tested.arrays,
            training_loss=record.training_loss,
            values=tested.values,
        )
    )
