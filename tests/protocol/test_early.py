"""What no data could make right is refused before any case is read, which can take hours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from tests import tiny


@pytest.fixture(autouse=True)
def unread(monkeypatch: pytest.MonkeyPatch):
    def read(*_: Any, **__: Any) -> None:
        raise AssertionError("cases were read")

    monkeypatch.setattr("nachos_jax.protocol.run.embedding.load", read)


WRONG = {
    "metric": ({"search__metric": "acuracy"}, "config.search.metric"),
    "metric that cannot select": ({"search__metric": "ece"}, "config.search.metric = 'ece'"),
    "searcher": ({"search__searcher": "axx"}, "config.search.searcher"),
    "policy": ({"search__policy": "racing"}, "config.search.policy"),
    "threshold": ({"report__threshold": "sensitivty(0.9)"}, "threshold rule .sensitivty"),
    "what flat cannot stand": ({"protocol": "flat", "search__searcher": "ax"}, "flat"),
}


@pytest.mark.parametrize("command", [evaluate, deploy])
@pytest.mark.parametrize("name", WRONG)
def test_mistakes_of_the_config(name: str, command: Any, tmp_path: Path):
    changes, told = WRONG[name]
    with pytest.raises(UsageError, match=told):
        command(tiny.run_config(**changes), str(tmp_path / "run"), quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "wanted", "told"),
    [
        ({"folds__scheme": "stratified", "folds__count": 5}, [0, 5], "numbered 0 to 4"),
        ({"folds__scheme": "stratified", "folds__count": 3, "folds__repeats": 2}, [6], "numbered 0 to 5"),
        ({"protocol": "flat", "training__early_stopping": False}, [0], "leave the flag out"),
    ],
)
def test_outer_folds_that_are_none(changes: dict[str, Any], wanted: list[int], told: str, tmp_path: Path):
    with pytest.raises(UsageError, match=told):
        evaluate(tiny.run_config(**changes), str(tmp_path / "run"), wanted, quiet=True)


def test_outer_folds_that_only_the_cases_can_tell_wait_for_them(tmp_path: Path):
    run = tiny.run_config(folds__scheme="predefined", folds__count=3)
    with pytest.raises(AssertionError, match="cases were read"):
        evaluate(run, str(tmp_path / "run"), [7], quiet=True)
