"""What a column adds, beside images or alone: by how much refits are worse once its values are permuted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.records.columns import ColumnTest
from nachos_jax.report.numbers.estimates import SITES, noted
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.statistics.intervals import corrected_t

ALL = ""
"""Name of the row of all columns together."""


def columns(evidence: Evidence, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """What summary.json says of the columns; None of a run without.

    The unit is the outer fold: in each, the mean over permutations of what is lost.

    Args:
        evidence: of the run.
        metrics: the entry "metrics" of the summary, with the decimals of the headline.
    """
    tests = [evidence.columns[fold] for fold in sorted(evidence.columns)]
    if not tests or evidence.headline != tests[0].metric:
        return None
    names = list(tests[0].columns)
    # A fold that an older version asked may have more of them one by one.
    single = [name for name in names if all(test.columns.get(name) for test in tests)]
    rows = [_row(evidence, tests, name, lambda test, name=name: test.columns[name]) for name in single]
    together = _row(evidence, tests, ALL, lambda test: test.together) if len(names) > 1 else None
    return {
        "metric": evidence.headline,
        "label": evidence.metrics.METRICS[evidence.headline].title,
        **{key: value for key, value in metrics[evidence.headline].items() if key == "decimals"},
        "repeats": len(tests[0].together),
        "left_out": len(names) - len(single),
        "beside_images": not _alone(evidence.run.get("preparation", {})),
        "rows": rows,
        "together": together,
    }


def _alone(preparation: Mapping[str, Any]) -> bool:
    """Whether cases are columns and nothing else."""
    return "features" in preparation and "backbone" not in preparation


def _row(
    evidence: Evidence,
    tests: Sequence[ColumnTest],
    name: str,
    of: Callable[[ColumnTest], Sequence[float | None]],
) -> dict[str, Any]:
    metric = evidence.metrics.METRICS[evidence.headline]
    folds = {str(test.outer_fold): _fold(test.plain, of(test)) for test in tests}
    # A tested fold that was not asked is one without a value: the interval tells of it.
    lost = [folds[str(fold)]["worse_by"] if str(fold) in folds else None for fold in sorted(evidence.tests)]
    found = corrected_t(lost, evidence.count, evidence.settings.level, ratio=evidence.ratio)
    found = noted(found, SITES if evidence.of_sites and found.low is not None else "")
    known = [value for value in lost if value is not None]
    turned = {key: {**value, **_as_measured(metric.turned, value)} for key, value in folds.items()}
    return {
        "column": name,
        "worse_by": found.estimate,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "interval": asdict(found),
        "folds": turned,
    }


def _fold(plain: float | None, permuted: Sequence[float | None]) -> dict[str, float | None]:
    """Score as it is and with the column permuted, higher is better, and the difference."""
    known = [score for score in permuted if score is not None]
    if plain is None or len(known) < len(permuted):
        return {"plain": plain, "permuted": None, "worse_by": None}
    mean = float(np.mean(known))
    return {"plain": plain, "permuted": mean, "worse_by": plain - mean}


def _as_measured(
    turned: Callable[[float | None], float | None], value: dict[str, float | None]
) -> dict[str, float | None]:
    """Both scores with the sign of their metric."""
    return {name: turned(value[name]) for name in ("plain", "permuted")}
