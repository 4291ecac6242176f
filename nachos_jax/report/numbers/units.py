"""The estimate by unit: predictions of the cases of a breast, an exam or a subject taken as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nachos_jax.config.fields import BY_UNIT
from nachos_jax.metrics import pooling
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.cases import CaseRow
from nachos_jax.report.reading.evidence import Evidence

JUDGED_BY = "log_loss"
"""What a learned power is chosen by, over the units of the inner folds."""


@dataclass(frozen=True)
class ByUnit:
    """A run whose cases are units.

    Attributes:
        evidence: tests of units; no inner predictions, so no intervals from them.
        sizes: [U] cases of each unit.
        powers: of each tested outer fold, the power that its predictions were pooled by; None where "learned"
            found no inner predictions and the mean was taken.
    """

    evidence: Evidence
    sizes: np.ndarray
    powers: Mapping[int, float | None]


def by_unit(evidence: Evidence) -> ByUnit | None:
    """The run by config.report.unit; None if it names none."""
    rule, settings = evidence.section.pooling(evidence), evidence.settings
    if not evidence.units or rule is None:
        return None
    unit_of = dict(zip((row.case for row in evidence.cases), evidence.units, strict=True))
    groups, usual = list(pooling.members(evidence.units)), pooling.POWERS.get(settings.pool, 1.0)
    powers = {
        fold: _power(evidence, rule, fold) if settings.pool == "learned" else pooling.POWERS[settings.pool]
        for fold in evidence.tests
    }
    tests = {}
    for fold, (truth, predicted) in evidence.predictions.items():
        test, power = evidence.tests[fold], powers[fold] or 1.0
        found = list(pooling.members([unit_of[case] for case in test.cases]))
        arrays = evidence.section.recorded(
            np.stack([rule.truth(truth[rows], power) for _, rows in found]),
            np.stack([rule.predicted(predicted[rows], power) for _, rows in found]),
        )
        tests[fold] = replace(test, cases=tuple(name for name, _ in found), arrays=arrays, values={})
    whole = replace(
        evidence,
        cases=tuple(_row(evidence, name, rows) for name, rows in groups),
        targets=np.stack([rule.truth(evidence.targets[rows], usual) for _, rows in groups]),
        tests=tests,
        groups={},
        units=(),
        inner={},
    )
    return ByUnit(whole, np.asarray([len(rows) for _, rows in groups]), powers)


def led_by(evidence: Evidence) -> tuple[Evidence, str]:
    """The run whose scores its report leads with, and the column of its units; "" where these are cases."""
    found = by_unit(evidence) if evidence.settings.headline == BY_UNIT else None
    return (evidence, "") if found is None else (found.evidence, evidence.settings.unit)


def units(evidence: Evidence, found: ByUnit | None) -> dict[str, Any] | None:
    """What summary.json says of the units; None without them."""
    if found is None:
        return None
    estimates, settings, sizes = Estimates(found.evidence), evidence.settings, found.sizes
    shown = dict.fromkeys((evidence.headline, *evidence.metrics.SHOWN))
    powers = {str(fold): "max" if power == np.inf else power for fold, power in found.powers.items()}
    return {
        "column": settings.unit,
        **({"leads": True} if settings.headline == BY_UNIT else {}),
        "pool": settings.pool,
        "powers": powers if settings.pool == "learned" else None,
        "units": len(sizes),
        "cases_a_unit": [int(sizes.min()), float(np.median(sizes)), int(sizes.max())],
        "metrics": {name: estimates.metric(name) for name in shown},
    }


def _power(evidence: Evidence, rule: pooling.Rule, fold: int) -> float | None:
    """The power with the lowest log loss on the inner folds of an outer fold, of fits that saw neither."""
    first = evidence.repeat(fold) * evidence.count
    inner = [v for v in range(first, first + evidence.count) if v != fold]
    outputs = evidence.inner.get(fold, {})
    if any(v not in outputs for v in inner):
        return None
    unit_of = dict(zip((row.case for row in evidence.cases), evidence.units, strict=True))
    truth, made = evidence.truth, evidence.section.predicted
    parts = [
        (truth(v)[rows], made(outputs[v])[rows])
        for v in inner
        for _, rows in pooling.members([unit_of[row.case] for row in evidence.members(v)])
    ]
    known = np.stack([rule.truth(values) for values, _ in parts])
    losses = []
    for power in pooling.LEARNED:
        pooled = np.stack([rule.predicted(values, power) for _, values in parts])
        loss = evidence.metrics.evaluate(JUDGED_BY, known, pooled, evidence.classes).value
        losses.append(np.inf if loss is None else loss)
    return pooling.LEARNED[int(np.argmin(losses))]


def _row(evidence: Evidence, name: str, rows: np.ndarray) -> CaseRow:
    first = evidence.cases[int(rows[0])]
    sites = {evidence.cases[int(row)].site for row in rows}
    return CaseRow(name, first.subject, first.site if len(sites) == 1 else "", first.folds)
