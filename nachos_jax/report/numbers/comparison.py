"""Two or more runs over the same outer folds: which differences were shown, and how likely they matter."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nachos_jax.config.fields import BY_CASE
from nachos_jax.core.errors import UsageError
from nachos_jax.metrics.contract import Metric
from nachos_jax.metrics.value import Value
from nachos_jax.records import readable
from nachos_jax.records.store import RunDirectory, dump, write_atomic
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.units import by_unit
from nachos_jax.report.reading import evidence as records
from nachos_jax.report.reading.comparable import Compared, check, leading_by, same_unit_targets
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words import comparison_text
from nachos_jax.report.words.format import FINER, in_sentence, places
from nachos_jax.statistics.comparison import corrected_t, correlated_t, describe, holm
from nachos_jax.statistics.folds import summary

SCHEMA = 1
LEVEL = 0.95
ROPE = 0.01
"""Half width of the region of practical equivalence of metrics that have no unit."""
Scores = dict[str, dict[int, Value]]
"""The metric of each run by its name: values by outer fold, in the order of their numbers."""


def compare(
    workdirs: Sequence[str], metric: str | None = None, rope: float | None = None, by: str | None = None
) -> dict[str, Any]:
    """Compares runs, each with each, as plain JSON values.

    Differences are those of the first run of a pair minus the second, one an outer fold. Probabilities are
    of the mean difference, turned so that "better" means higher, or lower for a loss.

    Args:
        workdirs: two or more run directories of `nachos evaluate`.
        metric: key of the task's METRICS, or None for what the runs' trials were selected by.
        rope: half width of the region of practical equivalence, in the metric's unit; None for `ROPE`.
        by: "case" or "unit" (config.report.unit), or None for what the runs' reports lead with.

    Returns:
        The comparison, with its words.

    Raises:
        UsageError: the runs cannot be compared, see `comparable.check`, there is no such metric, it has a
            unit and no region is given, or they have no units, or others, or units with other targets.
    """
    runs = [Compared(name, workdir, _read(workdir)) for name, workdir in _named(workdirs)]
    check(runs)
    chosen = _metric(runs, metric)
    measured = runs[0].evidence.metrics.METRICS[chosen]
    rope = _rope(measured, rope)
    told = None if leading_by(runs, by) == BY_CASE else _units(runs)
    if told:
        runs = [replace(run, evidence=_by_unit(run)) for run in runs]
        same_unit_targets(runs)
    first = runs[0].evidence
    scores = {run.name: _values(run.evidence, chosen) for run in runs}
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "metric": chosen,
        "label": measured.title + (f" by {told['column']}" if told else ""),
        "higher_is_better": measured.higher_is_better,
        "level": LEVEL,
        "rope": rope,
        "unit": "outer folds",
        "folds": _folds(first),
        "data": {
            "cases": first.run["n_cases"],
            "subjects": first.run["n_subjects"],
            "subjects_waived": first.run["waived"],
            "classes": list(first.classes),
        },
        **({"units": told} if told else {}),
        "runs": [_run(run, scores[run.name]) for run in runs],
        "pairs": _pairs(scores, measured.higher_is_better, first, rope),
    }
    if measured.in_unit:
        result["decimals"] = _decimals(result)
    words = [comparison_text.pair(result, pair) for pair in result["pairs"]]
    return {"words": words, "caveats": comparison_text.caveats(result), **result}


def _folds(evidence: Evidence) -> dict[str, Any]:
    return {
        "scheme": evidence.run["folds"]["scheme"],
        "of_sites": evidence.of_sites,
        "folds_a_repeat": evidence.count,
        "repeats": evidence.repeats,
        "planned": evidence.planned,
        "tested": sorted(evidence.tests),
        "ratio": evidence.ratio,
    }


def write(result: dict[str, Any], folder: str) -> Path:
    """Writes comparison.json and comparison.md into a folder, made if need be; returns the latter.

    Raises:
        UsageError: the folder cannot be made or written to.
    """
    write_atomic(Path(folder) / "comparison.json", dump(result))
    path = Path(folder) / "comparison.md"
    write_atomic(path, comparison_text.markdown(result).encode())
    return path


def _named(workdirs: Sequence[str]) -> list[tuple[str, str]]:
    """Runs by the name of their folder; by their whole path where two folders have the same name."""
    if len(workdirs) < 2:
        raise UsageError(
            f"--runs={','.join(workdirs)}: a comparison needs at least two runs; write --runs=DIR,DIR."
        )
    names = [Path(workdir).name or workdir for workdir in workdirs]
    return list(zip(names if len(set(names)) == len(names) else workdirs, workdirs, strict=True))


def _read(workdir: str) -> Evidence:
    if not os.path.isdir(workdir):
        raise UsageError(
            f"--runs: there is no folder {workdir!r}: name run directories of `nachos evaluate`."
        )
    readable.check(workdir)
    return records.read(RunDirectory(workdir))


def _metric(runs: Sequence[Compared], metric: str | None) -> str:
    if metric is None:
        chosen = {run.name: run.evidence.headline for run in runs}
        if len(set(chosen.values())) > 1:
            told = ", ".join(f"{name} by {key}" for name, key in chosen.items())
            raise UsageError(
                f"the runs selected their trials by different metrics ({told}): say which one to compare "
                f"with --metric={runs[0].evidence.headline} or another."
            )
        return runs[0].evidence.headline
    known = runs[0].evidence.metrics.METRICS
    if metric not in known:
        raise UsageError(f"--metric={metric}: there is no such metric; choose one of {', '.join(known)}.")
    return metric


def _rope(metric: Metric, rope: float | None) -> float:
    if rope is None and metric.in_unit:
        raise UsageError(
            f"--rope is left out, and its {ROPE} is for metrics without a unit: {in_sentence(metric.label)} "
            "is in one. Say there which differences do not matter, like --rope=0.5, or --rope=0 that all do."
        )
    return ROPE if rope is None else rope


def _decimals(result: Mapping[str, Any]) -> int:
    """With how many decimals runs and their differences are shown, which may vary much less than the runs."""
    each = [places(run["mean"], run["se"]) for run in result["runs"]]
    apart = [places(None, pair["test"]["se"]) for pair in result["pairs"] if pair["test"]["se"]]
    return max([*each, *(min(found, max(each) + FINER) for found in apart)])


def _units(runs: Sequence[Compared]) -> dict[str, Any]:
    """What the comparison says of the units, and of how each run pools the predictions of their cases."""
    settings = [run.evidence.settings for run in runs]
    return {
        "column": settings[0].unit,
        "units": len(set(runs[0].evidence.units)),
        "pools": {run.name: one.pool for run, one in zip(runs, settings, strict=True)},
    }


def _by_unit(run: Compared) -> Evidence:
    found = by_unit(run.evidence)
    assert found is not None  # `leading_by` has seen to it
    return found.evidence


def _values(evidence: Evidence, metric: str) -> dict[int, Value]:
    return {fold: Estimates(evidence).of_fold(metric, fold) for fold in sorted(evidence.tests)}


def _run(run: Compared, values: dict[int, Value]) -> dict[str, Any]:
    return {
        "name": run.name,
        "workdir": run.workdir,
        "headline": run.evidence.headline,
        "folds": {str(fold): asdict(value) for fold, value in values.items()},
        **asdict(summary([value.value for value in values.values()], run.evidence.count)),
    }


def _pairs(runs: Scores, higher: bool, evidence: Evidence, rope: float) -> list[dict[str, Any]]:
    pairs = [_pair(a, b, runs, evidence, rope) for a, b in itertools.combinations(runs, 2)]
    adjusted = holm([pair["test"]["p"] for pair in pairs])
    for pair, p in zip(pairs, adjusted, strict=True):
        better = pair["posterior"]["above"], pair["posterior"]["below"]
        a_better, b_better = better if higher else better[::-1]
        inside = pair["posterior"]["inside"]
        pair["probabilities"] = {"a_better": a_better, "equivalent": inside, "b_better": b_better}
        pair["p_holm"] = p
        pair["shown"] = p is not None and p < 1 - LEVEL
    return pairs


def _pair(a: str, b: str, runs: Scores, evidence: Evidence, rope: float) -> dict[str, Any]:
    differences = {fold: _difference(value, runs[b][fold]) for fold, value in runs[a].items()}
    values, count, ratio = list(differences.values()), evidence.count, evidence.ratio
    found = describe(values, count)
    return {
        "a": a,
        "b": b,
        "differences": {str(fold): value for fold, value in differences.items()},
        "mean": found.mean,
        "sd": found.sd,
        "count": found.count,
        "note": found.note,
        "test": asdict(corrected_t(values, count, LEVEL, ratio)),
        "posterior": asdict(correlated_t(values, count, rope, ratio)),
    }


def _difference(a: Value, b: Value) -> float | None:
    return None if a.value is None or b.value is None else a.value - b.value
