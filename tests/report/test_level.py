"""config.report.level is the level of every interval of a summary."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest
from scipy import stats

from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.reading.evidence import read
from tests.report import test_external
from tests.report.checklist_runs import flat
from tests.report.task_cases import LABELS, MASKS, NUMBER

LEVEL = 0.8
SETTINGS = (("replicates", 200), ("level", LEVEL))
BINARY = {"classes": ("benign", "malignant"), "trials": 1}


def intervals(found: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every interval of plain JSON, with the keys that lead to it."""
    if isinstance(found, dict):
        if {"method", "level"} <= found.keys():
            yield place, found
        for key, value in found.items():
            yield from intervals(value, (*place, key))
    elif isinstance(found, list):
        for value in found:
            yield from intervals(value, place)


def held_against_the_level(summary: dict[str, Any], *places: str) -> None:
    """All intervals have it, and there are some below each of the entries."""
    found = list(intervals(summary))
    assert {where[0] for where, _ in found} >= set(places)
    assert summary["level"] == LEVEL
    assert {where: one["level"] for where, one in found if one["level"] != LEVEL} == {}


@pytest.mark.parametrize(
    ("task", "places"),
    [(BINARY, ("subgroups", "decisions")), (LABELS, ("subgroups", "per_label")), (NUMBER, ()), (MASKS, ())],
    ids=["classes", "labels", "number", "masks"],
)
def test_every_interval_of_nested_cross_validation_has_it(make_run, task, places):
    evidence = read(make_run(settings=SETTINGS, **task))
    summary = summarise(evidence)
    held_against_the_level(summary, "metrics", *places)
    first = summary["metrics"][summary["headline"]]
    half = stats.t(4).ppf((1 + LEVEL) / 2) * math.sqrt(1 / 5 + (evidence.ratio or 0.0)) * first["sd"]
    assert first["intervals"][0]["low"] == pytest.approx(first["mean"] - half, rel=1e-9)


def test_every_interval_of_a_flat_run_has_it(make_run):
    summary = summarise(read(flat(make_run(tested=(), settings=SETTINGS))))
    held_against_the_level(summary, "metrics")


def test_every_interval_of_external_cases_has_it(make_run):
    run = make_run(folds=3, groups=False, settings=SETTINGS)
    test_external.add(run)
    evidence = read(run)
    assert evidence.external is not None
    counts = {side: {"counts": {"F": 20, "M": 25}} for side in ("inside", "external")}
    ages = {side: {"subjects": 30, "mean": 50.0, "sd": 9.0} for side in counts}
    cases = dataclasses.replace(evidence.external.cases, people={"sex": counts, "age": ages})
    external = dataclasses.replace(evidence.external, cases=cases)
    summary = summarise(dataclasses.replace(evidence, external=external))
    held_against_the_level(summary, "metrics", "external")
    assert "people" in {key for where, _ in intervals(summary) for key in where}
