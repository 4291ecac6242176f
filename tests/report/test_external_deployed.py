"""External cases that a deployed model alone has seen: no refits, and no mean over models, are spoken of."""

from __future__ import annotations

import csv
import json
import re
from typing import Any

import pytest

from nachos_jax.records.external import ExternalTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from tests.report.checklist_runs import flat
from tests.report.test_external import HASH, LABELS, add, made

pytestmark = pytest.mark.usefixtures("all_unpainted")  # pictures are for test_figures


def deployed(directory: RunDirectory, count: int) -> str:
    """The text of the section, of a run whose external cases so many deployed models have seen."""
    shipped = RunDirectory(directory.path, "deploy")
    for number in range(count):
        arrays = {"labels": LABELS, "probabilities": made(number)}
        shipped.commit_external_test(f"model_{number}", ExternalTest("deploy", (f"f{number}",), HASH, arrays))
    found = page.write(directory.path).read_text()
    part = found[found.index('id="external"') : found.index("How the external cases differ")]
    return " ".join(re.sub(r"<[^>]*>", " ", part).split())


@pytest.mark.parametrize("count", [1, 2])
def test_the_flat_protocol_has_no_refits(make_run, count: int):
    directory = flat(make_run(folds=3, groups=False, tested=()))
    add(directory)
    text = deployed(directory, count)
    assert "refit of an outer fold" not in text
    assert "mean of models" not in text
    assert "mean of the models" not in text
    assert "mean prediction" not in text
    assert "by the deployed model, and by it site by site" in text
    assert ("of several deployed models the first" in text) == (count > 1)
    with open(directory.path / "report/figures/external.csv", newline="") as file:
        rows = list(csv.reader(file))
    names = {cell for row in rows for cell in row}
    assert "deployed model" in names
    assert "deployed model by site" in names
    assert not {"mean of models", "mean prediction", "mean prediction by site"} & names


def test_of_several_deployed_models_the_one_that_lies_in_deploy_stands_for_them(make_run):
    directory = flat(make_run(folds=3, groups=False, tested=()))
    add(directory)
    deployed(directory, 2)
    first = _summary(directory)
    (directory.path / "deploy").mkdir()
    (directory.path / "deploy/model.json").write_text(json.dumps({"fits": ["f1"]}))
    page.write(directory.path)
    second = _summary(directory)
    assert [test["fits"] for test in second["external"]["tested_by"]] == [["f1"], ["f0"]]
    assert second["external"]["in_deploy"]
    assert not first["external"]["in_deploy"]
    name = second["headline"]
    told = second["external"]["metrics"][name]["together"]["value"]
    assert told == first["external"]["deployed"][1][name]["value"]
    assert told != first["external"]["metrics"][name]["together"]["value"]
    assert "of the model that lies in deploy/" in second["sentence"]
    assert "of the first of the deployed models" in first["sentence"]
    text = " ".join((directory.path / "report/index.html").read_text().split())
    assert "of several deployed models the first, which lies in deploy/, has the interval" in text
    (directory.path / "deploy/model.json").write_text("{")
    page.write(directory.path)
    assert _summary(directory)["external"] == first["external"]


def _summary(directory: RunDirectory) -> dict[str, Any]:
    return json.loads((directory.path / "summary.json").read_text())


def test_refits_are_told_as_before(make_run):
    directory = make_run(folds=3, groups=False)
    add(directory)
    text = deployed(directory, 1)
    assert (
        "A model is the refit of an outer fold; the mean prediction is that of all of them together" in text
    )
    assert "mean of models" in text
