"""What the page says is true of a unit, by what the task predicts."""

from __future__ import annotations

import pytest

from nachos_jax.report.page import page
from nachos_jax.report.reading import evidence as records
from tests.report.task_cases import LABELS, NUMBER

pytestmark = pytest.mark.usefixtures("all_unpainted")  # pictures are for test_figures

TOLD = [
    ("mean", {"classes": ("no", "yes")}, "A subject has the class yes if one of its cases has it"),
    ("mean", {}, "The cases of a subject agree in their class, which is that of the subject"),
    ("max", LABELS, "A subject has a label if one of its cases is known to have it"),
    ("mean", NUMBER, "The true number of a subject is the mean of those of its cases"),
    ("max", NUMBER, "The true number of a subject is the largest of those of its cases"),
]


@pytest.mark.parametrize(("pool", "task", "told"), TOLD)
def test_the_page_tells_what_is_true_of_a_unit(make_run, pool: str, task: dict, told: str):
    directory = make_run(settings=(("unit", "subject"), ("pool", pool), ("replicates", 200)), **task)
    directory.write_units([row.subject for row in records.read(directory).cases])
    text = page.write(directory.path).read_text()
    assert told in text
    assert sum(other in text for _, _, other in TOLD) == 1
