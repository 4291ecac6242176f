"""What model.json says of the estimate: whom it belongs to, and what the shipped model was trained on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nachos_jax.protocol.model import export


@pytest.mark.parametrize("outcome", [None, "of the flat protocol"])
@pytest.mark.parametrize("members", ["one", "folds"])
def test_networks_that_each_left_a_fold_out_are_not_called_trained_on_all_cases(
    monkeypatch, members: str, outcome: str | None
):
    records = SimpleNamespace(outcome=lambda _fold: outcome, tests=lambda: {0: None, 1: None, 2: None})
    monkeypatch.setattr(export, "RunDirectory", lambda *_: records)
    run: Any = SimpleNamespace(
        folds=SimpleNamespace(count=3, numbers=lambda: range(3)),
        store=SimpleNamespace(path="run"),
        config=SimpleNamespace(members=members),
    )
    told = export._estimate_sentence(run)
    assert "at about 2/3 of these cases" in told or "on about 2/3 of these cases" in told
    several = "averages networks that were each trained on all of them but one fold, and was tested on none."
    assert told.endswith(several) == (members == "folds")
    assert ("was trained on all of them and tested on none." in told) == (members == "one")
