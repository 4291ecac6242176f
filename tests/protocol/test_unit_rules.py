"""Units that a report could not show are refused before anything trains, with the cure."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data.table import CaseTable
from nachos_jax.protocol.run import unit_rules

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
