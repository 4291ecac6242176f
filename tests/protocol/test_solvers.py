"""A run that another solver has begun is finished by it, or refused; a finished one is left in peace."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.engine.solving import SOLVER
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run import solvers
from nachos_jax.records.store import RunDirectory
from tests import tiny, vectors


def test_what_another_solver_has_begun_is_refused_until_it_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config, run = vectors.run_config(search__trials=1), tmp_path / "run"
    evaluate(config, str(run), [0], vectors.cohort(), quiet=True)
    known = RunDirectory(run).run()
    assert known is not None
    assert known["solver"] == SOLVER
    monkeypatch.setattr(solvers, "SOLVER", SOLVER + 1)
    with pytest.raises(UsageError, match=f"method {SOLVER} of solving.*method {SOLVER + 1}"):
        evaluate(config, str(run), [1], vectors.cohort(), quiet=True)
    evaluate(config, str(run), [0], vectors.cohort(), quiet=True)  # nothing is left to train


def test_runs_that_do_not_tell_are_of_the_first_solver():
    store: Any = SimpleNamespace(path="run", run=lambda: {"config": {}})
    with pytest.raises(UsageError, match="method 1 of solving"):
        solvers.check(vectors.run_config(), store)
    solvers.check(tiny.run_config(), store)
    store.run = lambda: None
    solvers.check(vectors.run_config(), store)


def test_networks_that_train_in_steps_have_no_mark():
    assert solvers.told(tiny.run_config()) == {}
    assert solvers.told(vectors.run_config("mlp")) == {}
