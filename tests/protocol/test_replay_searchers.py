"""Searchers played on a finished grid, against the searcher itself and the scores of the grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nachos_jax.cli.main import main
from nachos_jax.config.parsing import POLICY
from nachos_jax.core.errors import UsageError
from nachos_jax.core.space import choice, log
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.replay import recorded
from nachos_jax.protocol.replay.replay import full_scores
from nachos_jax.protocol.replay.searchers import compare
from nachos_jax.search import registry
from nachos_jax.search.searcher import Heard, SearchSetting, identity
from tests import tiny

SPACE = {"learning_rate": choice(0.001, 0.01, 0.1), "momentum": choice(0.0, 0.5, 0.9), "weight_decay": ""}
SIZE = 10
"""Nine configurations and the default."""


def run_of(trials: int, **space):
    values = {f"search__space__{name}": value for name, value in {**SPACE, **space}.items()}
    return tiny.run_config(
        training__epochs=4,
        training__patience=2,
        search__searcher="grid",
        search__policy="full",
        search__trials=trials,
        **values,
    )


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("grid") / "run"
    evaluate(run_of(SIZE), str(folder), None, tiny.cohort(), quiet=True)
    return str(folder)


@pytest.mark.thorough
def test_random_search_finds_the_best_of_what_it_proposes(grid):
    told = compare(grid, [("random", "full")], trials=4, repeats=3)
    found = recorded.run(grid)
    means, hits, epochs = [], 0, 0
    for seed in range(3):
        scores = []
        for t, known in found.trials.items():
            run = run_of(4)
            setting = SearchSetting(
                run.defaults, run.search.space, run.table, seed, t, run.search.initial, run.search.priors
            )
            asked: list[Heard] = []
            for proposal in registry.build("random", setting).ask(4, asked):
                numbers = [n for n, one in enumerate(known) if identity(one) == identity(proposal.hparams)]
                scores.append((t, numbers[0]))
        whole = {t: full_scores(found, t) for t in found.trials}
        best = {t: max((whole[t][n].score or 0.0) for o, n in scores if o == t) for t in whole}
        means.append(np.mean(list(best.values())))
        hits += sum(best[t] == max(one.score or 0.0 for one in whole[t]) for t in whole)
        epochs += sum(len(found.of(t, n, v).loss) for t, n in scores for v in found.inner[t])
    way = told["ways"]["random, full"]
    assert way["score"] == pytest.approx(np.mean(means))
    assert way["score_sd"] == pytest.approx(np.std(means, ddof=1))
    assert way["epochs"] == pytest.approx(epochs / 3 / len(found.trials))
    assert way["best_found"] <= hits / (3 * len(found.trials))  # equal scores count where they are selected
    assert told["test"] is None


@pytest.mark.parametrize("searcher", ["random", "sobol", "bohb", "grid"])
def test_a_whole_grid_holds_no_regret_and_the_choice_of_the_run_itself(grid, searcher):
    told = compare(grid, [(searcher, "full")], trials=99, repeats=1)
    (way,) = told["ways"].values()
    assert (way["regret"], way["best_found"], way["fraction"]) == (0.0, 1.0, 1.0)
    assert told["configurations"] == SIZE


@pytest.mark.thorough
def test_a_policy_spends_less_and_seeds_alone_decide(grid):
    ways = [("bohb", "full"), ("bohb", "hyperband"), ("random", "race")]
    told, again = (compare(grid, ways, trials=6, repeats=4) for _ in range(2))
    assert told == again
    assert told["ways"]["bohb, hyperband"]["epochs"] < told["ways"]["bohb, full"]["epochs"]
    assert all(0 <= way["regret"] <= told["best"] for way in told["ways"].values())
    assert told["test"]["count"] == 12


def test_a_way_that_is_named_twice_is_played_once(grid):
    told = compare(grid, [("random", "full"), ("random", "full")], trials=2, repeats=1)
    assert (list(told["ways"]), told["test"]) == (["random, full"], None)


def test_the_command_prints_what_was_found(grid, capsys):
    words = ["--searcher=random,bohb", "--policy=full,hyperband", "--trials=3", "--repeats=2"]
    assert main(["nachos", "replay", f"--curves={grid}", *words]) == 0
    ways = json.loads(capsys.readouterr().out)[Path(grid).name]["ways"]
    assert list(ways) == ["random, full", "random, hyperband", "bohb, full", "bohb, hyperband"]


def test_without_a_policy_the_one_that_is_played_is_named(grid, capsys):
    assert (
        main(["nachos", "replay", f"--curves={grid}", "--searcher=random", "--trials=2", "--repeats=1"]) == 0
    )
    assert list(json.loads(capsys.readouterr().out)[Path(grid).name]["ways"]) == [f"random, {POLICY}"]


@pytest.mark.thorough
def test_what_was_not_trained_is_not_played(grid, tmp_path):
    with pytest.raises(UsageError, match="tpe"):
        compare(grid, [("tpe", "full")], 3, 1)
    evaluate(run_of(8), str(tmp_path / "part"), None, tiny.cohort(), quiet=True)
    with pytest.raises(UsageError, match=r"8 of 10 configurations.*search.trials = 10"):
        compare(str(tmp_path / "part"), [("random", "full")], 3, 1)
    ranged = tiny.run_config(
        search__searcher="random",
        search__policy="full",
        search__trials=2,
        search__space__learning_rate=log(0.001, 0.1),
        search__space__momentum="",
        search__space__weight_decay="",
    )
    evaluate(ranged, str(tmp_path / "range"), None, tiny.cohort(), quiet=True)
    with pytest.raises(UsageError, match="learning_rate is a range"):
        compare(str(tmp_path / "range"), [("random", "full")], 3, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials=3"], "--trials=3: goes with --searcher"),
        (["--repeats=2"], "--repeats=2: goes with --searcher"),
        (["--policy=full,race"], "name one, or with --searcher"),
        (["--searcher=random", "--trials=0"], "must be a whole number from 1"),
        (["--searcher=random", "--repeats=many"], "must be a whole number from 1"),
    ],
)
def test_words_that_do_not_fit_are_refused(grid, capsys, words, message):
    assert main(["nachos", "replay", f"--curves={grid}", *words]) == 2
    assert message in capsys.readouterr().err
