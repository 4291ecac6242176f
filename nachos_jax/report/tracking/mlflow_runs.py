"""A run in MLflow, made from records: one parent and one nested run an outer fold.

The only file that imports mlflow. Runs are found again by their tags, so that writing again brings them up
to date and adds none twice.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nachos_jax.config.fields import BY_CASE, BY_UNIT
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import digest
from nachos_jax.records.store import RunDirectory, dump
from nachos_jax.report.numbers.summary import as_measured, summarise
from nachos_jax.report.reading import evidence as records
from nachos_jax.report.reading.evidence import Evidence

EXPERIMENT = "nachos"
RUN, PART, CONFIG = "nachos.run", "nachos.part", "nachos.config"
DATABASE = r"(sqlite|postgresql|mysql|mssql)(\+\w+)?:"
"""How the address of a database begins."""
LONGEST = 5000
"""Characters of a parameter or tag that MLflow takes."""


@dataclass(frozen=True)
class Entry:
    """What one MLflow run shall hold.

    Attributes:
        part: "study", or the outer fold like "fold_00": its tag among the parts of a run.
        name: for people.
        params: constants; once logged they cannot change.
        metrics: numbers.
        tags: texts.
        step: of the metrics: how many outer folds they are made from, 0 for one fold.
        finished: whether nothing is to come.
    """

    part: str
    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    step: int
    finished: bool


def write(workdir: str | os.PathLike, uri: str, experiment: str = EXPERIMENT) -> str:
    """Writes or updates the MLflow runs of a run directory.

    Args:
        workdir: the run directory of a `nachos evaluate`, finished or not.
        uri: tracking server or database.
        experiment: name of the MLflow experiment, made if need be.

    Returns:
        What was written, in words.

    Raises:
        UsageError: mlflow is not installed or its server cannot be used, or there is no run.
    """
    client_type, failures = _imported(uri)
    evidence = records.read(RunDirectory(workdir))
    summary = summarise(evidence)
    parent, folds = _parent(evidence, summary, Path(workdir)), _folds(evidence, summary)
    try:
        tracking = _Tracking(client_type(uri), experiment, digest(dict(evidence.run)))
        known = tracking.put(parent, None)
        tracking.artifacts(known, summary, Path(workdir))
        for entry in folds:
            tracking.put(entry, known)
    except failures as error:
        told = " ".join(str(error).split())[:300].rstrip(".")
        raise UsageError(
            f"--mlflow={uri}: MLflow cannot be written to ({told}); mend the address or the server and run "
            "the same command again, it adds what is lacking."
        ) from error
    return f"{uri} (experiment {experiment}: run {parent.name} with {len(folds)} nested runs)"


class _Tracking:
    """One experiment of an MLflow store, and the run directory whose runs are written."""

    def __init__(self, client: Any, experiment: str, run: str):
        self.client, self.run = client, run
        known = client.get_experiment_by_name(experiment)
        if known is not None and known.lifecycle_stage != "active":
            raise UsageError(
                f"--experiment={experiment}: this MLflow experiment is deleted; restore it or name another."
            )
        self.experiment = client.create_experiment(experiment) if known is None else known.experiment_id

    def put(self, entry: Entry, parent: str | None) -> str:
        """Writes what the run of this entry lacks; returns its MLflow id."""
        from mlflow.entities import Metric, Param, RunTag

        found = self._find(entry.part) or self.client.create_run(
            self.experiment,
            tags={
                RUN: self.run,
                PART: entry.part,
                **({} if parent is None else {"mlflow.parentRunId": parent}),
            },
            run_name=entry.name,
        )
        run, data, now = found.info.run_id, found.data, int(time.time() * 1000)
        points = [
            Metric(key, value, now, entry.step)
            for key, value in entry.metrics.items()
            if not self._logged(run, key, value, entry.step, data.metrics)
        ]
        params = [Param(key, value) for key, value in entry.params.items() if key not in data.params]
        told = _texts(entry.tags)
        tags = [RunTag(key, value) for key, value in told.items() if data.tags.get(key) != value]
        for start in range(0, len(params), 100):  # a request takes at most 100 of them
            self.client.log_batch(run, params=params[start : start + 100])
        self.client.log_batch(run, metrics=points, tags=tags)
        if entry.finished and found.info.status != "FINISHED":
            self.client.set_terminated(run, "FINISHED")
        return run

    def artifacts(self, run: str, summary: Mapping[str, Any], workdir: Path) -> None:
        """summary.json as the records have it now, and the report if there is one."""
        self.client.log_text(run, dump(dict(summary)).decode(), "summary.json")
        if (workdir / "report").is_dir():
            self.client.log_artifacts(run, str(workdir / "report"), "report")

    def _find(self, part: str) -> Any:
        wanted = f"tags.`{RUN}` = '{self.run}' and tags.`{PART}` = '{part}'"
        found = self.client.search_runs([self.experiment], wanted, max_results=1)
        return found[0] if found else None

    def _logged(self, run: str, key: str, value: float, step: int, latest: Mapping[str, float]) -> bool:
        if key not in latest:
            return False
        return any(m.step == step and m.value == value for m in self.client.get_metric_history(run, key))


def _parent(evidence: Evidence, summary: Mapping[str, Any], workdir: Path) -> Entry:
    """The whole nested cross-validation."""
    run, progress = evidence.run, summary["progress"]
    metrics: dict[str, float] = {"outer_folds_tested": float(progress["outer_folds_tested"])}
    for name, metric in summary["metrics"].items():
        # In the flat protocol the folds chose the trial that they then score.
        shown = f"uncorrected.{name}" if evidence.flat else name
        told = {f"{shown}.{key}": metric[key] for key in ("mean", "sd", "se")}
        told |= {f"{name}.estimate": metric["estimate"]}
        if metric["intervals"]:
            told |= {f"{name}.{end}": metric["intervals"][0][end] for end in ("low", "high")}
        metrics |= {key: value for key, value in told.items() if value is not None}
    units = summary.get("units")
    metrics |= _of_units(units, evidence.flat) if units else {}
    params = {
        "cases": run["n_cases"],
        "subjects": run["n_subjects"],
        **evidence.section.parameters(evidence.classes),
        "folds": evidence.count,
        "repeats": evidence.repeats,
        "scheme": run["folds"]["scheme"],
        "headline": evidence.headline,
        "seed": run["config"].get("seed"),
    }
    tags = {
        CONFIG: digest(run["config"]),
        "nachos.cases": str(run["cases"]),
        "nachos.version": str(run.get("versions", {}).get("nachos_jax", "")),
        **({"nachos.unit": units["column"]} if units else {}),
        **({"nachos.leads": BY_UNIT if units.get("leads") else BY_CASE} if units else {}),
        "mlflow.note.content": "\n\n".join([summary["sentence"], *summary["caveats"]]),
    }
    name = workdir.resolve().name or "run"
    step, finished = progress["outer_folds_tested"], not progress["outer_folds_missing"]
    return Entry("study", name, _texts(params), metrics, tags, step, finished)


def _of_units(units: Mapping[str, Any], flat: bool) -> dict[str, float]:
    """Scores of the units above the cases, over outer folds; named as those of cases are."""
    found: dict[str, float | None] = {"units": float(units["units"])}
    for name, metric in units["metrics"].items():
        shown = f"uncorrected.unit.{name}" if flat else f"unit.{name}"
        found |= {f"{shown}.{key}": metric[key] for key in ("mean", "sd", "se")}
        found |= {f"unit.{name}.estimate": metric["estimate"]}
        if metric["intervals"]:
            found |= {f"unit.{name}.{end}": metric["intervals"][0][end] for end in ("low", "high")}
    return {key: value for key, value in found.items() if value is not None}


def _folds(evidence: Evidence, summary: Mapping[str, Any]) -> list[Entry]:
    """Outer folds whose study is finished, tested or not yet; the flat protocol has one study for all."""
    return [_fold(evidence, summary, fold) for fold in evidence.outcomes]


def _fold(evidence: Evidence, summary: Mapping[str, Any], fold: int | None) -> Entry:
    outcome = evidence.outcomes[fold]
    test = None if fold is None else evidence.tests.get(fold)
    score = outcome.scores[outcome.selected]
    inner = as_measured(evidence, score.score)
    told = {"inner.score": inner, "inner.spread": score.spread, "epochs": float(outcome.epochs)}
    tags = {CONFIG: digest(evidence.run["config"])}
    tags |= {"nachos.trial": str(outcome.selected), "nachos.origin": outcome.trials[outcome.selected].origin}
    if test is not None:
        tags |= {"nachos.fit": test.fit, "nachos.outer_fold": str(fold)}
        for name, metric in summary["metrics"].items():
            value = metric["folds"][str(fold)]
            told[f"outer.{name}"] = value["value"]
            if value["note"]:
                tags[f"nachos.note.{name}"] = value["note"]
        for name, metric in (summary.get("units") or {"metrics": {}})["metrics"].items():
            told[f"outer.unit.{name}"] = metric["folds"][str(fold)]["value"]
    metrics = {key: value for key, value in told.items() if value is not None}
    hparams = _texts(outcome.trials[outcome.selected].hparams)
    part = "flat" if fold is None else f"fold_{fold:02d}"
    name = "search" if fold is None else f"outer {part}"
    return Entry(part, name, hparams, metrics, tags, 0, fold is None or test is not None)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value)[:LONGEST] for key, value in values.items() if value is not None}


def _imported(uri: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """MLflow's client and the errors that it raises.

    Raises:
        UsageError: mlflow is not installed, or lacks what it needs for a database.
    """
    # Nothing of a study leaves this machine but to the address that the user named.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Else an address where nobody listens is tried for four minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    failures: tuple[type[Exception], ...] = (OSError,)
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        failures += (MlflowException,)
        if re.match(DATABASE, uri):
            from alembic.util import CommandError
            from sqlalchemy.exc import SQLAlchemyError

            failures += (SQLAlchemyError, CommandError)
    except ImportError as error:
        raise UsageError(
            f"--mlflow={uri} needs a package that cannot be imported ({error}): install it with "
            "`pip install 'nachos_jax[tracking]'` or `pip install mlflow-skinny sqlalchemy alembic`."
        ) from error
    for name in ("mlflow", "alembic"):  # they tell of every table that they make
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient, failures
