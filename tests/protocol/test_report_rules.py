"""Fields of config.report that nothing would read, or that a metric contradicts, are refused at the door."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data.columns import Columns
from nachos_jax.data.table import CaseTable
from nachos_jax.metrics import classification as metrics
from nachos_jax.protocol.run import class_words, door, report_rules
from nachos_jax.report.sections import registry
from nachos_jax.tasks.classification import TASK
from tests import tiny

TABLE = CaseTable(np.asarray(["a", "b", "c", "d"]), np.asarray(["P1", "P1", "P2", "P2"]))


def _check(
    task: str,
    names: tuple[str, ...],
    metric: str = "",
    begun: bool = False,
    protocol: str = "nested",
    **report: Any,
) -> list[str]:
    wanted = {"subgroups": (), "unit": "", "pool": "mean", "headline": "case", "positive": ""}
    run: Any = SimpleNamespace(
        task=task,
        protocol=protocol,
        search=SimpleNamespace(metric=metric),
        report=SimpleNamespace(**{**wanted, "threshold": "youden", **report}),
    )
    targets: Any = SimpleNamespace(names=names, noun="label" if task == "multilabel" else "class")
    report_rules.check(run, SimpleNamespace(table=TABLE, targets=targets), begun)  # pyrefly: ignore[bad-argument-type]
    return class_words.warnings(run, targets)


@pytest.mark.parametrize(
    ("task", "report", "told"),
    [
        ("multilabel", {"positive": "a"}, r"config\.report\.positive = 'a' .*set it to ''"),
        ("segmentation", {"positive": "a"}, r"config\.report\.positive = 'a' .*set it to ''"),
        ("regression", {"positive": "a"}, r"config\.report\.positive = 'a' .*set it to ''"),
        (
            "segmentation",
            {"threshold": "cost(1, 5)"},
            r"threshold = 'cost\(1, 5\)' .*set it back to 'youden'",
        ),
        ("regression", {"threshold": "cost(1, 5)"}, r"threshold = 'cost\(1, 5\)' .*set it back to 'youden'"),
        ("multilabel", {"threshold": "cost(1, 5)", "protocol": "flat"}, "'flat', which .* back to 'youden'"),
        ("classification", {"positive": "c"}, "must be a class: a, b"),
    ],
)
def test_what_no_task_reads_is_refused(task: str, report: dict[str, Any], told: str):
    with pytest.raises(UsageError, match=told):
        _check(task, ("a", "b"), **report)


def test_a_threshold_of_several_classes_needs_the_one_that_it_decides_about():
    with pytest.raises(UsageError, match=r"does nothing of 3 classes: name .* in config\.report\.positive"):
        _check("classification", ("a", "b", "c"), threshold="cost(1, 5)")
    _check("classification", ("a", "b", "c"), threshold="cost(1, 5)", positive="b")


def test_what_is_read_stands():
    _check("classification", ("a", "b"), positive="a", threshold="cost(1, 5)")
    _check("multilabel", ("a", "b"), threshold="cost(1, 5)")
    _check("regression", ("a",))
    _check("segmentation", ("a", "b"), begun=True, positive="a", threshold="cost(1, 5)")


def test_masks_have_no_positive_class_that_could_be_healthy():
    assert _check("segmentation", ("lesion", "normal")) == []
    assert _check("multilabel", ("lesion", "normal")) == []
    assert "called like the healthy one" in _check("classification", ("lesion", "normal"))[0]


def test_average_precision_is_of_the_last_of_two_classes():
    found = _check("classification", ("ill", "well"), "average_precision", positive="well")
    assert found == []
    with pytest.raises(
        UsageError, match=r"average_precision' is of class 'well'.*data\.classes = \('well', 'ill'\)"
    ):
        _check("classification", ("ill", "well"), "average_precision", positive="ill")
    _check("classification", ("ill", "well"), "average_precision", begun=True, positive="ill")
    _check("classification", ("a", "b", "c"), "average_precision", positive="a")
    _check("classification", ("ill", "well"), "auc", positive="ill")


def test_the_cure_makes_it_the_average_precision_of_the_positive_class():
    texts = ["ill", "well", "well", "ill"]
    scores = np.asarray([0.9, 0.4, 0.6, 0.5])  # of being ill
    columns = Columns("x", list("abcd"), {"label": texts}, str, "name them")
    targets = TASK.targets(columns, ("well", "ill"))
    assert targets.names == ("well", "ill")
    _check("classification", targets.names, "average_precision", positive="ill")
    probabilities = np.stack([1 - scores, scores], axis=1)
    found = metrics.evaluate("average_precision", targets.values, probabilities, targets.names)
    assert found.value == pytest.approx((1 + 2 / 3) / 2)


def test_the_sentence_names_its_class():
    unit = registry.of("classification").unit
    assert unit("average_precision", ("well", "ill")) == " for class ill"
    assert unit("average_precision", ("a", "b", "c")) == ""
    assert unit("auc", ("well", "ill")) == ""


def test_the_door_asks():
    cohort = tiny.cohort()
    run = tiny.run_config()
    door.check(run, cohort, tiny.folds(cohort))
    named = replace(run, report=replace(run.report, positive="nobody"))
    with pytest.raises(UsageError, match="'nobody': must be a class"):
        door.check(named, cohort, tiny.folds(cohort))
