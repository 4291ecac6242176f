"""The benchmarks of training recipes without their trainings: cohorts, configs, shared work, what is told."""

from __future__ import annotations

import fcntl
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.statistics import cohorts, defaults, features, jobs, recipes
from benchmarks.statistics.recipes import RECIPES, Setting, Trained
from nachos_jax.protocol.run.configure import checked
from tests.tiers import mostly_thorough

SET = "kermany_cxr_pneumonia"


def cases(count: int = 60, side: int = 8) -> cohorts.Cases:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (count, side, side)).astype(np.uint8)
    return cohorts.Cases(images, np.arange(count) % 2, ("no", "yes"), np.arange(count) // 4)


def setting(folder: Path, **changes: Any) -> Setting:
    given = {"data": folder, "weights": folder / "w.pth", "folds": 3, "repeats": 1, "trials": 3}
    whole: dict[str, Any] = {**given, "engine": {"packing": "map"}, **changes}
    return Setting(**whole)


def result(recipe: str, name: str, values: list[float | None], **more: Any) -> dict[str, Any]:
    losses = [None if value is None else 1 - value for value in values]
    metrics = {"balanced_accuracy": values, "auc": values, "log_loss": losses}
    machine = {"devices": ["cpu cpu"]}
    epochs = {"stopped": [10, 30], "limit": 1, "nan": 0, "refits": [8, 12, 10]}
    base = {"name": name, "size": 100, "seed": 0, "recipe": recipe, "cases": 100, "metrics": metrics}
    return {
        **base,
        "epochs": epochs,
        "machine": machine,
        "folds": 3,
        "trials": 2,
        "seconds": 5.0,
        **more,
    }


# --- cohorts and configs -----------------------------------------------------------------------------------


def test_whole_subjects_are_drawn_by_the_seed() -> None:
    whole = cases()
    first, again, other = (cohorts.draw(whole, 30, seed) for seed in (0, 0, 1))
    assert len(first.labels) == 30
    assert first.subjects is not None
    assert sorted(np.unique(first.subjects, return_counts=True)[1]) == [2, *[4] * 7]
    np.testing.assert_array_equal(first.images, again.images)
    assert set(first.subjects.tolist()) != set(other.subjects.tolist())  # pyrefly: ignore[missing-attribute]
    assert len(cohorts.draw(whole, 99, 0).labels) == 60


def test_a_copy_is_read_as_what_it_was_made_of(tmp_path: Path) -> None:
    cohorts.write(tmp_path / f"{SET}.npz", SET, cohorts.smaller(cases(side=8), 4))
    found = cohorts.read(tmp_path, SET)
    assert (found.images.shape, found.classes) == ((60, 4, 4), ("no", "yes"))
    np.testing.assert_array_equal(found.subjects, cases().subjects)
    assert cohorts.side(tmp_path / f"{SET}.npz") == 4
    assert [path.name for path in tmp_path.iterdir()] == [f"{SET}.npz"]


@mostly_thorough("recipe", RECIPES, kept=tuple(RECIPES)[::4])
def test_every_recipe_is_a_config_that_can_be_run(recipe: str, tmp_path: Path) -> None:
    cohorts.write(tmp_path / f"{SET}.npz", SET, cases(side=80))
    run = checked(recipes.config(Trained(SET, 60, 1, recipe), setting(tmp_path), tmp_path))
    assert run.defaults["batch_size"] == 16, "20 cases of 60 are trained on, some fewer with whole subjects"
    assert run.folds.count == 3
    assert (run.data.height, run.backbone.name) == (
        (0, recipes.NETWORK) if RECIPES[recipe].features else (64, "")
    )
    assert run.search.space, "something is searched"


# --- work that processes share ------------------------------------------------------------------------------


def worked(folder: Path, monkeypatch: pytest.MonkeyPatch, budget: float = math.inf) -> list[str]:
    begun: list[str] = []

    def measured(job: Trained, *_: Any) -> dict[str, Any]:
        begun.append(job.recipe)
        return result(job.recipe, job.name, [0.5])

    monkeypatch.setattr(jobs, "measured", measured)
    wanted = [Trained(SET, 100, 0, name) for name in ("default", "adamw", "cosine")]
    jobs.work(wanted, setting(folder), folder, budget)
    return begun


def test_what_is_done_or_held_by_another_is_not_trained(tmp_path: Path, monkeypatch) -> None:
    done, held = (Trained(SET, 100, 0, name).label for name in ("default", "adamw"))
    (tmp_path / f"{done}.json").write_text(json.dumps(result("default", SET, [0.5])))
    with (tmp_path / f"{held}.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert worked(tmp_path, monkeypatch) == ["cosine"]
    assert worked(tmp_path, monkeypatch) == ["adamw"], "its process has ended without a result"
    assert {one["recipe"] for one in jobs.results(tmp_path)} == {"default", "adamw", "cosine"}


def test_no_training_begins_that_would_pass_the_budget(tmp_path: Path, monkeypatch, capsys) -> None:
    long = result("cosine", "other_set", [0.5], seconds=1e6)
    (tmp_path / "one.json").write_text(json.dumps(long))
    (tmp_path / "two.json").write_text(json.dumps(result("adamw", "other_set", [0.5], seconds=1.0)))
    assert worked(tmp_path, monkeypatch, budget=1000.0) == ["adamw"]
    assert capsys.readouterr().out.count("left out, for the time that is left") == 2


# --- what is told -------------------------------------------------------------------------------------------


def test_differences_are_means_of_sets_with_intervals_over_sets_and_over_blocks() -> None:
    found = {("a", 100, 0): 0.1, ("a", 100, 1): 0.3, ("b", 100, 0): 0.0, ("b", 100, 1): 0.0}
    told = defaults.over_sets(found)
    assert told["by_set"] == pytest.approx({"a": 0.2, "b": 0.0})
    assert told["mean"] == pytest.approx(0.1)
    half = 12.706205 * 0.1  # t of one degree of freedom; SD 0.2 / sqrt(2), over sqrt(2)
    assert (told["low"], told["high"]) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-6)
    half = 3.182446 * math.sqrt(0.02) / 2
    assert (told["low_here"], told["high_here"]) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-6)
    assert defaults.over_sets({("a", 100, 0): 0.1})["low"] is None


def test_ranks_count_blocks_that_all_have_and_lower_losses_are_better() -> None:
    block, alone = ("a", 100, 0), ("b", 100, 0)
    found = {"x": {block: 0.9, alone: 0.1}, "y": {block: 0.8}, "z": {block: 0.9}}
    assert defaults.mean_ranks(found, 1) == {"x": 1.5, "y": 3.0, "z": 1.5}
    assert defaults.mean_ranks(found, -1) == {"x": 2.5, "y": 1.0, "z": 2.5}
    assert defaults.mean_ranks({"x": {block: 0.9}, "y": {alone: 0.8}}, 1) == {}


def test_a_recipe_is_compared_where_both_were_trained() -> None:
    results = [
        result("default", "a", [0.5, 0.7]),
        result("adamw", "a", [0.7, 0.7]),
        result("adamw", "b", [0.9, 0.9]),
        result("cosine", "a", [0.6, None]),
    ]
    told = defaults.merged(results, "default")
    assert told["differences"]["auc"]["adamw"]["by_set"] == pytest.approx({"a": 0.1})
    assert "cosine" not in told["differences"]["auc"], "a fold without a value is no score"
    assert told["stopping"]["adamw"] == {
        "median": 20.0,
        "limit_share": 0.5,
        "nan_share": 0.0,
        "refit_median": 10.0,
    }


def test_features_are_compared_on_the_same_outer_folds() -> None:
    results = [
        result(features.FEATURES, "a", [0.9, 0.8, 0.7]),
        result("default", "a", [0.8, 0.6, 0.7]),
        result("default", "b", [0.1, 0.1, 0.1]),
        result("default", "a", [0.2, 0.2, 0.2], seed=1),
    ]
    told = features.compared(results, "a", "default")
    assert (told["mean"], told["folds"]) == (pytest.approx(0.1), 3)
    half = 4.302653 * math.sqrt((1 / 3 + 1 / 2) * 0.01)
    assert (told["low"], told["high"]) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-6)
    spread = features.spread(results, "a", "default")
    assert spread["by_seed"] == pytest.approx({"0": 0.7, "1": 0.2})
    assert spread["sd"] == pytest.approx(0.5 / math.sqrt(2))
