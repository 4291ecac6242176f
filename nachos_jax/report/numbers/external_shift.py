"""What differs between the cases inside and the external ones, for summary.json, page and table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.report.numbers import external_intervals
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.reading.external import External
from nachos_jax.report.words.format import DECIMALS, finer, places
from nachos_jax.statistics import shift as statistics

Outcome = tuple[np.ndarray, np.ndarray]
SIDES = ("inside", "external")
LARGE = 0.5
"""Standardised difference from which on words are lost on it: a medium one in the words of Cohen (1988)."""


def shift(
    evidence: Evidence, estimates: Estimates, found: External, together: Outcome | None
) -> dict[str, Any]:
    """Prevalence, mean prediction minus what was observed, intensity, and who the subjects are.

    The second stands under "calibration_in_the_large", as it did in the first summary.json: above 0 where
    predictions are too high, unlike the intercept that has this name in "calibration".

    Args:
        evidence: of the run.
        estimates: of the run.
        found: the external cases.
        together: truth and mean prediction of the external cases; None without.

    Returns:
        The numbers by kind, "rows" with all of them, and "large", the names of the rows whose standardised
        difference is LARGE at least, or that are constant on each side and differ (their "total" is True).
    """
    truths = evidence.targets, found.cases.targets
    inside = (estimates.truth, estimates.predicted) if len(estimates.truth) else None
    large = [None if one is None else _minus_observed(evidence, one) for one in (inside, together)]
    slopes = external_intervals.slopes(evidence, (inside, together))
    who = np.array([row.subject for row in evidence.cases], str), found.cases.subjects
    shares = [
        external_intervals.prevalence(evidence, estimates, *side) for side in zip(truths, who, strict=True)
    ]
    told = {
        "names": list(evidence.classes),
        "titles": [evidence.section.observed(evidence, name) for name in evidence.classes],
        "observed": _by_side([_means(evidence, truth) for truth in truths]),
        "calibration_in_the_large": _by_side(large),
        "observed_intervals": _by_side(shares),
        "observed_difference": _spread_apart(*(_columns(evidence, truth) for truth in truths)),
        "calibration_slope": _by_side(slopes) if slopes else None,
        "intensity": {side: dict(values) for side, values in found.cases.intensity.items()},
        "standardised_difference": _standardised(found),
        "people": _people(found, evidence.settings.level),
    }
    told["rows"] = list(_rows(told, all(map(external_intervals.counted, truths))))
    told["large"] = [row["name"] for row in told["rows"] if _is_large(row)]
    return told


def _by_side(values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(SIDES, values, strict=True))


def _is_large(row: Mapping[str, Any]) -> bool:
    if row.get("total"):
        return True
    value = row["difference"] and row["difference"]["value"]
    return value is not None and abs(value) >= LARGE


def _rows(told: Mapping[str, Any], counted: bool) -> Iterator[dict[str, Any]]:
    """Each quantity on both sides, each "value", "low", "high", and their standardised difference."""
    for place, name in enumerate(told["names"]):
        sides = [_interval(told["observed_intervals"][side][place]) for side in SIDES]
        digits = DECIMALS if counted else _in_unit(sides)
        apart = told["observed_difference"][place]
        total = apart is None and _differ([told["observed"][side][place] for side in SIDES])
        yield _row(told["titles"][place], sides, _value(apart), digits, total)
        away = [told["calibration_in_the_large"][side] for side in SIDES]
        minus = [_value(one and one[place]) for one in away]
        yield _row(f"Mean prediction minus observed, {name}", minus, None, digits)
        if told["calibration_slope"]:
            slopes = [told["calibration_slope"][side][place] for side in SIDES]
            yield _row(f"Calibration slope, {name}", [_value(one["value"]) for one in slopes], None)
    yield from _of_pixels(told)
    for row in told["people"]:
        sides = [_interval(row[side]) for side in SIDES]
        apart = row["difference"]
        total = apart["estimate"] is None and apart["note"] == statistics.CONSTANT
        yield _row(row["name"], sides, _interval(apart), _fine(sides), total)


def _of_pixels(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    pixels, apart = told["intensity"], told["standardised_difference"]
    for part, title in (("mean", "Mean of pixels"), ("sd", "SD of pixels")):
        for place, value in enumerate(apart):
            behind = f", channel {place + 1}" if len(apart) > 1 else ""
            sides = [_value(pixels[side][part][place]) for side in SIDES]
            constant = part == "mean" and pixels["inside"]["sd"][place] == 0
            total = constant and _differ(pixels[side][part][place] for side in SIDES)
            yield _row(title + behind, sides, _value(value) if part == "mean" else None, _fine(sides), total)


def _differ(sides: Iterable[float | None]) -> bool:
    """Whether what is known of both sides is not the same."""
    inside, there = sides
    return inside is not None and there is not None and inside != there


def _row(
    name: str, sides: Sequence[Any], difference: Any, digits: int = DECIMALS, total: bool = False
) -> dict[str, Any]:
    more = ({} if digits == DECIMALS else {"decimals": digits}) | ({"total": True} if total else {})
    return {"name": name, **_by_side(sides), "difference": difference, **more}


def _in_unit(sides: Sequence[Mapping[str, float | None]]) -> int:
    """With how many decimals means of the target are shown; an interval is about four standard errors."""
    found = []
    for side in sides:
        low, high = side["low"], side["high"]
        spread = None if low is None or high is None else (high - low) / 4
        if side["value"] or spread:  # of 0, and of what is not known, no digit is significant
            found.append(places(side["value"], spread))
    return max(found, default=DECIMALS)


def _fine(sides: Sequence[Mapping[str, float | None]]) -> int:
    """Likewise of what may be in any unit."""
    return finer(side["value"] for side in sides)


def _value(value: float | None) -> dict[str, Any]:
    return {"value": value, "low": None, "high": None}


def _interval(found: Mapping[str, Any] | None) -> dict[str, Any]:
    if found is None:
        return _value(None)
    return {"value": found["estimate"], "low": found["low"], "high": found["high"]}


def _people(found: External, level: float) -> list[dict[str, Any]]:
    """Each number that is known of the subjects, and the share of each word, on both sides."""
    rows = []
    for name, sides in found.cases.people.items():
        one, other = (sides[side] for side in SIDES)
        if "mean" in one:
            moments = [(side["subjects"], side["mean"], side["sd"]) for side in (one, other)]
            each = [statistics.mean(side, level) for side in moments]
            rows.append(_person(f"Mean of {name}", each, statistics.of_means(moments[0], moments[1], level)))
            continue
        totals = [sum(side["counts"].values()) for side in (one, other)]
        words = list(one["counts"])
        for word in words if len(words) != 2 else words[:1]:  # of two, one tells the other
            shares = [(side["counts"][word], total) for side, total in zip((one, other), totals, strict=True)]
            each = [statistics.share(side, level) for side in shares]
            rows.append(
                _person(f"Share of {name} {word}", each, statistics.of_shares(shares[0], shares[1], level))
            )
    return rows


def _person(name: str, each: Sequence[Any], difference: Any) -> dict[str, Any]:
    return {"name": name, **_by_side([asdict(side) for side in each]), "difference": asdict(difference)}


def _standardised(found: External) -> list[float | None]:
    """By channel the difference of the means of all pixels, in SDs of those inside; [] of no images."""
    if not found.cases.intensity:
        return []
    inside, there = found.cases.intensity["inside"], found.cases.intensity["external"]
    columns = zip(inside["mean"], inside["sd"], there["mean"], strict=True)
    return [None if own is None or mean is None or not sd else (mean - own) / sd for own, sd, mean in columns]


def _columns(evidence: Evidence, truth: np.ndarray) -> np.ndarray:
    """[n, M] float64: a column of 0 and 1 a class or label, NaN where one is not known; or the numbers."""
    columns = np.eye(len(evidence.classes))[truth] if truth.dtype.kind in "iu" and truth.ndim == 1 else truth
    return np.asarray(columns, np.float64).reshape(len(truth), -1)


def _means(evidence: Evidence, truth: np.ndarray) -> list[float | None]:
    """Share of cases of each class or label (of those that know it), or the mean of the target."""
    columns = _columns(evidence, truth)
    known = np.isfinite(columns)
    with np.errstate(invalid="ignore"):
        found = np.where(known, columns, 0.0).sum(axis=0) / known.sum(axis=0)
    return [value if np.isfinite(value) else None for value in found.tolist()]


def _spread_apart(inside: np.ndarray, there: np.ndarray) -> list[float | None]:
    """Standardised difference of each column (Austin 2009), over cases; None where nothing varies."""
    found: list[float | None] = []
    for own, other in zip(inside.T, there.T, strict=True):
        sides = [side[np.isfinite(side)] for side in (own, other)]
        if not all(map(len, sides)):
            found.append(None)
            continue
        sd = np.sqrt(np.mean([side.var() for side in sides]))
        found.append(float((sides[1].mean() - sides[0].mean()) / sd) if sd else None)
    return found


def _minus_observed(evidence: Evidence, outcome: Outcome) -> list[float | None]:
    """Mean prediction minus what was observed, a value a class, label or target."""
    truth, made = outcome
    columns = evidence.section.amounts(made).reshape(len(made), -1)
    wanted = truth.reshape(len(truth), -1) if truth.dtype.kind == "f" else np.zeros_like(columns)
    known = np.isfinite(wanted) & np.isfinite(columns)
    with np.errstate(invalid="ignore"):
        means = np.where(known, columns, 0.0).sum(axis=0) / known.sum(axis=0)
    return [
        None if one is None or not np.isfinite(mean) else mean - one
        for mean, one in zip(means.tolist(), _means(evidence, truth), strict=True)
    ]
