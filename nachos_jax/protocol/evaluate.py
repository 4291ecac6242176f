"""NACHOS: the estimate. Search inside each outer fold, select, refit, test once.

The other way to an estimate is one search by plain cross-validation, whose optimism the report takes out by
resampling (BBC-CV, Tsamardinos et al. 2018); see protocol/design/protocols.py.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from safetensors.numpy import load

from nachos_jax.cluster.board import Party
from nachos_jax.config.run_config import RunConfig
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.crew import crews
from nachos_jax.protocol.design import protocols
from nachos_jax.protocol.design.study import Study
from nachos_jax.protocol.model import columns, external, final_masks, tested_masks
from nachos_jax.protocol.run import solvers
from nachos_jax.protocol.run.opening import Run, begin, open_run
from nachos_jax.protocol.run.progress import Progress
from nachos_jax.protocol.study.conduct import Conductor
from nachos_jax.records.schema import FitRecord, Outcome, OuterTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.splits.folds import Folds
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
    run = open_run(config, workdir, "evaluate", cohort, functools.partial(_check_early, outer_folds))
    protocol = protocols.of(config)
    chosen = protocol.outer_folds(run.folds.numbers(), outer_folds)
    begin(run)
    studies = protocol.studies(chosen, run.folds, run.cases, run.config)
    done = protocol.done(run.store, studies)
    _test_further(run)
    if len(done) == len(studies):
        return run
    crew = crews.gather(run, party)
    ending = protocol.ending(done, functools.partial(_test, run))
    Conductor(run, studies, crew, ending, Progress("evaluate", quiet)).conduct()
    _test_further(run)  # not before, while lanes fill the devices
    return run


def _check_early(outer_folds: Sequence[int] | None, config: RunConfig, store: RunDirectory) -> None:
    """Refuses outer folds that are none, and what another solver has begun, see `solvers.check_early`."""
    protocols.check_outer_folds(config, outer_folds)
    protocol = protocols.of(config)

    def unfinished(folds: Folds, cases: str) -> list[Study]:
        studies = protocol.studies(protocol.outer_folds(folds.numbers(), outer_folds), folds, cases, config)
        done = protocol.done(store, studies)
        return [study for study in studies if study.outer not in done and protocol.after(study)]

    solvers.check_early(store, config, unfinished, protocol.ending(set(), lambda *_: None).fits)


def _test_further(run: Run) -> None:
    """What refits that were tested are asked once more, by nobody but the report."""
    external.test_folds(run)
    columns.test_folds(run)


def _test(run: Run, study: Study, outcome: Outcome, records: list[FitRecord]) -> None:
    """Commits the predictions that the refit made of its outer fold after its last epoch.

    A refit that diverged predicts nothing: its predictions are null, and the report says so. Beside them
    stands what is known of masks, by this refit alone and by all that make the final mask.
    """
    assert study.outer is not None
    record = records[0]
    task, cases = tasks.of(run.config.task), np.flatnonzero(run.folds.cases(study.outer))
    targets = run.cohort.targets.of(cases)
    seen = np.full((len(cases), task.device(targets.names, record.hparams).seen), np.nan, np.float32)
    if record.status == "done":
        seen = load(run.store.payload(record, f"{task.kind}.safetensors"))[task.kind]
    tested = task.tested(seen, targets)
    further = tested_masks.measured(run, record, cases.tolist()) if task.masks else {}
    if final_masks.wanted(run.config):
        refits = len(study.together(outcome))
        choice = final_masks.choice(run, study, outcome, records[refits:])
        further |= final_masks.measured(run, choice, records[:refits], cases.tolist())
    run.store.commit_test(
        OuterTest(
            outer_fold=study.outer,
            fit=record.fit,
            cases=tuple(run.cohort.table.names[cases].tolist()),
            arrays={**tested.arrays, **further},
            training_loss=record.training_loss,
            values=tested.values,
        )
    )
