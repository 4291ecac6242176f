"""What searches teach: scores after epochs, designs of trials, epochs spent, and finished runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.protocol.design.selection import score_trial
from nachos_jax.records.schema import Curve
from nachos_jax.report.numbers.best_so_far import best_so_far, mean_curve
from nachos_jax.report.numbers.design import GRID, ONE_AT_A_TIME, design, varied
from nachos_jax.report.numbers.importance import mattering
from nachos_jax.report.numbers.lessons import lessons, of_runs
from nachos_jax.report.numbers.rank_agreement import MOST, rank_agreement, scores_after
from nachos_jax.report.reading import evidence, searches
from nachos_jax.report.words import lessons_text
from tests.report.search_runs import edit_outcomes, repetition, rescored, search, searched

pytestmark = pytest.mark.usefixtures("whole_forests")

NUMBERS = st.floats(0, 1)
CURVES = st.lists(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6), min_size=1, max_size=4)


def curved(number, *lines):
    """A trial of these curves [(loss, score), ...] by inner fold, scored as the protocol does."""
    curves = {
        v: Curve(tuple(loss for loss, _ in line), tuple(score for _, score in line), "patience")
        for v, line in enumerate(lines)
    }
    told = score_trial(curves, 1)
    return searched(number, {}, told.by_fold, score=told.score, curves=curves)


def with_scores(*lines):
    """A study whose trials have these scores of one inner fold, epoch after epoch, with falling losses."""
    trials = [
        curved(n, [(1 / (e + 1), score) for e, score in enumerate(line)]) for n, line in enumerate(lines)
    ]
    return search(*trials)


# --- rankings -----------------------------------------------------------------------------------------


@given(CURVES, st.booleans())
def test_the_score_after_so_many_epochs_is_that_of_a_search_that_ended_there(lines, last):
    trial = curved(0, *lines)
    for epoch in range(1, 8):
        cut = {v: Curve(c.loss[:epoch], c.score[:epoch], "limit") for v, c in trial.curves.items()}
        assert scores_after(trial, [epoch], last)[0] == pytest.approx(score_trial(cut, 1, last).score)


def test_tau_is_one_at_the_end_and_counts_pairs_before():
    found = rank_agreement([with_scores((0.1, 0.1), (0.3, 0.2), (0.2, 0.3))])
    assert found["epochs"] == [1, 2]
    assert found["studies"][0]["tau"] == [pytest.approx(1 / 3), 1.0]
    assert found["mean"] == found["studies"][0]["tau"]
    assert found["studies"][0]["z"][1] == pytest.approx(1 / math.sqrt(2 * 11 / (9 * 3 * 2)))
    assert found["trusted_from"] == 2
    assert found["note"] == ""


def test_a_ranking_is_trusted_only_where_it_stays_so():
    rising, falling = (0.1, 0.1, 0.1), (0.3, 0.0, 0.3)
    found = rank_agreement([with_scores(rising, falling, (0.2, 0.2, 0.2))])
    assert found["mean"][0] == 1.0
    assert found["mean"][1] < 0.8
    assert found["trusted_from"] == 3


def test_the_epoch_from_which_a_ranking_is_trusted_is_said():
    order = [0.1, 0.2, 0.3]

    def told(*epochs):
        study = with_scores(*zip(*epochs, strict=True))
        return lessons_text.said(lessons([study]), "score")["ranks"]

    assert told(order, order).endswith(
        "from epoch 1 of 2 on it stays at 0.8 or more, where nine in ten pairs of "
        "trials are in their final order."
    )
    assert "; only at the end, after epoch 2, it is 0.8 or more" in told(order[::-1], order)
    assert told(order[::-1], order).startswith(
        "Kendall's tau between the ranking of the trials after an epoch "
        "and at the end: \N{MINUS SIGN}1.00 after epoch 1;"
    )


def test_means_are_over_the_studies_in_which_tau_is_defined():
    equal = with_scores((0.5, 0.1), (0.5, 0.2), (0.5, 0.3))
    other = with_scores((0.1, 0.1), (0.3, 0.2), (0.2, 0.3))
    found = rank_agreement([equal, other])
    assert found["studies"][0]["tau"] == [None, 1.0]
    assert found["mean"] == [pytest.approx(1 / 3), 1.0]


def test_too_few_trials_say_so_and_trials_without_a_score_are_left_out():
    two = with_scores((0.1,), (0.2,))
    assert rank_agreement([two])["note"] == "2 to rank: at least 3 are needed"
    none = rank_agreement([])
    assert (none["trusted_from"], none["note"]) == (None, "no study has ended")
    stopped = searched(3, {}, {0: None}, score=None, status="stopped")
    three = with_scores((0.1,), (0.2,), (0.3,)).trials
    found = lessons([search(*three, stopped)])
    assert found["ranks"]["studies"][0]["trials"] == 3
    assert found["trials"] == {"done": 3, "stopped": 1}


def test_of_long_searches_some_epochs_are_compared_with_both_ends():
    found = rank_agreement([with_scores([0.1] * 999, [0.2] * 500, [0.3] * 20)])
    assert (found["epochs"][0], found["epochs"][-1], len(found["epochs"])) == (1, 999, MOST)


# --- designs and importance ---------------------------------------------------------------------------


def trials_of(configs, effect, studies=3):
    """Studies of these trials, whose scores are an effect of their values, the study and a little noise."""
    draw = np.random.default_rng(0)
    return [
        search(
            *(
                searched(
                    n, hparams, {v: effect(hparams) + 5 * study + draw.normal(0, 0.01) for v in range(3)}
                )
                for n, hparams in enumerate(configs)
            ),
            study=f"fold {study}",
        )
        for study in range(studies)
    ]


GRID_TRIALS = [{"a": a, "b": b, "fixed": 1} for a, b in itertools.product((1, 2, 3), ("x", "y"))]
ONE_CHANGE = [{"opt": "sgd", "m": 0.9, "w": 8}, {"opt": "adam", "beta": 0.9, "w": 8}]
ONE_CHANGE += [{"opt": "sgd", "m": 0.5, "w": 8}, {"opt": "sgd", "m": 0.9, "w": 16}]


@pytest.mark.parametrize(
    ("configs", "kind", "numbers"),
    [
        (GRID_TRIALS, GRID, range(6)),
        ([{"a": 9, "b": "z", "fixed": 1}, *GRID_TRIALS], GRID, range(1, 7)),  # a default off the grid
        (ONE_CHANGE, ONE_AT_A_TIME, range(4)),
        (GRID_TRIALS[:-1], None, ()),
        ([*ONE_CHANGE, {"opt": "sgd", "m": 0.5, "w": 16}], None, ()),
        ([{"a": 1}], None, ()),
    ],
)
def test_designs_are_known_by_their_values(configs, kind, numbers):
    made = trials_of(configs, lambda _: 0.0)
    found = design(made, varied(made))
    assert (found and found.kind) == kind
    assert list(found.levels if found else ()) == list(numbers)


def test_studies_of_other_trials_are_no_design():
    made = trials_of(GRID_TRIALS, lambda _: 0.0, 1) + trials_of(GRID_TRIALS[::-1], lambda _: 0.0, 1)
    assert design(made, varied(made)) is None


def test_an_analysis_finds_what_moves_the_scores():
    made = trials_of(GRID_TRIALS, lambda hparams: 0.1 * hparams["a"])
    found = mattering(made)
    assert (found["method"], found["design"], found["blocks"], found["trials"]) == (
        "anova",
        GRID,
        "studies",
        18,
    )
    assert found["rows"]["a"]["p_bonferroni"] < 1e-6
    assert found["rows"]["b"]["p_bonferroni"] > 0.05
    assert found["rows"]["a"]["residual_df"] == 18 - 3 - 2 - 1
    alone = mattering(made[:1])
    assert (alone["blocks"], alone["rows"]["a"]["residual_df"]) == ("inner folds", 18 - 3 - 2 - 1)
    one_change = mattering(trials_of(ONE_CHANGE, lambda hparams: 0.1 * (hparams["w"] == 16)))
    assert {name for name, row in one_change["rows"].items() if row["p_bonferroni"] < 0.001} == {"w"}


def test_free_trials_get_a_forest():
    draw = np.random.default_rng(1)
    made = trials_of([{"rate": r, "b": b} for r, b in draw.random((8, 2)).tolist()], lambda h: h["rate"])
    found = mattering(made)
    assert (found["method"], found["design"]) == ("forest", "free")
    assert found["rows"]["rate"]["importance"] > 5 * found["rows"]["b"]["importance"]
    assert found["trials"] == sum(len(one.scored) for one in made)
    lonely = [search(one.trials[0]) for one in made] + [search(made[0].trials[1])]
    assert mattering([*made, *lonely])["trials"] == found["trials"]


# --- best so far --------------------------------------------------------------------------------------


def test_the_best_so_far_rises_and_all_trials_cost_their_epochs():
    failed = searched(1, {}, {0: None}, curves={0: Curve((1.0, None), (0.1, None), "nan")})
    trials = (with_scores((0.5, 0.4)).trials[0], failed, curved(2, [(1.0, 0.7)] * 3, [(1.0, 0.5)] * 4))
    (study,) = best_so_far([search(*trials)])["studies"]
    assert study["epochs"] == [2, 4, 11]
    assert study["score"] == [0.4, None, 0.6]
    assert study["best"] == [0.4, 0.4, 0.6]


def test_the_mean_curve_begins_where_all_have_a_score_and_keeps_those_that_ended():
    one = {"epochs": [10, 20, 30], "best": [None, 0.4, 0.6]}
    two = {"epochs": [5, 25], "best": [0.8, 1.0]}
    found = mean_curve([one, two])
    assert found["epochs"] == [20, 25, 30]
    assert found["best"] == pytest.approx([0.6, 0.7, 0.8])
    assert mean_curve([one, {"epochs": [5], "best": [None]}]) == {"epochs": [], "best": []}


# --- from records -------------------------------------------------------------------------------------


def test_a_study_sees_its_own_inner_folds_only(make_run):
    run = make_run(failed=((1, 2),), inner=False)
    found = searches.of(evidence.read(run), "run")
    assert [one.study for one in found] == [f"fold {fold}" for fold in range(5)]
    for fold, one in enumerate(found):
        for trial in one.trials:
            assert set(trial.curves) == set(range(5)) - {fold}
            assert trial.epochs == 4 * 14
    assert [t.number for t in found[1].trials if t not in found[1].scored] == [2]


@pytest.mark.thorough
def test_stopped_trials_are_left_out_and_counted(make_run):
    half = {"score": None, "spread": None, "status": "stopped", "by_fold": {1: 0.5, 2: None}}
    run = edit_outcomes(make_run(inner=False), lambda o: rescored(o, lambda n, _: half if n == 3 else {}))
    found = lessons(searches.of(evidence.read(run)))
    assert found["trials"] == {"done": 15, "stopped": 5}
    assert {study["trials"] for study in found["ranks"]["studies"]} == {3}
    assert all(study["score"][3] is None for study in found["best_so_far"]["studies"])


def test_scores_of_runs_whose_reports_lead_with_units_are_said_to_be_by_case(make_run):
    settings = (("unit", "subject"), ("headline", "unit"))
    plain = make_run("plain", folds=3, trials=2, inner=False)
    first = make_run("first", folds=3, trials=2, inner=False, settings=settings)
    runs = [str(first.path)]
    for seed in (1, 2, 3):
        runs.append(str(repetition(first, f"other{seed}", "ax" if seed == 1 else "random", seed).path))
    told = of_runs(runs)
    assert told["lead_by"] == ["subject"]
    assert told["metric_label"] == "Balanced accuracy by case"
    text = lessons_text.markdown(told)
    assert "Outer scores are by case here" in text
    assert "reports of these runs lead with scores by subject (config.report.headline)." in text
    assert "| Outer score, by case |" in text
    assert told["runs"][0]["outer"] == of_runs([str(plain.path)])["runs"][0]["outer"]
    assert "lead_by" not in of_runs([str(plain.path)])
