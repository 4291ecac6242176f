"""Replays against a plain reading of recorded curves, and what cannot be replayed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.cli.main import main
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.engine import watch
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.replay import recorded
from nachos_jax.protocol.replay.parts import cut
from nachos_jax.protocol.replay.replay import replay
from nachos_jax.records.schema import Curve
from tests import tiny


def curves(trials: int = 3, folds: int = 4, epochs: int = 12, patience: int = 3, seed: int = 0) -> np.ndarray:
    """[trials, folds, folds, epochs, 4] of random losses, each cut where its patience runs out."""
    draw = np.random.default_rng(seed)
    found = draw.uniform(0.2, 1.0, (trials, folds, folds, epochs, 4)).astype(np.float32)
    for place in np.ndindex(trials, folds, folds):
        if place[1] == place[2]:
            found[place] = np.nan
            continue
        lowest, since = math.inf, 0
        for epoch in range(epochs):
            loss = found[place][epoch, 2]
            lowest, since = (loss, 0) if loss < lowest else (lowest, since + 1)
            if since >= patience:
                found[place][epoch + 1 :] = np.nan
                break
    return found


def stored(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "curves.npz", **arrays)
    return str(folder / "curves.npz")


def test_without_a_policy_every_recorded_epoch_is_trained_and_the_best_trial_chosen(tmp_path):
    array = curves()
    (found,) = recorded.load(stored(tmp_path, one__curves=array)).values()
    told = replay(found, "full")
    ran = np.isfinite(array[..., 2]).sum(-1)
    assert told["epochs_used"] == told["epochs_full"] == ran.sum()
    shared = np.triu(np.maximum(ran, ran.transpose(0, 2, 1)), 1).sum()
    assert told["epochs_used_with_pairs"] == told["epochs_full_with_pairs"] == shared
    assert (told["mean_regret"], told["max_regret_in_se"], told["agreement"]) == (0.0, 0.0, 1.0)
    assert found.limit.patience == 3
    best = 1 + np.nanargmin(np.where(np.isnan(array[..., 2]), np.inf, array[..., 2]), -1)
    scores = np.take_along_axis(array[..., 3], best[..., None] - 1, -1)[..., 0]
    for t in range(4):
        want = np.nanmean(np.where(np.eye(4, dtype=bool)[t], np.nan, scores[:, t]), -1)
        assert [s.score for s in _scores(found, t)] == pytest.approx(want)


@given(
    loss=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, math.nan]), min_size=1, max_size=12),
    limit=st.builds(EpochLimit, st.integers(1, 12), st.integers(1, 5), st.sampled_from([0.0, 0.1])),
)
def test_a_curve_is_cut_where_the_engine_would_have_ended_it(loss, limit):
    def watched(limit: EpochLimit) -> Curve:
        progress = watch.begin(Fit({}, (0,), 0, limit, ""))
        for epoch, value in enumerate(loss):
            if not progress.ended:
                progress = watch.after_epoch(progress, 0.0, {0: (value, float(epoch))})
        return progress.watchers[0]

    whole, found = watched(EpochLimit(12, 12)), watched(limit)
    assert cut(whole, limit) == (found if len(found.loss) < len(whole.loss) else whole)


def test_without_a_patience_a_curve_is_cut_at_its_last_epoch():
    whole = Curve((0.3, 0.4, 0.5), (0.1, 0.2, 0.3), "limit")
    assert cut(whole, EpochLimit(2)) == Curve((0.3, 0.4), (0.1, 0.2), "limit")
    assert cut(whole, EpochLimit(3)) == whole


def _scores(found: recorded.Recorded, outer: int):
    from nachos_jax.protocol.replay.replay import full_scores

    return full_scores(found, outer)


def test_the_command_prints_one_object_and_writes_it(tmp_path, capsys):
    path = stored(tmp_path, a__curves=curves(), b__curves=curves(2, 3, 5, 2, seed=1), columns=np.arange(4))
    assert main(["nachos", "replay", f"--curves={path}", "--policy=full", f"--output={tmp_path}/x.json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "x.json").read_text())
    assert {name: value["trials"] for name, value in told.items()} == {"a": 3, "b": 2}


def test_without_a_name_the_default_policy_is_played(tmp_path, capsys):
    path = stored(tmp_path, a__curves=curves())
    assert main(["nachos", "replay", f"--curves={path}"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["a"]["policy"] == tiny.run_config(search__policy="").search.policy


def test_searchers_are_not_played_on_a_file_of_curves(tmp_path, capsys):
    path = stored(tmp_path, a__curves=curves())
    assert main(["nachos", "replay", f"--curves={path}", "--searcher=random"]) == 2
    assert f"--curves={path}: is a file" in capsys.readouterr().err


def test_a_finished_run_is_replayed_from_its_records(tmp_path):
    run = tiny.run_config(training__epochs=6, training__patience=2)
    evaluate(run, str(tmp_path / "run"), None, tiny.cohort(), quiet=True)
    (found,) = recorded.load(str(tmp_path / "run")).values()
    told = replay(found, "full")
    assert (told["fraction"], told["agreement"]) == (1.0, 1.0)
    assert told["trials"] == run.search.trials
    fits = [json.loads(p.read_text()) for p in (tmp_path / "run/records/evaluate/fits").glob("*.json")]
    assert told["epochs_full_with_pairs"] == sum(fit["epochs"] for fit in fits if fit["curves"])


def test_a_trial_that_met_nan_is_never_chosen(tmp_path):
    array = curves()
    array[0, 1, 2, 1:, 2] = np.nan
    array[0, 1, 2, 3, 1] = 0.5
    array[0, 1, :, :, 3] = 1.0
    (found,) = recorded.load(stored(tmp_path, one__curves=array)).values()
    assert found.of(1, 0, 2).end == "nan"
    assert replay(found, "full")["agreement"] == 1.0


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.zeros(3)}, "holds no array NAME__curves"),
        ({"one__curves": np.zeros((3, 4, 4, 5))}, "must be"),
        ({"one__curves": np.zeros((3, 4, 4, 5, 4), int)}, "floating-point"),
        ({"one__curves": np.full((3, 4, 4, 5, 4), np.nan)}, "trial 0 was not run on test fold 0"),
    ],
)
def test_what_cannot_be_replayed_is_refused(tmp_path, arrays, message):
    with pytest.raises(UsageError, match=message):
        recorded.load(stored(tmp_path, **arrays))


def test_what_is_no_recording_is_refused(tmp_path, capsys):
    (tmp_path / "x.npz").write_bytes(b"no archive")
    (tmp_path / "half.npz").write_bytes(b"PK\x03\x04half of an archive")
    np.save(tmp_path / "alone.npy", np.zeros(3))
    for place, message, cure in (
        ("x.npz", "no npz file", "name one, or the --workdir"),
        ("half.npz", "no npz file", "name one, or the --workdir"),
        ("alone.npy", "no npz file", "name one, or the --workdir"),
        ("", "neither an npz file nor a run", "name the --workdir"),
        ("y", "no such file", "mend the path"),
    ):
        assert main(["nachos", "replay", f"--curves={tmp_path / place}"]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert cure in told
        assert "pickle" not in told


@pytest.mark.parametrize(
    ("output", "message"), [("curves.npz", "ends in .json"), ("nowhere/x.json", "make it first")]
)
def test_an_output_that_would_cost_the_curves_or_has_no_folder_is_refused(tmp_path, capsys, output, message):
    path = Path(stored(tmp_path, one__curves=curves()))
    before = path.read_bytes()
    assert main(["nachos", "replay", f"--curves={path}", f"--output={tmp_path / output}"]) == 2
    assert message in capsys.readouterr().err
    assert path.read_bytes() == before
