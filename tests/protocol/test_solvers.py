"""A run that another solver has begun is finished by it, or refused; a finished one is left in peace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.engine.solving import SOLVER
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run import solvers
from nachos_jax.records.store import RunDirectory, dump
from tests import tiny, vectors


def as_before(run: Path) -> dict[str, Any]:
    """The run as a version without a mark has begun it."""
    path = run / "records/run.json"
    known = json.loads(path.read_text())
    known.pop("solver")
    path.write_bytes(dump(known))
    return known


def test_what_another_solver_has_begun_is_refused_until_it_is_finished(tmp_path: Path):
    config, run = vectors.run_config(search__trials=1), tmp_path / "run"
    evaluate(config, str(run), [0], vectors.cohort(), quiet=True)
    known = RunDirectory(run).run()
    assert known is not None
    assert known["solver"] == SOLVER
    as_before(run)
    with pytest.raises(UsageError, match=f"method 1 of solving.*method {SOLVER}"):
        evaluate(config, str(run), [1], vectors.cohort(), quiet=True)
    evaluate(config, str(run), [0], vectors.cohort(), quiet=True)  # nothing is left to train


def test_networks_that_train_in_steps_have_no_mark():
    assert solvers.told(tiny.run_config()) == {}
    assert solvers.told(vectors.run_config("mlp")) == {}
