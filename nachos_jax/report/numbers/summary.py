"""summary.json: every number of the report, derived from records alone."""

from __future__ import annotations

from typing import Any

from nachos_jax.report.numbers.cautions import cautions
from nachos_jax.report.numbers.columns import columns
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.external import external
from nachos_jax.report.numbers.spent import spent
from nachos_jax.report.numbers.subgroup_values import subgroups
from nachos_jax.report.numbers.units import by_unit, units
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.reading.shown import shown
from nachos_jax.report.words import sentence

SCHEMA = 2


def summarise(evidence: Evidence, estimates: Estimates | None = None) -> dict[str, Any]:
    """The summary of a run, finished or not, as plain JSON values."""
    estimates, pooled = estimates or Estimates(evidence), by_unit(evidence)
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "progress": _progress(evidence),
        "data": _data(evidence),
        "protocol": evidence.protocol.name,
        "headline": evidence.headline,
        "shown": _shown(evidence),
        "level": evidence.settings.level,
        "replicates": estimates.resampling.replicates,
        "metrics": {name: estimates.metric(name) for name in _ordered(evidence)},
        "subgroups": subgroups(evidence, estimates),
        "units": units(evidence, pooled),
        "outer_folds": [_outer_fold(evidence, fold) for fold in evidence.tests],
        "trials": _trials(evidence),
        "spent": spent(evidence),
        "training_share": _training_share(evidence),
        **evidence.section.numbers(evidence, estimates),
    }
    beyond = external(evidence, estimates, summary["metrics"])
    summary |= {} if beyond is None else {"external": beyond}
    asked = columns(evidence, summary["metrics"])
    summary |= {} if asked is None else {"columns": asked}
    summary["cautions"] = cautions(evidence, summary, pooled.evidence if pooled else evidence)
    return {
        "sentence": sentence.estimate(summary, evidence.section),
        "caveats": sentence.caveats(summary, evidence.section, evidence.run.get("warnings", ())),
        **summary,
    }


def _shown(evidence: Evidence) -> list[str]:
    """Metrics of the tables, the headline first."""
    return list(dict.fromkeys((evidence.headline, *evidence.metrics.SHOWN)))


def _ordered(evidence: Evidence) -> list[str]:
    """All metrics, those of the tables first."""
    return list(dict.fromkeys((*_shown(evidence), *evidence.metrics.METRICS)))


def _progress(evidence: Evidence) -> dict[str, Any]:
    planned = range(evidence.planned)
    return {
        "outer_folds_planned": evidence.planned,
        "outer_folds_tested": len(evidence.tests),
        "outer_folds_missing": [fold for fold in planned if fold not in evidence.tests],
        "folds_a_repeat": evidence.count,
        "repeats": evidence.repeats,
        "scheme": evidence.run["folds"]["scheme"],
        "cases_tested": len({case for test in evidence.tests.values() for case in test.cases}),
        "subjects_tested": len(
            {evidence.by_case[case].subject for test in evidence.tests.values() for case in test.cases}
        ),
        "repeats_tested": len({evidence.repeat(fold) for fold in evidence.tests}),
    }


def _data(evidence: Evidence) -> dict[str, Any]:
    run = evidence.run
    return {
        "cases": run["n_cases"],
        "subjects": run["n_subjects"],
        "sites": run["n_sites"],
        "subjects_waived": run["waived"],
        "classes": list(evidence.classes),
        "counts": dict(run["counts"]),
        "hash": run["cases"],
        **({"skipped": run["skipped"]} if run.get("skipped") else {}),
    }


def _outer_fold(evidence: Evidence, fold: int) -> dict[str, Any]:
    study = evidence.protocol.study(fold)
    test, chosen = evidence.tests[fold], evidence.selected(study)
    score = None if chosen is None else evidence.score(study, chosen.number)
    return {
        "outer_fold": fold,
        "repeat": evidence.repeat(fold) + 1,
        "cases": len(test.cases),
        "subjects": len({evidence.by_case[case].subject for case in test.cases}),
        "training_cases": len(evidence.cases) - len(test.cases),
        "selected": None if chosen is None else chosen.number,
        "origin": None if chosen is None else chosen.origin,
        "inner_score": None if score is None else as_measured(evidence, score.score),
        "hparams": None if chosen is None else dict(shown(chosen.hparams, evidence)),
        "epochs": None if chosen is None else evidence.outcomes[study].epochs,
        "refit": test.fit,
    }


def as_measured(evidence: Evidence, score: float | None) -> float | None:
    """A trial's score with the sign of its metric: the search turned losses round."""
    return evidence.metrics.METRICS[evidence.headline].turned(score)


def _trials(evidence: Evidence) -> dict[str, Any]:
    scores = [score for outcome in evidence.outcomes.values() for score in outcome.scores]
    return {
        "asked": sum(map(len, evidence.trials.values())),
        "scored": sum(score.status != "stopped" for score in scores),
        "failed": sum(score.status == "failed" for score in scores),
        "stopped": sum(score.status == "stopped" for score in scores),
        "policy": evidence.run["config"].get("search", {}).get("policy", "full"),
        "studies_finished": len(evidence.outcomes),
    }


def _training_share(evidence: Evidence) -> list[float] | None:
    """Smallest and largest share of the cases that a refit was trained on."""
    sizes = [len(test.cases) for test in evidence.tests.values()]
    n = len(evidence.cases)
    return [1 - max(sizes) / n, 1 - min(sizes) / n] if sizes else None
