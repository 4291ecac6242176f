"""What the report says of how a run was made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nachos_jax.report.words.format import made_rows


def trial_0(planned: list[str]) -> str | None:
    run = {"config": {"seed": 3}, "command": "", "planned": planned}
    evidence: Any = SimpleNamespace(run=run, outcomes={}, headline="mean_dice", sealed=True, versions={})
    return dict(made_rows(evidence)["how"]).get("Trial 0")


def test_a_plan_says_that_it_saw_the_headers_of_test_cases() -> None:
    told = trial_0(["planned from 12 cases", "unet.depth: 4 planned"])
    assert told is not None
    assert told.startswith("planned from 12 cases; unet.depth: 4 planned; the headers of all cases")
    assert "those of test folds among them" in told
    assert trial_0([]) is None
