"""Every kind of file of a run, damaged in every way: told or without effect, and mended as the message says.

`NACHOS_DAMAGE_MATRIX=FILE pytest -m '' tests/protocol/test_damage.py` writes what came of it as a table.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import deployed
from nachos_jax.protocol.run.status import describe
from nachos_jax.records import readable
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from nachos_jax.report.reading import evidence
from nachos_jax.report.words import tables
from tests import tiny
from tests.tiers import mostly_thorough

FOLD = "records/evaluate/studies/fold_01"
DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "one bit": lambda path: _flip(path),
    "deleted": lambda path: path.unlink(),
}
RECORDS = {
    "run.json": "records/run.json",
    "cases.json": "records/cases.json",
    "report.json": "records/report.json",
    "groups.json": "records/groups.json",
    "trial": f"{FOLD}/trial_0001.json",
    "outcome": f"{FOLD}/outcome.json",
    "test": "records/evaluate/tests/fold_01.json",
    "search fit of the selected trial": "search",
    "its inner predictions": "search.inner",
    "search fit of another trial": "other",
    "its inner predictions, which nothing reads": "other.inner",
    "refit": "refit",
    "its logits": "refit.logits",
    "its weights": "refit.weights",
    "session": "records/evaluate/sessions/*.json",
    "folds.csv": "folds.csv",
}
ONE_LOOP = {
    "flat: trial": "records/evaluate/studies/flat/trial_0001.json",
    "flat: outcome": "records/evaluate/studies/flat/outcome.json",
    **{kind: RECORDS[kind] for kind in ("search fit of the selected trial", "its inner predictions")},
}
MODEL = {
    "deploy: trial": "records/deploy/studies/deploy/trial_0001.json",
    "deploy: outcome": "records/deploy/studies/deploy/outcome.json",
    "deploy: network": "network",
    "deploy: its weights": "network.weights",
    "model.json": "deploy/model.json",
    "weights of the model": "deploy/weights_00.safetensors",
}
SHOWN = ("predictions.csv", "trials.csv", "summary.json", "report/index.html", "report/report.md")
SHOWN = (*SHOWN, "report/figures/written.json", "report/figures/folds.svg", "report/tables/folds.tex")
"""Of the files that a report is made of, some; they are damaged all at once."""

VISIBLE = ("test", "model.json", "deploy: trial", "deploy: outcome", "deploy: network", "flat: outcome")
"""When they are deleted, it looks like a run that goes on: status and the report tell what is to come."""

KINDS = [
    *((kind, "flat") for kind in ONE_LOOP),
    *((kind, "finished") for kind in {**RECORDS, **MODEL}),
    *((kind, "half") for kind in RECORDS),
]
CASES = [
    pytest.param(
        *kind,
        damage,
        marks=[]
        if place == number % 4 and number % 4 == 1 and kind[1] == "finished"
        else pytest.mark.thorough,
    )
    for number, kind in enumerate(KINDS)
    for place, damage in enumerate(DAMAGE)
]
"""All ways to damage a content are told by the same lines (tests/records): `make test` takes them in turn,
and every fourth kind."""

MATRIX: list[tuple[str, str, str, str]] = []


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _config(**changes: Any):
    short = {"training__epochs": 2, "training__patience": 2, "search__trials": 3, "report__replicates": 200}
    return tiny.run_config(**short, **changes)


def _evaluate(run: Path) -> None:
    evaluate(_config(), str(run), None, tiny.cohort(), quiet=True)


def _evaluate_flat(run: Path) -> None:
    flat = _config(protocol="flat", training__early_stopping=False)
    evaluate(flat, str(run), None, tiny.cohort(), quiet=True)


def _deploy(run: Path) -> None:
    deployed.load(deploy(_config(), str(run), tiny.cohort(), quiet=True))


@pytest.fixture(scope="module", autouse=True)
def matrix(all_unpainted: None) -> Iterator[None]:
    """The table, when it is asked for."""
    yield
    if "NACHOS_DAMAGE_MATRIX" in os.environ:
        rows = [("file", "state", "damage", "what is told, and what it leads to"), ("---",) * 4, *MATRIX]
        text = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        Path(os.environ["NACHOS_DAMAGE_MATRIX"]).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def finished(all_unpainted: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("damage") / "run"
    _evaluate(run)
    _deploy(run)
    page.write(run)
    return run


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("damage") / "flat"
    _evaluate_flat(run)
    return run


@pytest.fixture(scope="module")
def half(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a kill leaves it: fold 0 is tested, fold 1 searched in part, no model yet."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("damage") / "half")
    store, kept = RunDirectory(run), set()
    for fold in (1, 2, 3):
        store.test_path(fold).unlink()
        store.outcome_path(fold).unlink()
    for record in store.fits():
        if len(record.left_out) == 2 and (0 in record.left_out or record.left_out == (1, 2)):
            kept.add(record.fit)
    kept.add(store.tests()[0].fit)
    for path in (store.folder / "fits").iterdir():
        if path.name.partition(".")[0] not in kept:
            path.unlink()
    for name in ("deploy", "records/deploy", "report"):
        shutil.rmtree(run / name)
    return run


def _path(run: Path, kind: str) -> Path | None:
    """The file of a kind; None where this run has none."""
    name = {**RECORDS, **MODEL, **ONE_LOOP}[kind]
    if "/" in name or name.endswith(".csv") or name == "summary.json":
        return next(iter(sorted(run.glob(name))), None)
    part, _, payload = name.partition(".")
    store = RunDirectory(run, "deploy" if part == "network" else "evaluate")
    fold = next((test.outer_fold for test in reversed(store.tests())), None)
    outcome = store.outcome(fold)
    if outcome is None:
        return None
    fits = {
        "search": outcome.fits[outcome.selected][0],
        "other": outcome.fits[1 - outcome.selected][0],
        "refit": store.tests()[-1].fit if fold is not None else "",
        "network": next((fit.fit for fit in store.fits() if not fit.left_out), ""),
    }
    return next(
        (store.folder / "fits").glob(
            f"{fits[part]}.*{payload}.safetensors" if payload else f"{fits[part]}.json"
        ),
        None,
    )


def _content(run: Path) -> dict[str, bytes]:
    """What must come back: all but checkpoints, and sessions, which tell times."""
    skipped = ("checkpoints", "sessions", "report")
    files = [path for path in run.rglob("*") if path.is_file() and not {*path.parts} & set(skipped)]
    names = {str(path.relative_to(run)): path.read_bytes() for path in files}
    made = (".lock", "environment.json", *SHOWN)
    return {name: data for name, data in names.items() if name not in made}


def _once(step: Callable[[], object], told: list[str]) -> bool:
    """Does a step; what it refuses is told, and the file that the message names is deleted."""
    try:
        step()
    except UsageError as error:
        told.append(str(error))
        assert re.search(r"run the same `nachos \w+`|run `nachos deploy` again", told[-1]), told[-1]
        wanted = re.search(r"delete (\S+)", told[-1])
        if wanted:
            Path(told[-1].split()[0] if wanted[1] == "this" else wanted[1]).unlink()
        return False
    return True


@pytest.mark.parametrize(("kind", "state", "damage"), CASES)
def test_what_is_told_leads_back_to_the_same_bytes(
    kind: str, state: str, damage: str, finished: Path, request: pytest.FixtureRequest, tmp_path: Path
):
    whole = request.getfixturevalue(state)
    run = shutil.copytree(whole, tmp_path / "run")
    path = _path(run, kind)
    if path is None:
        pytest.skip("this run has no such file")
    numbers = _numbers(run)
    DAMAGE[damage](path)
    told: list[str] = []
    if _once(lambda: (readable.check(str(run)), _numbers(run)), told) and not (
        kind in VISIBLE and damage == "deleted"
    ):
        assert _numbers(run) == numbers, "a number has changed in silence"
    step = _evaluate_flat if state == "flat" else _deploy if kind in MODEL else _evaluate
    if kind in ("model.json", "weights of the model"):
        _once(lambda: deployed.load(run / "deploy"), told)
    for _ in range(3):
        if _once(lambda: step(run), told):
            break
    assert _once(lambda: evidence.read(RunDirectory(run)), told), told
    after, wanted = _content(run), _content(whole if state == "flat" else finished)
    if state == "half":
        wanted = {
            name: data for name, data in wanted.items() if not name.startswith(("deploy/", "records/deploy"))
        }
    unread = {name for name in wanted if kind.endswith("nothing reads") and name.endswith(path.name)}
    assert {name for name in wanted if after.get(name) != wanted[name]} == unread
    outcome = "; then ".join(_short(text) for text in told) or "nothing told"
    MATRIX.append(
        (
            kind,
            state,
            damage,
            f"{outcome}; {'left as it is, no number depends on it' if unread else 'same bytes'}",
        )
    )


@mostly_thorough("damage", DAMAGE, kept=("truncated",))
def test_what_a_report_is_made_of_is_written_anew(damage: str, finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    assert all((run / name).is_file() for name in SHOWN)
    for name in SHOWN:
        DAMAGE[damage](run / name)
    page.write(run)
    assert {name: (run / name).read_bytes() for name in SHOWN}.items() <= {
        name: (finished / name).read_bytes() for name in SHOWN
    }.items()
    MATRIX.append(("files of the report", "finished", damage, "nothing told; same bytes"))


def _short(message: str) -> str:
    """What a message says without its paths."""
    return re.sub(r"\S*/(\S+?)(?=[ :;])", r"\1", message).partition("; the work behind")[0]


def _numbers(run: Path) -> tuple:
    """All that status says, and the tables that all numbers of a report are made of."""
    found = evidence.read(RunDirectory(run))
    return tables.predictions(found), tables.trials(found), describe(str(run))
