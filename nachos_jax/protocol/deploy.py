"""DACHOS: the model. The same search by plain K-fold cross-validation, then training on all cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nachos_jax.cluster.board import Party
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.crew import crews
from nachos_jax.protocol.design import protocols
from nachos_jax.protocol.design.study import Ending, Study
from nachos_jax.protocol.model import export, external, final_masks
from nachos_jax.protocol.model.tested_masks import WHOLE
from nachos_jax.protocol.run import baselines, solvers
from nachos_jax.protocol.run.opening import Run, begin, open_run
from nachos_jax.protocol.run.progress import Progress
from nachos_jax.protocol.study.conduct import Conductor
from nachos_jax.records.schema import FitRecord, Outcome
from nachos_jax.records.store import RunDirectory


def deploy(
    config: RunConfig,
    workdir: str,
    cohort: Cohort | None = None,
    quiet: bool = False,
    party: Party | None = None,
) -> Path:
    """Builds the model to ship and exports it to WORKDIR/deploy.

    Args:
        config: the checked configuration.
        workdir: the run directory, that of the estimate or another.
        cohort: the cases, or None to load what the config names.
        quiet: show no progress.
        party: the other processes of this launch, of which this one is number 0; None when it is alone.

    Returns:
        The folder of the model.

    Raises:
        UsageError: nothing was trained because something must be mended first, or the search failed.
    """
    baselines.check_deployable(config)
    run = open_run(config, workdir, "deploy", cohort, _check_solver)
    begin(run)
    study = protocols.of(config).deployment(run.folds, run.cases, run.config)
    folder = Path(workdir) / "deploy"
    crew = crews.gather(run, party)
    ending = Ending(
        fits=_last,
        finish=lambda study, outcome, records: _export(run, study, outcome, records, folder),
        # Exporting costs nothing beside training, so a folder that was deleted or outdated is made anew.
        finished=lambda _: False,
    )
    Conductor(run, [study], crew, ending, Progress("deploy", quiet)).conduct()
    return folder


def _check_solver(config: RunConfig, store: RunDirectory) -> None:
    """Refuses to go on with what another solver has begun, see `solvers.check_early`."""
    deployment = protocols.of(config).deployment
    solvers.check_early(store, config, lambda folds, cases: [deployment(folds, cases, config)], _last)


def _last(study: Study, outcome: Outcome) -> list[Fit]:
    return [*network_fits(study, outcome), *study.judges(outcome)]


def network_fits(study: Study, outcome: Outcome) -> list[Fit]:
    """The fit on all cases, or with members = "folds" the K fits that each leave one fold out.

    Of an ensemble those of each of its configurations.
    """
    whole = study.refits(outcome)
    if study.run.members == "one":
        return whole
    return [replace(fit, left_out=(v,)) for fit in whole for v in study.inner]


def _export(run: Run, study: Study, outcome: Outcome, records: list[FitRecord], folder: Path) -> None:
    count = len(network_fits(study, outcome))
    records, judges = records[:count], records[count:]
    lost = next((record for record in records if record.status == "diverged"), None)
    if lost is not None:
        who = "The selected trial" if lost.hparams == records[0].hparams else "A trial of the ensemble"
        rate = lost.hparams.get("learning_rate")
        told = "" if rate is None else f" (learning_rate {rate:g})"
        raise UsageError(
            f"{who}{told} met NaN or infinity when it was trained on more cases: lower the learning rates in "
            "config.search.space and use a new --workdir."
        )
    final = final_masks.choice(run, study, outcome, judges) if final_masks.wanted(run.config) else None
    export.write(run, outcome, records, folder, final)
    external.test_deployed(run, records, final_masks.kept(final) if final else WHOLE)
