"""Finished runs to learn from: one, several over the same cases, or all of a sweep's folder."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from nachos_jax.core.errors import UsageError
from nachos_jax.records import readable
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading import evidence as records
from nachos_jax.report.reading.comparable import Compared, not_the_same

FLAG = "--workdir"


def finished(workdirs: Sequence[str]) -> list[Compared]:
    """Reads finished runs of `nachos evaluate`.

    Args:
        workdirs: run directories, or folders of run directories as `nachos sweep` makes them.

    Raises:
        UsageError: there is no run, one is not finished or given twice, or they differ in their task,
            protocol, selection metric, classes or cases. Folds may differ.
    """
    paths = [path for workdir in workdirs for path in _runs(workdir)]
    names = [Path(path).name or path for path in paths]
    names = names if len(set(names)) == len(names) else paths
    runs = [Compared(name, path, _read(path)) for name, path in zip(names, paths, strict=True)]
    for a, b in itertools.combinations(runs, 2):
        not_the_same(a, b, FLAG)
    for run in runs:
        _whole(run)
        _alike(runs[0], run)
    return runs


def _runs(workdir: str) -> list[str]:
    """The run directory itself, or those in it."""
    if not os.path.isdir(workdir):
        raise UsageError(
            f"{FLAG}: there is no folder {workdir!r}: name run directories of `nachos evaluate`."
        )
    if (Path(workdir) / "records").is_dir():
        return [workdir]
    found = sorted(str(path.parents[1]) for path in Path(workdir).glob("*/records/run.json"))
    if not found:
        raise readable.no_run(RunDirectory(workdir))
    return found


def _read(workdir: str) -> records.Evidence:
    readable.check(workdir)
    return records.read(RunDirectory(workdir))


def _whole(run: Compared) -> None:
    """Refuses a run of which something is still to be done."""
    planned, done = run.evidence.planned, run.evidence.tests
    missing = [str(fold) for fold in range(planned) if fold not in done]
    if not missing:
        return
    what = "no outer fold is tested" if not done else f"outer folds {', '.join(missing)} are not tested"
    what = "its search has not ended" if run.evidence.flat else what
    some = f" (with --outer_folds={','.join(missing)} or without)" if done else ""
    raise UsageError(
        f"{run.workdir} is not finished: {what}; run the same `nachos evaluate` command again{some}, then "
        "study it."
    )


def _alike(a: Compared, b: Compared) -> None:
    """Refuses runs whose scores cannot stand beside each other."""
    facts = {
        "are of different tasks": [run.evidence.task for run in (a, b)],
        "are of different protocols": [run.evidence.protocol.name for run in (a, b)],
        "selected their trials by different metrics": [run.evidence.headline for run in (a, b)],
        "have other classes": [", ".join(run.evidence.classes) for run in (a, b)],
    }
    for what, (one, other) in facts.items():
        if one != other:
            raise UsageError(
                f"{a.workdir} and {b.workdir} {what} ({one}; {other}), so their scores cannot stand beside "
                "each other: study them one by one."
            )
    noun = a.evidence.section.words.noun
    known, others = (run.facts[noun].items() for run in (a, b))
    if known != others:
        raise UsageError(
            f"{a.workdir} and {b.workdir} have other cases or another {noun} of one, like "
            f"{min(known ^ others)[0]!r}, so their scores cannot stand beside each other: study them one by "
            "one."
        )
