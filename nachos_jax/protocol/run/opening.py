"""Opening a run: load and check everything, compare with what the directory holds, write what it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nachos_jax.config.differences import differences
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import digest
from nachos_jax.data import census
from nachos_jax.data.table import Cohort
from nachos_jax.engine import planned
from nachos_jax.engine.resume import Checkpoints
from nachos_jax.protocol.run import begun, door, doubts, embedding, environment, outside, unit_rules
from nachos_jax.records import checkpoint, readable, rows
from nachos_jax.records.case_table import CaseRecord
from nachos_jax.records.store import RunDirectory
from nachos_jax.splits import checks
from nachos_jax.splits import folds as folding
from nachos_jax.splits.folds import Folds
from nachos_jax.tasks import registry as tasks

log = logging.getLogger("nachos_jax")


@dataclass(frozen=True)
class Run:
    """A run that may start: its data and folds are known and everything that can be checked was.

    Attributes:
        config: the checked configuration, with what was planned from the cases.
        cohort: the cases.
        folds: their folds.
        store: the run directory.
        cases: hash of the case table with its folds.
        warnings: sentences on cases and folds that can be used but weaken the estimate.
        beyond: those on external cases, which weaken their test.
    """

    config: RunConfig
    cohort: Cohort
    folds: Folds
    store: RunDirectory
    cases: str
    warnings: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()

    @property
    def census(self) -> list[str]:
        """Who is there, for people."""
        return census.lines(self.cohort)

    def checkpoints(self, session: str) -> Checkpoints:
        """Where the process of a session saves its lanes."""
        return Checkpoints(self.store.path / "checkpoints" / self.store.command, session)


First = Callable[[RunConfig, RunDirectory], None]
"""(the config, the run directory) -> refuses what can be known to fail before any case is read."""


def open_run(
    config: RunConfig,
    workdir: str,
    command: str,
    cohort: Cohort | None = None,
    first: First = lambda *_: None,
) -> Run:
    """Loads and checks everything that a new or an old run directory needs; writes nothing.

    Args:
        config: the checked configuration.
        workdir: the run directory.
        command: "evaluate" or "deploy".
        cohort: the cases, or None to load what the config names.
        first: what the command checks before that.

    Returns:
        The run.

    Raises:
        UsageError: the data cannot be used, or the directory belongs to another run.
    """
    readable.check(workdir)
    store = RunDirectory(workdir, command)
    config = begun.settled(config, store)
    _same_config(config, store)
    door.check_config(config)  # again beside the data; alone it takes no time, and decoding may take hours
    first(config, store)
    if cohort is None and store.run() is None and not _went_on(store):
        door.check_fold_key(config)
    if cohort is not None:
        door.check_task(config, cohort)  # before a backbone makes features of it
    cohort = embedding.load(config) if cohort is None else embedding.embedded(config, cohort)
    cohort = outside.parted(config, cohort)
    config = _planned(config, cohort, store)
    folds = _folds(config, cohort, store)
    met = store.external_cases() is not None
    kept = store.run() is not None or _went_on(store)  # without run.json it goes on as it was begun
    warnings = [*cohort.cautions, *door.check(config, cohort, folds, begun=kept)]
    warnings += doubts.check(cohort, kept, met)
    beyond = [*outside.cautions(cohort), *outside.copies(config, cohort, begun=met)]
    cases = digest([cohort.hash, folds.hash])
    return Run(config, cohort, folds, store, cases, tuple(warnings), tuple(beyond))


def _planned(config: RunConfig, cohort: Cohort, store: RunDirectory) -> RunConfig:
    """The config with what it leaves open planned as when the run began.

    Raises:
        UsageError: it was planned otherwise then.
    """
    known = store.run()
    if known is not None and not known.get("planned"):
        return config  # begun before there were plans, or with nothing left open
    found = planned.applied(config, cohort)
    if known is not None and list(found.planned) != known["planned"]:
        then, now = ("; ".join(lines) or "nothing" for lines in (known["planned"], found.planned))
        raise UsageError(
            f"{store.path} began with another plan of what the config leaves open.\n  then: {then}\n  "
            f"now: {now}\nFinish it with the version of nachos_jax that began it, or use a new --workdir."
        )
    return found


def begin(run: Run) -> None:
    """Commits what the run is: the first thing that is written.

    Raises:
        UsageError: the cases or folds of this directory were others.
    """
    run.store.sweep()
    _identify(run)
    checkpoint.prune(run.checkpoints("").root.glob("*"), run.store.fit_ids())


def _same_config(config: RunConfig, store: RunDirectory) -> None:
    known = store.run()
    if known is None:
        return
    changed = differences(known["config"], config.raw, config.table)
    if changed:
        shown = "\n  ".join(changed[:20])
        raise UsageError(
            f"{store.path} holds a run with another config:\n  {shown}\n"
            "Give the new config its own --workdir, or set these fields back to resume this one."
        )


def _folds(config: RunConfig, cohort: Cohort, store: RunDirectory) -> Folds:
    table, known = cohort.table, store.cases()
    if known is not None and not _just_begun(store):
        folds = known.folds_of(table.names, str(store.path))
    else:
        folds = _divided(config, cohort)
        run, stored = store.run(), store.read_table("folds.csv")
        as_then = store.sealed if run is None else digest([cohort.hash, folds.hash]) == run["cases"]
        if stored and not as_then:  # a run of an older version, which may have drawn other folds
            folds = rows.read_rows(stored, table.names)
    checks.check_leakage(folds, table.subjects)
    return folds


def _just_begun(store: RunDirectory) -> bool:
    """Whether a launch has ended after it wrote the cases and before it said what the run is.

    Without run.json, of a run that has gone on, the folds are what its fits were trained by.
    """
    return store.run() is None and not _went_on(store)


def _went_on(store: RunDirectory) -> bool:
    """Whether trials or fits are there."""
    return any(store.records.glob("*/fits/*")) or any(store.records.glob("*/studies/*/*"))


def _divided(config: RunConfig, cohort: Cohort) -> Folds:
    wanted, strata = config.folds, cohort.targets.strata
    try:
        return folding.make(cohort.table, strata, wanted.scheme, wanted.count, wanted.repeats, config.seed)
    except UsageError as error:
        if config.data.subset == 1:
            raise
        raise UsageError(
            f"{error} Only a part of the subjects takes part: you may raise config.data.subset = "
            f"{config.data.subset:g}."
        ) from error


def _identify(run: Run) -> None:
    """Commits what the run is, or refuses a directory whose cases or folds were others."""
    value, known = _identity(run), run.store.run()
    table = run.cohort.table
    record = CaseRecord(table.names, table.subjects, table.sites, run.cohort.targets.values, run.folds)
    if known is None:
        if _just_begun(run.store):
            run.store.forget_cases()
        run.store.commit_cases(record)
        run.store.commit_run(value)
    elif known["cases"] != run.cases:
        raise UsageError(
            f"The cases or folds of {run.store.path} have changed since its first run (hash "
            f"{known['cases']}, now {run.cases}): restore the data and folds.csv, or "
            "give the new data a --workdir of their own."
        )
    _identify_outside(run, known)
    before = environment.changed((known or value)["versions"], value["versions"])
    for name, version in before.items():
        log.warning("this run began with %s %s and goes on with %s", name, version, value["versions"][name])
    for text in (*run.warnings, *run.beyond):
        log.warning("%s", text)
    if run.store.cases() is None:
        run.store.commit_cases(record)
    header, lines = rows.write_rows(record, run.cohort.targets.texts())
    run.store.write_table("folds.csv", header, lines)
    if run.store.command == "evaluate":  # a deployment in the same directory leaves the report as it is
        _write_report_settings(run)
    environment.write(run.store, run.config, run.cases)


def _identify_outside(run: Run, known: Mapping[str, Any] | None) -> None:
    """Commits who the external cases are, or refuses a directory that began with others."""
    cases, there = run.store.external_cases(), run.cohort.outside
    first = (known or {}).get("external", {}).get("hash")
    if there is None and (first or cases):
        raise UsageError(
            f"{run.store.path} tests external cases, and this config names none: name them again in "
            "config.data.external or config.data.external_path."
        )
    if there is None:
        return
    tested = any(run.store.records.glob("*/external/*.json"))
    named = cases.hash if cases else first if tested else None  # what was named and not tested may change
    if named and named != there.hash:
        raise UsageError(
            f"The external cases of {run.store.path} have changed since they were named first: restore the "
            "data. To test the models of a finished run on others, copy its folder, delete "
            "records/external.json and records/*/external in the copy, and name them there."
        )
    if cases is None:
        at_first = known is None or first == there.hash
        after = 0 if at_first else _tested(run)
        run.store.commit_external_cases(outside.record(run.cohort, after, run.beyond))


def _tested(run: Run) -> int:
    """Outer folds whose test is known; by the flat protocol all are when its search has ended."""
    store = RunDirectory(run.store.path)
    flat = store.outcome(None) is not None
    return len(run.folds.numbers()) if flat else len(store.tests())


def _write_report_settings(run: Run) -> None:
    """What the report is to show; it may change from launch to launch, and no fit depends on it."""
    told = {name: run.config.raw["backbone"][name] for name in ("licence", "pretrained_on")}
    texts = {name: text for name, text in told.items() if text}
    run.store.write_settings({**run.config.raw["report"], **({"backbone": texts} if texts else {})})
    table, wanted = run.cohort.table, run.config.report.subgroups
    groups = [group.of(table.columns[group.column].tolist()) for group in wanted]
    titles = [group.column for group in wanted]
    run.store.write_groups({title: list(cells) for title, cells in zip(titles, groups, strict=True)})
    if (units := unit_rules.of(table, run.config.report.unit)) is not None or run.store.units() is not None:
        run.store.write_units([] if units is None else units.tolist())
    header = ["case", *titles]
    rows = [[name, *(column[i] for column in groups)] for i, name in enumerate(table.names.tolist())]
    run.store.write_table("subgroups.csv", header, rows)


def _identity(run: Run) -> dict[str, Any]:
    table, targets, folds = run.cohort.table, run.cohort.targets, run.folds
    task = tasks.of(run.config.task)
    return {
        "task": run.config.task,
        "metrics": {
            name: {"label": row.label, "higher_is_better": row.higher_is_better}
            for name, row in task.metrics.items()
        },
        "config": run.config.raw,
        **({"planned": list(run.config.planned)} if run.config.planned else {}),
        "cases": run.cases,
        **_external(run.cohort.outside),
        "classes": list(targets.names),
        "counts": targets.counts(),
        "n_cases": len(table),
        "n_subjects": len(set(table.subjects.tolist())),
        "n_sites": len(set(table.sites.tolist())) if table.sites is not None else 0,
        "waived": table.waived,
        "folds": {"scheme": run.config.folds.scheme, "count": folds.count, "repeats": folds.repeats},
        "inner_metric": run.config.search.metric,
        **({"back": "trials of all cohorts"} if run.config.search.policy in begun.RUNGS else {}),
        **({} if targets.strata.needed else {"draws": "of an inner fold alone"}),
        **({"losses": "told in one unit"} if "target_sd" in task.kept(run.config.defaults) else {}),
        "preparation": run.cohort.preparation,
        "command": environment.command(),
        "versions": environment.versions(),
        "warnings": list(run.warnings),
        **({"skipped": [list(one) for one in run.cohort.skipped]} if run.cohort.skipped else {}),
    }


def _external(cohort: Cohort | None) -> dict[str, Any]:
    if cohort is None or cohort.table.sites is None:
        return {}
    who = {"cases": len(cohort.table), "subjects": len(set(cohort.table.subjects.tolist()))}
    sites = sorted(set(cohort.table.sites.tolist()))
    return {"external": {"sites": sites, **who, "hash": cohort.hash}}
