"""The README's own commands are run, and leave what the documents say that they leave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nachos_jax.cli import main
from tests.test_docs import (
    DOCUMENTS,
    ELSEWHERE,
    QUICK,
    TEXTS,
    files_of_a_run,
    missing_paths,
    nachos_lines,
    study_in,
)

pytestmark = pytest.mark.thorough  # tests/test_docs.py parses the same commands, and tests/cli runs others


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as the README supposes."""
    with study_in(tmp_path_factory.mktemp("study")) as place:
        yield place


@pytest.fixture(scope="module")
def finished(study: Path) -> Path:
    """The run directory after the README's own commands on the CSV, in their order, made quick."""
    lines = [line for line in nachos_lines() if any("runs/csv" in word for word in line)]
    assert {line[0] for line in lines} == {"evaluate", "deploy", "predict", "status"}
    for line in lines:
        extra = QUICK if line[0] in ("evaluate", "deploy") else []
        assert main.main(["nachos", *line, *extra]) == 0, line
    return study / "runs/csv"


def test_the_run_directory_holds_what_the_tables_say(finished: Path) -> None:
    files = files_of_a_run()
    assert len(files) > 20
    assert [path for path in files if path not in ELSEWHERE and not list(finished.glob(path))] == []


def test_predictions_hold_what_the_readme_says(finished: Path) -> None:
    lines = (finished.parents[1] / "predicted.csv").read_text().splitlines()
    assert lines[0] == "case,predicted,probability_benign,probability_malignant"
    assert len(lines) == 1 + 48


def test_the_sentence_is_the_one_that_reports_begin_with(finished: Path) -> None:
    quoted = " ".join(re.findall(r"^> (.*)$", TEXTS["docs/reading.md"], re.MULTILINE))
    sentence = json.loads((finished / "summary.json").read_text())["sentence"]
    data = "1,797 cases taken as one case a subject (stated by the user, not checked), 10 classes"
    values = {number: r"\d\.\d{3}" for number in ("0.981", "0.003", "0.970", "0.992", "0.974", "0.987")}
    values |= {data: "48 cases of 24 subjects, 2 classes", "over 1,797 cases": "over 24 subjects"}
    values |= {"corrected t": "corrected t( on the logit scale)?"}
    values |= {"over 5 outer": "over 3 outer", "4/5": "2/3"}
    pattern = re.escape(quoted)
    for shown, here in values.items():
        assert re.escape(shown) in pattern
        pattern = pattern.replace(re.escape(shown), here)
    assert re.fullmatch(pattern, sentence), sentence


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_of_a_run_in_the_text_exist(name: str, finished: Path) -> None:
    assert missing_paths(name, finished, finished.parents[1]) == set()
