"""How long search fits run, in the words of the checklists: what each policy asks for, and nothing else."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from benchmarks.statistics.policies_replay import choose, cohorts
from benchmarks.statistics.policies_world import KINDS, study
from nachos_jax.core.types import EpochLimit
from nachos_jax.protocol.replay.parts import cut
from nachos_jax.report.checklists.facts import Facts
from nachos_jax.report.checklists.stops import Stops
from nachos_jax.report.words.templating import environment, one_line
from nachos_jax.search.policies import (
    ending,
    hyperband,
    patience,
    race,
    race_fitted,
    race_halving,
    race_short,
    rungs,
    top,
)
from nachos_jax.search.policies.play import Play
from nachos_jax.search.policies.policy import Known
from nachos_jax.search.policies.registry import POLICIES, build
from tests.report.checklist_runs import FEW, told
from tests.tiers import mostly_thorough

EVERY = pytest.mark.parametrize("policy", sorted(POLICIES))
WAITS = "without a new lowest loss of the inner fold"
FITTED = (
    f"stops after 2 epochs {WAITS}, if by then it has fitted its training cases: their loss is at most a "
    "twentieth of its highest and a quarter of the lowest of the inner fold, which has moved by more than "
    "noise. Otherwise it stops after 8."
)
MAY_WIN = "Only trials that may still be selected go on to further inner folds."
LEARNED = f"{MAY_WIN} There a fit waits for a new lowest loss for 2, 4 or 8 epochs: the fewest of these"
TWICE = (
    "that are at least twice the trial's longest wait, on {}, for a fall of the loss that was more than noise"
)
SPARED, OWN = TWICE.format("inner folds where nothing cut it short"), TWICE.format("its first inner fold")
BESIDES = f"A fit stops before that after 8 epochs {WAITS}."
SAID = {
    "full": f"Search fits run at most 30 epochs and stop after 8 epochs {WAITS}.",
    "race": f"On its first inner fold a trial runs at most 30 epochs and stops after 8 epochs {WAITS}. "
    f"{LEARNED} {SPARED}. The selected trial waits for 8 epochs on every inner fold.",
    "race-short": f"On its first inner fold a trial runs at most 30 epochs. It {FITTED} {LEARNED} {OWN}. "
    "The selected trial waits for 8 epochs on every inner fold.",
    "race-fitted": f"On its first inner fold a trial runs at most 30 epochs. It {FITTED} {LEARNED} {OWN}, "
    "and for no more than 2 if it has fitted its training cases by then. The selected trial waits for 4 "
    "epochs on every inner fold, and for 8 where it has not fitted its training cases.",
    "race-halving": "On its first inner fold a trial runs 3 epochs. The best third of the trials that were "
    "proposed together, 4 at least, goes on to 10 epochs, the best ninth of them, 4 at least, to at most 30 "
    f"epochs. {BESIDES} {LEARNED} {SPARED}. The selected trial waits for 8 epochs on every inner fold.",
    "halving": "Search fits run on all inner folds for 30, 10, 3, 1 epochs first, the fewer the more trials "
    "were proposed together. The best third of these goes on to about three times as many, and so on until "
    f"one or two of them run at most 30 epochs. {BESIDES}",
    "hyperband": "Search fits run on all inner folds, in brackets in turn that begin with 3, 10 and 30 "
    "epochs. In each the best third of the trials goes on to about three times as many, and so on to at most "
    f"30 epochs. {BESIDES}",
    "top": "All trials run 1 epoch on all inner folds; the best 3 of those that were proposed together run "
    f"at most 30 epochs. {BESIDES}",
}
"""Of at most 30 epochs and a patience of 8."""


def said(policy: str, stops: Stops) -> str:
    template, macro = environment(html=False).get_template("checklists/facts/stopping.j2"), "stopping"
    return one_line(str(getattr(template.make_module({}), macro)(policy, stops)))


@EVERY
def test_each_policy_is_told_by_itself(make_run, policy: str):
    evidence, summary = told(make_run(settings=FEW, inner=False))
    summary = {**summary, "trials": {**summary["trials"], "policy": policy}}
    training = {"early_stopping": True, "epochs": 30, "patience": 8, "min_delta": 0.0}
    run = {**evidence.run, "config": {**evidence.run["config"], "training": training}}
    found = Facts(dataclasses.replace(evidence, run=run), summary).of("model.stopping")
    assert found.text == SAID[policy]
    assert not found.missing


def test_of_a_policy_without_words_nothing_is_claimed(make_run):
    evidence, summary = told(make_run(settings=FEW, inner=False))
    summary = {**summary, "trials": {**summary["trials"], "policy": "other"}}
    training = {"early_stopping": True, "epochs": 30, "patience": 8}
    run = {**evidence.run, "config": {**evidence.run["config"], "training": training}}
    found = Facts(dataclasses.replace(evidence, run=run), summary).of("model.stopping")
    assert (found.text, found.missing) == ("", ("how long search fits run under search policy other",))


@EVERY
def test_what_a_new_lowest_loss_has_to_be_lower_by_is_told(policy: str):
    found = said(policy, Stops(True, 30, 8, 0.25))
    assert found.count("inner fold, lower by more than 0.25") == 1
    assert found.replace(", lower by more than 0.25", "") == SAID[policy]


@EVERY
def test_without_early_stopping_first_fits_and_the_selected_trial_run_all_epochs(policy: str):
    found = said(policy, Stops(False, 30, 30, 0.0))
    assert "at most" not in found
    assert "30 epochs" in found
    if policy == "full":
        assert found == "No early stopping: search fits run 30 epochs."
    elif policy.startswith("race"):  # patience is learned all the same
        assert "for 4, 8, 15 or 30 epochs" in found
        assert found.endswith("The selected trial runs 30 epochs on every inner fold.")
    else:
        assert found.endswith("No fit stops before that.")


@EVERY
@mostly_thorough("kind", sorted(KINDS), kept=2)
@pytest.mark.parametrize("early", [True, False])
def test_every_limit_that_a_policy_asks_for_stands_in_its_words(policy: str, kind: str, early: bool):
    world = study(KINDS[kind], np.random.default_rng(5))
    epochs, wait = world.limit.epochs, world.limit.patience
    assert wait
    limit = world.limit if early else EpochLimit(epochs, epochs)
    told = {
        int(found)
        for found in re.findall(r"\d+", said(policy, Stops(early, epochs, limit.patience or 0, 0.0)))
    }
    play = Play(build(policy), Known(world.folds, limit, world.noise), choose)
    for trials in cohorts(build(policy), world.trials, None):
        play.enter(trials)
    play.end()
    asked = set()
    while wanted := play.wanted():
        for fit in wanted:
            own = world.training.get((fit.trial, fit.fold), ())
            play.known.tell(fit, cut(world.curves[fit.trial, fit.fold], fit.limit), own)
        asked |= {fit.limit for fit in wanted}
    assert {one.epochs for one in asked} | {one.patience for one in asked if one.patience != epochs} <= told


@pytest.mark.parametrize("epochs", [1, 2, 3, 8, 30, 100])
@pytest.mark.parametrize("wait", [1, 2, 3, 8, 20, 100])
def test_shares_and_rungs_are_those_of_the_policies(epochs: int, wait: int):
    limit, stops = EpochLimit(epochs, wait), Stops(True, epochs, wait, 0.0)
    assert stops.sooner == (race_short.sooner(limit, race_short.FIRST) != limit)
    if stops.sooner:
        assert stops.first == race_short.sooner(limit, race_short.FIRST).patience
        assert stops.winner == race_short.sooner(limit, race_fitted.WINNER).patience
    falls = [[1.0] * late + [0.0] for late in range(1, 2 * wait + 2)]
    waits = {patience.learned_from(limit, [tuple(loss)]).patience for loss in falls}
    assert waits <= {*stops.learned, wait}
    assert stops.rungs == [one.epochs for one in rungs.below(limit, race_halving.RUNGS)]
    begun = [[*rungs.below(limit, hyperband.LOWEST - place), limit][0].epochs for place in range(3)]
    assert stops.brackets == begun
    assert stops.powers[1:] == [one.epochs for one in rungs.below(limit, 20)][::-1]


def test_numbers_in_words_are_those_of_the_policies():
    stops = Stops(True, 30, 8, 0.0)
    assert (stops.best, stops.pilots, rungs.ETA) == (top.BEST, race.PILOTS, 3)
    assert (ending.FITTED, ending.BELOW, patience.MARGIN) == (1 / 20, 1 / 4, 2.0)
    assert stops.learned == [2, 4]
