"""What trackers log of trials has the sign of its metric, beside that of the outer fold."""

from __future__ import annotations

from nachos_jax.report.tracking import mlflow_runs
from tests.report.checklist_runs import FEW, told
from tests.report.task_cases import NUMBER


def test_the_inner_score_of_a_loss_is_logged_as_it_is_measured(make_run):
    evidence, summary = told(make_run(settings=FEW, folds=3, trials=2, **NUMBER))
    assert not evidence.metrics.METRICS["mae"].higher_is_better
    for entry in mlflow_runs._folds(evidence, summary):
        outcome = evidence.outcomes[int(entry.part.removeprefix("fold_"))]
        score = outcome.scores[outcome.selected].score
        assert score is not None
        assert entry.metrics["inner.score"] == -score
        assert entry.metrics["outer.mae"] > 0


def test_that_of_a_score_stays(make_run):
    evidence, summary = told(make_run(settings=FEW, folds=3, trials=2))
    for entry in mlflow_runs._folds(evidence, summary):
        outcome = evidence.outcomes[int(entry.part.removeprefix("fold_"))]
        assert entry.metrics["inner.score"] == outcome.scores[outcome.selected].score
