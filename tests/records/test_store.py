"""The run directory: whole files or none, one truth a path, damage told by name."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Trial, TrialScore
from nachos_jax.records import moving, schema, store
from nachos_jax.records.store import RunDirectory, write_atomic
from tests.records import facts, seals

FIT = schema.FitRecord(
    "00ff00ff00ff00ff", (0, 1), {"learning_rate": 0.1}, 9, "done", 2, 70, (0.5, 0.25),
    {0: schema.Curve((0.5,), (None,), "patience")},
)  # fmt: skip
TRIALS = tuple(Trial(3, n, {"learning_rate": 0.1}, "default") for n in range(2))
SCORE = TrialScore(0.5, 0.0, 5, 70, "done", {0: 0.5})
OUTCOME = schema.Outcome(3, "accuracy", "best", TRIALS, (SCORE, SCORE), ((), ()), 0, 5)
TEST = schema.OuterTest(
    3, FIT.fit, ("a",), {"labels": np.array([1]), "probabilities": np.array([[0.25, 0.75]])}, (0.5,)
)
TRIAL = TRIALS[0]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# --- writing a file ----------------------------------------------------------------------------------


def test_a_file_is_written_with_its_folders_and_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    write_atomic(path, b"old")
    write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert files(tmp_path) == {"a/b/c.json"}
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("before", [None, b"what was there"])
@pytest.mark.parametrize("broken", ["fsync", "replace", "fdopen", "chmod"])
def test_a_write_that_fails_leaves_what_was_there_and_says_so(tmp_path, monkeypatch, broken, before):
    path = tmp_path / "record.json"
    if before is not None:
        path.write_bytes(before)

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(store.os, broken, full)
        with pytest.raises(
            UsageError, match="cannot be written .No space left on device.: free space"
        ) as refusal:
            write_atomic(path, b"new")
    assert str(path) in str(refusal.value)
    assert files(tmp_path) == (set() if before is None else {"record.json"})
    assert before is None or path.read_bytes() == before


def test_a_kill_in_the_middle_of_a_write_leaves_what_was_there(tmp_path, monkeypatch):
    """KeyboardInterrupt stands for what no handler turns into words."""
    path = tmp_path / "record.json"
    write_atomic(path, b"old")

    def killed(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert files(tmp_path) == {"record.json"}
    assert path.read_bytes() == b"old"


def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    """Else a power cut could leave a record's name with nothing in it."""
    done = []
    synced, replaced = os.fsync, os.replace

    def fsync(handle):
        done.append("folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file")
        synced(handle)

    def replace(source, target):
        done.append("rename")
        assert Path(source).parent == Path(target).parent, "only within a folder is a rename atomic"
        replaced(source, target)

    monkeypatch.setattr(store.os, "fsync", fsync)
    monkeypatch.setattr(store.os, "replace", replace)
    write_atomic(tmp_path / "x", b"x")
    assert done == ["file", "rename", "folder"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOTSUP])
def test_a_file_system_that_cannot_be_asked_of_a_folder_is_not_asked(tmp_path, monkeypatch, number):
    def fsync(handle):
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store.os, "fsync", fsync)
    write_atomic(tmp_path / "x", b"x")
    assert (tmp_path / "x").read_bytes() == b"x"


def test_a_disk_that_fails_at_a_folder_is_told(tmp_path, monkeypatch):
    def fsync(handle):
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(store.os, "fsync", fsync)
    with pytest.raises(UsageError, match="x cannot be written"):
        write_atomic(tmp_path / "x", b"x")


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "records").write_text("in the way")
    with pytest.raises(UsageError, match="records/run.json cannot be written"):
        RunDirectory(tmp_path).commit_run({"seed": 0})


# --- one truth a path --------------------------------------------------------------------------------

COMMITS = {
    "run": lambda run, other: run.commit_run({"seed": int(other)}),
    "trial": lambda run, other: run.commit_trial(
        dataclasses.replace(TRIAL, origin="ax" if other else "default")
    ),
    "outcome": lambda run, other: run.commit_outcome(dataclasses.replace(OUTCOME, selected=int(other))),
    "fit": lambda run, other: run.commit_fit(dataclasses.replace(FIT, epochs=2 + other), {}),
    "test": lambda run, other: run.commit_test(dataclasses.replace(TEST, training_loss=(float(other),))),
}


@pytest.mark.parametrize("kind", sorted(COMMITS.keys() - {"fit"}))
def test_the_same_record_twice_is_fine_and_another_one_is_refused(tmp_path, kind):
    run = RunDirectory(tmp_path)
    COMMITS[kind](run, False)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    COMMITS[kind](run, False)
    with pytest.raises(
        UsageError, match="already holds another result: .* Use one --workdir a run"
    ) as refusal:
        COMMITS[kind](run, True)
    assert len(before) == 1
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before
    assert next(iter(before)) in str(refusal.value)


def test_of_two_processes_that_trained_the_same_fit_the_first_is_kept(tmp_path):
    first, second = RunDirectory(tmp_path), RunDirectory(tmp_path)
    kept = first.commit_fit(FIT, {"weights.safetensors": b"first"})
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    late = second.commit_fit(dataclasses.replace(FIT, epochs=9), {"weights.safetensors": b"second"})
    assert late == kept
    assert first.payload(kept, "weights.safetensors") == b"first"
    assert before.items() <= {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}.items()


@pytest.mark.parametrize("links", [True, False])
def test_the_first_of_several_writers_wins(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(store.os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    write_atomic(tmp_path / "a", b"first", replace=False)
    with pytest.raises(moving.AlreadyThereError):
        write_atomic(tmp_path / "a", b"second", replace=False)
    assert files(tmp_path) == {"a"}
    assert (tmp_path / "a").read_bytes() == b"first"


@given(facts.FITS, facts.OUTCOMES, facts.TESTS, facts.TRIALS)
@settings(max_examples=25)
def test_every_record_comes_back(fit, outcome, test, trial):
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(folder)
        stored = run.commit_fit(fit, {"weights.safetensors": b"w"})
        run.commit_outcome(outcome)
        run.commit_test(test)
        run.commit_trial(trial)
        again = RunDirectory(folder)
        assert list(again.fits()) == [stored]
        assert stored == dataclasses.replace(fit, payload=stored.payload)
        assert again.outcome(outcome.study) == outcome
        assert len(again.tests()) == 1
        assert facts.same(again.tests()[0], test)
        assert again.trials(trial.study) == [trial]


def test_records_come_in_order_and_a_new_directory_has_none(tmp_path):
    run = RunDirectory(tmp_path / "not yet there")
    assert (run.run(), run.trials(0), run.outcome(None), list(run.fits())) == (None, [], None, [])
    assert (run.tests(), run.sessions(), run.read_table("x.csv")) == ([], [], None)
    assert not run.path.exists(), "looking makes no folders"
    for number in (10, 2, 0, 1):
        run.commit_trial(dataclasses.replace(TRIAL, number=number))
        run.commit_test(dataclasses.replace(TEST, outer_fold=number))
    assert [trial.number for trial in run.trials(3)] == [0, 1, 2, 10]
    assert [test.outer_fold for test in run.tests()] == [0, 1, 2, 10]
    assert run.trials(None) == run.trials(2) == []


@pytest.mark.parametrize("beyond", [(9_999, 10_000), (99, 100)])
def test_order_survives_numbers_with_more_digits_than_names_are_padded_to(tmp_path, beyond):
    run = RunDirectory(tmp_path)
    for number in reversed(beyond):
        run.commit_trial(dataclasses.replace(TRIAL, number=number))
        run.commit_test(dataclasses.replace(TEST, outer_fold=number))
    assert tuple(trial.number for trial in run.trials(3)) == beyond
    assert tuple(test.outer_fold for test in run.tests()) == beyond


def test_estimate_and_deployment_see_nothing_of_each_other(tmp_path):
    estimate, deployment = RunDirectory(tmp_path), RunDirectory(tmp_path, "deploy")
    estimate.commit_run({"seed": 1})
    estimate.commit_fit(FIT, {})
    estimate.commit_trial(TRIAL)
    assert deployment.run() == {"seed": 1, "schema": 2}
    assert list(deployment.fits()) == deployment.trials(3) == []


# --- damage ------------------------------------------------------------------------------------------


def test_a_record_cut_short_or_overwritten_is_told_by_name(tmp_path):
    run = RunDirectory(tmp_path)
    readers = {"run": run.run, "outcome": lambda: run.outcome(3), "trial": lambda: run.trials(3)}
    readers |= {"fit": lambda: list(run.fits()), "test": run.tests}
    for kind, commit in COMMITS.items():
        new = files(tmp_path)
        commit(run, False)
        path = tmp_path / (files(tmp_path) - new).pop()
        whole = path.read_bytes()
        cuts = [whole[:length] for length in range(0, len(whole) - 2, 7)]
        other = [b"[]", b"null", b"5", b'"x"', b"\xff\xfe", b"\0" * len(whole), whole + b"{}"]
        for damaged in [*cuts, *other, *([] if kind == "run" else [b"{}", b'{"study": []}'])]:
            path.write_bytes(damaged)
            with pytest.raises(
                UsageError, match="is damaged .*: delete this file and run the same"
            ) as refusal:
                readers[kind]()
            assert str(path) in str(refusal.value)
        path.write_bytes(whole)
        readers[kind]()


def test_one_bit_of_any_record_is_told_by_name(tmp_path):
    """And another record in its place, and one without digest, but not in a directory of an older version."""
    run = RunDirectory(tmp_path)
    for commit in COMMITS.values():
        commit(run, False)
    run.write_session("now", {"fits": 1})
    run.write_settings({"gallery": 1})
    run.write_groups({"sex": ["f"]})
    readers = [run.run, lambda: run.outcome(3), lambda: run.trials(3), lambda: list(run.fits()), run.tests]
    readers += [run.sessions, run.settings, run.groups]

    def told() -> str:
        with pytest.raises(
            UsageError, match="is damaged .*delete this file and run the same `nachos "
        ) as error:
            [read() for read in [lambda: RunDirectory(tmp_path).run(), *readers]]
        return str(error.value)

    paths = sorted(path for path in tmp_path.rglob("*.json"))
    assert len(paths) == 8
    for path in paths:
        whole = path.read_bytes()
        for place in range(0, 8 * len(whole), 97):
            data = bytearray(whole)
            data[place // 8] ^= 1 << place % 8
            path.write_bytes(data)
            assert str(path) in told()
        for other in paths:
            if other != path:
                path.write_bytes(other.read_bytes() if other.name != "run.json" else b"{}")
                assert str(path) in told()
        path.write_bytes(whole)
    assert all(read() is not None for read in readers)
    seals.remove(tmp_path)
    older = RunDirectory(tmp_path)
    assert not older.sealed
    assert (older.outcome(3), older.trials(3), older.tests()[0].fit) == (OUTCOME, [TRIAL], TEST.fit)
    older.commit_trial(TRIALS[1])
    assert b"digest" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.json"))
    (tmp_path / "records" / "run.json").unlink()
    RunDirectory(tmp_path).commit_run({"seed": 0})
    assert not RunDirectory(tmp_path).sealed, "its other records have no digests"


@given(facts.FITS, st.data())
@settings(max_examples=25)
def test_no_prefix_of_a_record_is_read_as_one(fit, data):
    text = store.dump(schema.to_json(fit))
    end = data.draw(st.integers(0, len(text) - 2))
    with tempfile.TemporaryDirectory() as folder:
        path = RunDirectory(folder).folder / "fits" / f"{fit.fit}.json"
        write_atomic(path, text[:end])
        with pytest.raises(UsageError, match="is damaged"):
            list(RunDirectory(folder).fits())


def test_what_a_kill_left_behind_is_not_read_as_a_record(tmp_path, monkeypatch):
    run = RunDirectory(tmp_path)
    for commit in COMMITS.values():
        commit(run, False)
    run.write_session("now", {"fits": 1})

    def looked() -> tuple:
        tests = [schema.test_json(test) for test in run.tests()]
        return run.trials(3), run.outcome(3), list(run.fits()), tests, run.sessions()

    seen = looked()
    with monkeypatch.context() as patch:  # a kill cannot unlink
        patch.setattr(store.Path, "unlink", lambda *_a, **_k: None)
        patch.setattr(store.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        for name in list(files(tmp_path)):
            with pytest.raises(KeyboardInterrupt):
                write_atomic(tmp_path / name, b'{"half": ')
    assert sum("/.tmp-" in name for name in files(tmp_path)) == 6
    assert looked() == seen


def test_only_left_overs_of_our_own_writers_are_swept(tmp_path):
    run = RunDirectory(tmp_path)
    COMMITS["fit"](run, False)
    ours = [
        tmp_path / ".tmp-abcdefgh",
        run.folder / "fits" / ".tmp-a_c4efgh",
        tmp_path / "report" / ".tmp-12345678",
        tmp_path / "checkpoints/evaluate/paused/.tmp-12345678",
    ]
    theirs = [
        tmp_path / ".tmp-mine",
        tmp_path / "mine" / ".tmp-abcdefgh",
        tmp_path / "checkpoints" / ".tmp-abcdefgh",
    ]
    for path in [*ours, *theirs]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    kept = files(tmp_path) - {str(path.relative_to(tmp_path)) for path in ours}
    run.sweep()
    assert files(tmp_path) == kept


# --- payloads ----------------------------------------------------------------------------------------


def test_a_payload_is_what_the_record_vouches_for_or_refused(tmp_path):
    run = RunDirectory(tmp_path)
    record = run.commit_fit(FIT, {"weights.safetensors": b"weights", "logits.safetensors": b""})
    assert list(run.fits()) == [record]
    assert run.payload(record, "weights.safetensors") == b"weights"
    assert run.payload(record, "logits.safetensors") == b""
    path = run.payload_path(record, "weights.safetensors")
    for damaged in (b"weightS", b"weights ", b"", None):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(UsageError, match="is missing or damaged: delete .*00ff.json and run") as refusal:
            run.payload(record, "weights.safetensors")
        assert str(path) in str(refusal.value)
    run.payload_path(record, "logits.safetensors").unlink()
    with pytest.raises(UsageError, match="logits.safetensors is missing or damaged"):
        run.payload(record, "logits.safetensors")


def test_no_record_vouches_for_a_payload_that_was_not_written(tmp_path, monkeypatch):
    run, order = RunDirectory(tmp_path), []
    written = store.write_atomic
    monkeypatch.setattr(
        store, "write_atomic", lambda path, *more, **how: (order.append(path), written(path, *more, **how))
    )
    record = run.commit_fit(FIT, {"weights.safetensors": b"w", "logits.safetensors": b"l"})
    payload = [run.payload_path(record, end) for end in ("weights.safetensors", "logits.safetensors")]
    assert order[:-1] == payload
    assert order[-1].name == f"{FIT.fit}.json"


# --- files for people --------------------------------------------------------------------------------


def test_a_session_is_rewritten_in_place(tmp_path):
    run = RunDirectory(tmp_path)
    for fits in (1, 2):
        run.write_session("20260101", {"fits": fits})
    run.write_session("20250101", {"fits": 9})
    assert run.sessions() == [{"fits": 9}, {"fits": 2}]
    assert json.loads((run.folder / "sessions" / "20260101.json").read_text())["fits"] == 2
