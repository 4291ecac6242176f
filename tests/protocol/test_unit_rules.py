"""Units that a report could not show are refused before anything trains, with the cure."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data.table import CaseTable
from nachos_jax.data.targets import Targets
from nachos_jax.protocol.run import door, unit_rules
from nachos_jax.splits.folds import Folds
from nachos_jax.splits.strata import Strata
from tests import tiny

SUBJECTS = np.asarray(["P1", "P1", "P2", "P2"])
TABLE = CaseTable(
    np.asarray(["a", "b", "c", "d"]),
    SUBJECTS,
    columns={"breast": np.asarray(["P1L", "P1L", "P2R", "P2R"]), "side": np.asarray(["L", "R", "L", "R"])},
)


def _named(breasts: Any) -> CaseTable:
    return replace(TABLE, columns={"breast": np.asarray(breasts)})


def _check(
    unit: str,
    *,
    pool: str = "mean",
    headline: str = "case",
    table: CaseTable = TABLE,
    classes: int = 2,
    **run: Any,
) -> None:
    settings: Any = SimpleNamespace(
        report=SimpleNamespace(unit=unit, pool=pool, headline=headline),
        **{"task": "classification", "protocol": "nested", **run},
    )
    targets = SimpleNamespace(values=np.asarray([0, 1, 1, 1]), names=tuple("xyz"[:classes]))
    unit_rules.check(settings, SimpleNamespace(table=table, targets=targets))  # pyrefly: ignore[bad-argument-type]


@pytest.mark.parametrize("unit", ["", "breast", "subject"])
def test_units_that_can_be_shown(unit: str):
    _check(unit)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"unit": "", "pool": "max"}, "does nothing without config.report.unit"),
        ({"unit": "", "headline": "unit"}, "needs config.report.unit"),
        ({"unit": "exam"}, "gives 'breast', 'side', 'subject'"),
        ({"unit": "side"}, "unit 'L' has cases of several subjects"),
        ({"unit": "breast", "classes": 3}, "hold cases of several classes (the first is 'P1L')"),
        ({"unit": "breast", "task": "segmentation"}, "cannot be pooled"),
        ({"unit": "breast", "protocol": "flat"}, "the flat protocol"),
        ({"unit": "breast", "pool": "learned", "task": "regression"}, "'mean' or 'max'"),
        ({"unit": "subject", "table": replace(TABLE, waived=True)}, "a subject of its own"),
        ({"unit": "breast", "table": _named(["A", "", "B", "B"])}, "1 case(s) have none"),
        ({"unit": "breast", "table": _named(TABLE.names)}, "a unit of its own"),
    ],
)  # fmt: skip
def test_units_that_cannot(given: dict[str, Any], told: str):
    with pytest.raises(UsageError) as error:
        _check(**given)
    assert told in str(error.value)


def _undefined(labels: list[int], begun: bool = False, headline: str = "unit") -> list[str]:
    """Of two folds with a positive and a negative case each in two subjects."""
    who = np.asarray(list("AABBCCDD"))
    settings: Any = SimpleNamespace(
        task="classification",
        search=SimpleNamespace(metric="auc"),
        report=SimpleNamespace(unit="subject", pool="mean", headline=headline, positive="yes"),
    )
    values = np.asarray(labels, np.int32)
    targets = Targets(
        "classification",
        ("no", "yes"),
        values,
        Strata(values, ("no", "yes"), True),
        np.eye(2, dtype=bool)[values],
    )
    cohort: Any = SimpleNamespace(table=CaseTable(np.arange(8).astype(str), who), targets=targets)
    folds = Folds(np.asarray([[0, 0, 0, 0, 1, 1, 1, 1]]), 2)
    return unit_rules.undefined(settings, cohort, folds, begun)


def test_a_headline_that_the_units_of_no_fold_define_begins_no_run():
    """By case both classes are in both folds; by subject all have the event."""
    everywhere = [0, 1, 1, 0, 0, 1, 1, 0]
    with pytest.raises(UsageError, match="auc by subject is undefined on every fold \\(no case of no\\)"):
        _undefined(everywhere)
    assert len(_undefined(everywhere, begun=True)) == 2
    assert len(_undefined(everywhere, headline="case")) == 2
    (told,) = _undefined([0, 0, 1, 0, 0, 1, 1, 0])
    assert told == "Fold 1: auc by subject is undefined (no case of no) and has no part in the mean."
    assert _undefined([0, 0, 1, 0, 0, 1, 0, 0]) == []


def test_the_door_asks_for_units_and_keeps_what_may_change_out_of_the_record(monkeypatch, caplog):
    told = "Fold 1: auc by subject is undefined (no case of no) and has no part in the mean."
    monkeypatch.setattr(unit_rules, "undefined", lambda *_: [told])
    cohort = tiny.cohort()
    found = door.check(tiny.run_config(), cohort, tiny.folds(cohort))
    assert told in caplog.text
    assert told not in found, "another unit may be asked for later"
