"""Fits that one solver has left are not mixed with those of another; what is finished is left in peace."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.engine.solving import SOLVER
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run import opening, solvers
from nachos_jax.records import schema
from nachos_jax.records.store import RunDirectory
from tests import vectors

NEXT = SOLVER + 1


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch):
    """Makes this version one with the next solver."""

    def change() -> None:
        monkeypatch.setattr(solvers, "SOLVER", NEXT)
        monkeypatch.setattr("nachos_jax.engine.bucket_lanes.SOLVER", NEXT)

    return change


def told(run: Path, command: str) -> set[int]:
    return {record.solver for record in RunDirectory(run, command).fits()}


@pytest.mark.thorough
def test_what_another_solver_has_begun_is_refused_and_what_it_finished_is_not(tmp_path: Path, newer: Any):
    config, run = vectors.run_config(search__trials=1), tmp_path / "run"
    evaluate(config, str(run), [0], vectors.cohort(), quiet=True)
    assert told(run, "evaluate") == {SOLVER}
    newer()
    with pytest.raises(UsageError, match=f"`nachos evaluate` began.*method {SOLVER} of.*method {NEXT}"):
        evaluate(config, str(run), [1], vectors.cohort(), quiet=True)
    evaluate(config, str(run), [0], vectors.cohort(), quiet=True)  # nothing is left to train
    deploy(config, str(run), vectors.cohort(), quiet=True)  # another command, which has no fits yet
    assert told(run, "deploy") == {NEXT}
    assert told(run, "evaluate") == {SOLVER}
    deploy(config, str(run), vectors.cohort(), quiet=True)


def test_a_finished_deployment_is_written_again_whatever_solved_it(tmp_path: Path, newer: Any):
    config, run = vectors.run_config(search__trials=1), tmp_path / "run"
    folder = deploy(config, str(run), vectors.cohort(), quiet=True)
    weights = next(folder.glob("*.safetensors"))
    first = weights.read_bytes()
    weights.unlink()
    newer()
    deploy(config, str(run), vectors.cohort(), quiet=True)
    assert weights.read_bytes() == first


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch):
    """Makes it an error to read cases."""

    def read(*_: Any) -> None:
        raise AssertionError("cases are read")

    monkeypatch.setattr(opening.embedding, "load", read)


def test_it_is_refused_before_any_case_is_read(tmp_path: Path, newer: Any, unread: None):
    config, run = vectors.run_config(search__trials=1), str(tmp_path / "run")
    evaluate(config, run, [0], vectors.cohort(), quiet=True)
    deploy(config, run, vectors.cohort(), quiet=True)
    for again in (lambda: evaluate(config, run), lambda: deploy(config, run)):
        with pytest.raises(AssertionError, match="cases are read"):  # this version has begun it
            again()
    newer()
    with pytest.raises(UsageError, match="`nachos evaluate` began"):
        evaluate(config, run)
    with pytest.raises(AssertionError, match="cases are read"):  # its study is finished
        evaluate(config, run, [0])
    with pytest.raises(AssertionError, match="cases are read"):
        deploy(config, run)
    store = RunDirectory(run, "deploy")
    network = next(fit for fit in store.fits() if not fit.left_out)
    store._fit_path(network.fit).unlink()
    with pytest.raises(UsageError, match="`nachos deploy` began"):
        deploy(config, run)
    store.outcome_path(None).unlink()
    with pytest.raises(UsageError, match="`nachos deploy` began"):
        deploy(config, run)


@pytest.mark.thorough
def test_a_search_that_may_end_without_a_solved_network_is_refused_later(
    tmp_path: Path, newer: Any, unread: None
):
    values = {"search__space__architecture": "choice('linear', 'mlp')", "search__trials": 2}
    config, run = vectors.run_config(**values), str(tmp_path / "run")
    evaluate(config, run, [0], vectors.cohort(), quiet=True)
    newer()
    with pytest.raises(AssertionError, match="cases are read"):
        evaluate(config, run)


def record(architecture: str = "linear", solver: int = 0) -> schema.FitRecord:
    return schema.FitRecord(
        "f", (), {"architecture": architecture}, 4, "done", 1, 7, (0.5,), {}, solver=solver
    )


def fits(architecture: str = "linear") -> list[Fit]:
    return [Fit({"architecture": architecture}, (), 0, EpochLimit(4, 2), "cases")]


def test_fits_that_do_not_tell_are_of_the_solver_of_their_run():
    known: dict[str, Any] = {"config": {}}
    store: Any = SimpleNamespace(path="run", command="deploy", run=lambda: known)
    assert solvers.other(store, [record()]) == solvers.FIRST
    assert solvers.other(store, []) is None
    assert solvers.other(store, [record("mlp")]) is None
    assert solvers.other(store, [record(solver=SOLVER)]) is None
    assert solvers.other(store, [record(solver=SOLVER), record()]) == solvers.FIRST
    known["solver"] = SOLVER
    assert solvers.other(store, [record()]) is None
    store.run = lambda: None  # a replay
    assert solvers.other(store, [record()]) is None


def test_only_what_is_solved_is_refused():
    store: Any = SimpleNamespace(path="run", command="deploy")
    with pytest.raises(UsageError, match="method 1 of solving"):
        solvers.check(store, solvers.FIRST, fits())
    solvers.check(store, solvers.FIRST, fits("mlp"))
    solvers.check(store, solvers.FIRST, [])
    solvers.check(store, None, fits())


def test_fits_that_train_in_steps_have_no_mark():
    assert "solver" not in schema.to_json(record("mlp"))
    found = schema.to_json(record(solver=SOLVER))
    assert found["solver"] == SOLVER
    assert schema.fit_record(json.loads(json.dumps(found))) == record(solver=SOLVER)
