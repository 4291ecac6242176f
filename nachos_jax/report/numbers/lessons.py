"""What finished searches teach: rank agreement over epochs, importance, best so far, groups of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nachos_jax.config.field import flat
from nachos_jax.config.fields import BY_UNIT
from nachos_jax.core.errors import UsageError
from nachos_jax.report.numbers.best_so_far import best_so_far, in_groups
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.importance import mattering
from nachos_jax.report.numbers.rank_agreement import rank_agreement
from nachos_jax.report.numbers.repeated import repeated
from nachos_jax.report.reading.comparable import Compared
from nachos_jax.report.reading.finished import finished
from nachos_jax.report.reading.searches import Search, of
from nachos_jax.report.words.phrases import score_decimals, score_label

SCHEMA = 1
SEARCHER = "config.search.searcher"


def lessons(searches: Sequence[Search]) -> dict[str, Any]:
    """All that the records of finished studies teach of their search.

    Returns:
        `trials`, how many there were by status; `ranks`, see `rank_agreement`; `importance`, see `mattering`;
        `best_so_far`, see there.
    """
    return {
        "trials": dict(Counter(trial.status for search in searches for trial in search.trials)),
        "ranks": rank_agreement(searches),
        "importance": mattering(searches),
        "best_so_far": best_so_far(searches),
    }


def of_runs(workdirs: Sequence[str], by: Sequence[str] = (SEARCHER,)) -> dict[str, Any]:
    """What one finished run teaches, or several over the same cases.

    Several runs count as repetitions: rankings and curves are averaged over all their studies, and their
    scores are compared in groups.

    Args:
        workdirs: run directories, or folders of run directories; see `finished`.
        by: config fields whose values make the groups.

    Returns:
        Plain JSON values: `metric`, its `metric_label`, the `label` of scores, `runs`, all of `lessons`, and
        `repeated`, None of one run; `lead_by`, the units that reports lead with, where some do. Scores are
        higher for better; `inner` and `outer` of a run are as its metric has them, both by case.

    Raises:
        UsageError: the runs cannot be studied, no config has such a field, or a group has one run only.
    """
    runs = finished(workdirs)
    searches = {run.name: of(run.evidence, run.name) for run in runs}
    found = lessons([search for ones in searches.values() for search in ones])
    told = [_run(run, searches[run.name], by) for run in runs]
    groups = {run["name"]: run["group"] for run in told}
    found["best_so_far"]["groups"] = in_groups(found["best_so_far"]["studies"], groups)
    first = runs[0].evidence
    in_unit = first.metrics.METRICS[first.headline].in_unit
    leads = {run.evidence.settings.unit for run in runs if run.evidence.settings.headline == BY_UNIT}
    return {
        "schema": SCHEMA,
        "metric": first.headline,
        "label": score_label(first),
        "metric_label": first.metrics.METRICS[first.headline].title + " by case" * bool(leads),
        **({"lead_by": sorted(leads)} if leads else {}),
        **({"decimals": score_decimals(first, found["best_so_far"])} if in_unit else {}),
        "runs": told,
        **found,
        "repeated": repeated(told, by) if len(runs) > 1 else None,
    }


def _run(run: Compared, searches: Sequence[Search], by: Sequence[str]) -> dict[str, Any]:
    """A run: its group, what its search promised, and what the outer folds said."""
    evidence, estimates = run.evidence, Estimates(run.evidence)
    metric, config = evidence.metrics.METRICS[evidence.headline], flat(evidence.run["config"])
    scores = [search.trials[search.selected].score for search in searches]
    inner = sum(filter(None, scores)) / len(scores)
    if evidence.flat:
        outer = estimates.metric(evidence.headline)["estimate"]
    else:
        values = [estimates.of_fold(evidence.headline, fold).value for fold in evidence.tests]
        outer = None if None in values else sum(filter(None, values)) / len(values)
    return {
        "name": run.name,
        "workdir": run.workdir,
        "group": ", ".join(_field(run, config, name) for name in by),
        "studies": len(searches),
        "trials": sum(len(search.trials) for search in searches),
        "epochs": sum(trial.epochs for search in searches for trial in search.trials),
        "inner": inner if metric.higher_is_better else -inner,
        "outer": outer,
    }


def _field(run: Compared, config: Mapping[str, Any], name: str) -> str:
    """A field of the config as text."""
    key = name.removeprefix("config.")
    if key not in config:
        raise UsageError(
            f"--by={name}: the config of {run.workdir} has no such field; `nachos config` lists them, like "
            f"{SEARCHER}."
        )
    value = config[key]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
