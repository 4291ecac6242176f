"""The CSV files of a run: one row a prediction, one row a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.reading.shown import shown

Table = tuple[list[str], list[list[Any]]]
"""Header and rows; None is an empty field."""


def predictions(evidence: Evidence) -> Table:
    """predictions.csv: one row a tested case and repeat, in order of repeat and case table.

    Probabilities are written in full, so every number of the summary can be recomputed from the file.
    """
    section = evidence.section
    header = ["case", "subject", "site", "repeat", "outer_fold", *section.columns(evidence.classes)]
    place = {row.case: index for index, row in enumerate(evidence.cases)}
    rows: list[list[Any]] = []
    for fold, (truth, predicted) in evidence.predictions.items():
        told = section.rows(truth, predicted, evidence.classes)
        for case, cells in zip(evidence.tests[fold].cases, told, strict=True):
            known = evidence.by_case[case]
            rows.append([case, known.subject, known.site, evidence.repeat(fold) + 1, fold, *cells])
    rows.sort(key=lambda row: (row[3], place[row[0]]))
    return header, rows


def external_predictions(evidence: Evidence) -> Table:
    """external_predictions.csv: one row an external case and model, models in the order of their tests."""
    found, section = evidence.external, evidence.section
    header = ["case", "subject", "site", "model", *section.columns(evidence.classes)]
    rows: list[list[Any]] = []
    if found is None:
        return header, rows
    columns = (found.cases.names, found.cases.subjects, found.cases.sites)
    for test in (*found.folds.values(), *found.deployed):
        outcome = section.outcome(test.arrays, len(evidence.classes))
        told = section.rows(*outcome, evidence.classes) if outcome else ()
        for *known, cells in zip(*(column.tolist() for column in columns), told, strict=True):
            rows.append([*known, test.model, *cells])
    return header, rows


def external_shift(summary: Mapping[str, Any]) -> Table:
    """external_shift.csv: what was compared of cases inside and external ones, one row a quantity.

    Differences are in standard deviations; what has no interval has empty ends.
    """
    parts = ("inside", "external", "difference")
    ends = [f"{part}{end}" for part in parts for end in ("", "_low", "_high")]
    rows = [
        [row["name"], *((row[part] or {}).get(end) for part in parts for end in ("value", "low", "high"))]
        for row in summary["external"]["shift"]["rows"]
    ]
    return ["quantity", *ends], rows


def column_drops(summary: Mapping[str, Any]) -> Table:
    """column_drops.csv: one row a column and outer fold; all together have no name."""
    found = summary["columns"]
    rows = [
        [row["column"], fold, *(value[name] for name in ("plain", "permuted", "worse_by"))]
        for row in (*found["rows"], *filter(None, [found["together"]]))
        for fold, value in row["folds"].items()
    ]
    return ["column", "outer_fold", "as_they_are", "permuted", "worse_by"], rows


def trials(evidence: Evidence) -> Table:
    """trials.csv: one row a trial of every study, then one column a hyperparameter.

    Status is "done", "failed", "stopped" by the policy, or "open" while the study goes on; inactive
    hyperparameters are empty.
    """
    names = hyperparameters(evidence)
    header = ["study", "number", "origin", "status", "score", "spread", "epochs", "selected", *names]
    rows = []
    for fold, study in evidence.trials.items():
        chosen = evidence.selected(fold)
        for trial in study:
            score = evidence.score(fold, trial.number)
            if score is None:
                judged = ["open", None, None, None, None]
            else:
                is_chosen = chosen is not None and chosen.number == trial.number
                judged = [score.status, score.score, score.spread, score.epochs, _text(is_chosen)]
            hparams = shown(trial.hparams, evidence)
            values = [_text(hparams.get(name)) for name in names]
            rows.append([fold, trial.number, trial.origin, *judged, *values])
    return header, rows


def hyperparameters(evidence: Evidence) -> list[str]:
    """Names of all hyperparameters of all trials, sorted."""
    return sorted({name for study in evidence.trials.values() for trial in study for name in trial.hparams})


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
