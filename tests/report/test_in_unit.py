"""Numbers in the unit of what is predicted: the same digits and the same verdicts in whatever unit."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics import classification, multilabel, overlap, regression, surface
from nachos_jax.records.external import ExternalCases, ExternalTest
from nachos_jax.report.appendix import result_tables
from nachos_jax.report.appendix.grid import Grid
from nachos_jax.report.checklists.checklist import checklist
from nachos_jax.report.numbers import comparison
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.reading import evidence as records
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.reading.external import External
from nachos_jax.report.words.comparison_text import markdown
from nachos_jax.report.words.comparison_text import pair as said
from nachos_jax.report.words.format import decimals, finer, number, places
from nachos_jax.report.words.phrases import mean_of
from tests.report.rivals import edit_test, rival
from tests.report.task_cases import NUMBER

UNITS = (1e-4, 1e4)
WRITTEN = re.compile(r"[\N{MINUS SIGN}-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[\N{MINUS SIGN}+-]?\d+)?")


def scaled(evidence: Evidence, factor: float) -> Evidence:
    """A run of numbers whose targets and predictions are told in another unit."""
    tests = {
        fold: dataclasses.replace(
            test, arrays={name: values * factor for name, values in test.arrays.items()}
        )
        for fold, test in evidence.tests.items()
    }
    return dataclasses.replace(evidence, targets=evidence.targets * factor, tests=tests, inner={})


def digits(text: str) -> list[str]:
    """The significant digits of all numbers of a text; zeros at their ends are not counted."""
    bare = [re.sub(r"e.*|[^\d]", "", found) for found in WRITTEN.findall(text)]
    return [found.strip("0") for found in bare]


def words(text: str) -> str:
    """A text without its numbers."""
    return WRITTEN.sub("#", text)


def same(one: str, other: str) -> None:
    assert words(one) == words(other)
    assert digits(one) == digits(other)


def rows(grid: Grid) -> str:
    return "\n".join(" | ".join(cell.text for cell in row) for row in (*grid.rows, *grid.totals))


def beyond(evidence: Evidence, factor: float) -> Evidence:
    """A run of numbers with external cases, told in another unit."""
    rng = np.random.default_rng(3)
    truth = rng.normal(48.0, 12.0, 60)
    who = np.array([f"e{row:02d}" for row in range(60)])
    cases = ExternalCases("ab", who, who, np.repeat(["north", "south"], 30), truth * factor, {})
    tests = {}
    for fold, test in evidence.tests.items():
        arrays = {"targets": truth * factor, "predictions": (truth + rng.normal(2.0, 7.0, 60)) * factor}
        tests[fold] = ExternalTest(f"fold_{fold:02d}", (test.fit,), "ab", arrays)
    return dataclasses.replace(scaled(evidence, factor), external=External(cases, tests, ()))


@pytest.fixture
def run(make_run):
    return make_run(**NUMBER, inner=False, trials=1)


@pytest.mark.parametrize("factor", UNITS)
def test_a_report_shows_the_same_digits_in_another_unit(run, factor: float):
    evidence = records.read(run)
    one, other = evidence, scaled(evidence, factor)
    told, there = summarise(one), summarise(other)
    same(told["sentence"], there["sentence"])
    assert list(map(words, told["caveats"])) == list(map(words, there["caveats"]))
    for make in (result_tables.main, result_tables.intervals, result_tables.folds, result_tables.subgroups):
        same(rows(make(told)), rows(make(there)))
    (first,), (second,) = (one.section.tables(told).results["Agreement"] for told in (told, there))
    same(rows(first), rows(second))
    for item, scaled_item in zip(checklist(one, told), checklist(other, there), strict=True):
        same(item.answer, scaled_item.answer)


@pytest.mark.parametrize("factor", UNITS)
def test_external_cases_are_told_with_the_same_digits_in_another_unit(run, factor: float):
    evidence = records.read(run)
    told, there = (summarise(beyond(evidence, one)) for one in (1.0, factor))
    assert "external" in told["sentence"]
    same(told["sentence"], there["sentence"])
    for one, other in zip(told["external"]["shift"]["rows"], there["external"]["shift"]["rows"], strict=True):
        for side in ("inside", "external"):
            value, moved = (number(row[side]["value"], decimals(row)) for row in (one, other))
            assert digits(value) == digits(moved), one["name"]


def test_more_decimals_where_the_usual_ones_show_nothing():
    assert [finer([value]) for value in (0.000123, 0.05, 0.5, 812.0, None)] == [6, 4, 3, 3, 3]
    assert finer([None, 0.0, -0.00123, 0.2]) == 3


def test_small_numbers_are_not_rounded_to_nothing(run):
    summary = summarise(scaled(records.read(run), 1e-5))
    metric = summary["metrics"]["mae"]
    assert metric["mean"] < 1e-4
    low, high = (number(metric["intervals"][0][end], metric["decimals"]) for end in ("low", "high"))
    assert number(metric["mean"], metric["decimals"]) in summary["sentence"]
    assert f"{low} to {high}" in summary["sentence"]
    assert len({low, high, "0", "0.000"}) == 4
    assert "0.000 " not in summary["sentence"]


def test_metrics_without_a_unit_have_three_decimals(run):
    metrics = summarise(records.read(run))["metrics"]
    assert {name for name, metric in metrics.items() if "decimals" in metric} == {
        *("mae", "rmse", "mse", "median_absolute_error")
    }


def test_what_has_a_unit_has_no_upper_end():
    """The others are shares, correlations, or have a scale of their own, as the log loss and R squared."""
    tables = (classification, multilabel, overlap, regression, surface)
    metrics = [metric for module in tables for metric in module.METRICS.values()]
    in_unit = {metric.name for metric in metrics if metric.in_unit}
    assert all(metric.bounds[1] == float("inf") for metric in metrics if metric.in_unit)
    rest = {metric.name for metric in metrics if metric.bounds[1] == float("inf")} - in_unit
    assert rest == {"log_loss", "mean_class_distance"}


@pytest.mark.parametrize("factor", UNITS)
def test_a_comparison_comes_to_the_same_in_another_unit(run, monkeypatch, factor: float):
    first, second = rival(run, "first", 1), rival(run, "second", 2)
    runs, read = [str(run.path), str(first.path), str(second.path)], comparison._read
    for metric in ("mae", "rmse"):
        told = comparison.compare(runs, metric, rope=0.25)
        monkeypatch.setattr(comparison, "_read", lambda workdir: scaled(read(workdir), factor))
        there = comparison.compare(runs, metric, rope=0.25 * factor)
        monkeypatch.setattr(comparison, "_read", read)
        for one, other in zip(told["words"], there["words"], strict=True):
            same(one, other)
        lines, there_lines = (re.sub(" +|-+", " ", words(markdown(found))) for found in (told, there))
        assert lines == there_lines


def test_differences_that_vary_less_than_the_runs_keep_their_digits(run):
    other = rival(run, "other")
    for test in run.tests():
        near = test.arrays["predictions"] + np.random.default_rng(test.outer_fold).normal(
            0, 0.01, len(test.cases)
        )
        arrays = {**test.arrays, "predictions": near}
        edit_test(other, test.outer_fold, lambda _, arrays=arrays: {"arrays": arrays})
    result = comparison.compare([str(run.path), str(other.path)], rope=0.1)
    (pair,), (told,) = result["pairs"], result["words"]
    assert result["decimals"] == places(None, pair["test"]["se"]) > places(result["runs"][0]["mean"])
    assert f"is {number(abs(pair['mean']), result['decimals'])} " in told


def test_the_mean_of_a_mean_is_called_by_its_name(run):
    (told,) = comparison.compare([str(run.path), str(rival(run, "other").path)], rope=0.1)["words"]
    assert "over these folds the mean absolute error of run " in told
    assert mean_of("Mean Dice") == "mean Dice"
    assert mean_of("AUC") == "mean AUC"


def test_runs_that_agree_are_told_to(run):
    result = comparison.compare([str(run.path), str(rival(run, "other").path)], rope=0.1)
    (pair,) = result["pairs"]
    told = said(result, {**pair, "mean": 1e-9})
    assert "agrees in all digits that are shown with that of other" in told


def test_without_a_region_of_its_own_a_metric_in_a_unit_is_not_compared(run):
    runs = [str(run.path), str(rival(run, "other").path)]
    with pytest.raises(UsageError, match="--rope is left out.*mean absolute error.*--rope=0.5"):
        comparison.compare(runs)
    assert comparison.compare(runs, "r2")["rope"] == 0.01
    assert comparison.compare(runs, rope=0.0)["rope"] == 0


SHOWN: list[tuple[float, int, str]] = [
    (0.000123456, 6, "0.000123"),
    (0.0000123456, 7, "1.23e-5"),
    (-0.0000123456, 7, "-1.23e-5"),
    (5.4321, 2, "5.43"),
    (54321.0, -2, "54300"),
    (1234567.0, -4, "1.23e6"),
    (12.0, -4, "0"),
    (0.0, 8, "0"),
    (0.5, 3, "0.500"),
]


@pytest.mark.parametrize(("value", "places", "text"), SHOWN)
def test_how_numbers_are_written(value: float, places: int, text: str):
    assert number(value, places) == text.replace("-", "\N{MINUS SIGN}")


@given(st.floats(1.001, 9.99), st.floats(0.0101, 0.99), st.integers(-12, 12))
def test_places_follow_the_unit(value: float, share: float, power: int):
    """Whatever the power of ten, of which a number is never one exactly here."""
    unit = 10.0**power
    moved = places(value * unit, value * share * unit)
    assert moved == places(value, value * share) - power
    shown = float(number(value * unit, moved).replace("\N{MINUS SIGN}", "-"))
    assert shown == pytest.approx(value * unit, rel=0.006)


def test_no_standard_error_is_followed_into_rounding():
    assert places(5.4, 1e-13) == places(5.4) + 3
    assert places(0.0) == places(None) == 3
    assert places(None, 0.021) == 3
