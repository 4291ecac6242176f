"""What every policy keeps to, played on synthetic curves."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.statistics.policies_replay import Recorded, choose, cohorts, replay
from benchmarks.statistics.policies_tried import Otherwise
from benchmarks.statistics.policies_world import KINDS, study
from nachos_jax.core.types import EpochLimit
from nachos_jax.protocol.replay.parts import cut
from nachos_jax.records.schema import Curve
from nachos_jax.search.policies.play import Play
from nachos_jax.search.policies.policy import Asked, Cohort, Known, unknown
from nachos_jax.search.policies.registry import POLICIES, build
from tests.tiers import mostly_thorough

EVERY = pytest.mark.parametrize("name", sorted(POLICIES))
EXAMPLES = 25 if os.environ.get("NACHOS_TESTS_COMPILE") == "fully" else 5


@dataclass(frozen=True)
class Drawn:
    """A small study of some kind of curves, shown by what it is made from."""

    kind: str
    seed: int
    most: int

    def world(self) -> Recorded:
        made = study(KINDS[self.kind], np.random.default_rng(self.seed))
        trials = min(made.trials, self.most)
        curves = {fit: found for fit, found in made.curves.items() if fit[0] < trials}
        training = {fit: found for fit, found in made.training.items() if fit[0] < trials}
        return replace(made, curves=curves, training=training, trials=trials)


DRAWN = st.builds(Drawn, st.sampled_from(sorted(KINDS)), st.integers(0, 10**6), st.integers(1, 12))


def played(world: Recorded, name: str, rounds: int | None, luck: random.Random, kill: float = 0.0) -> tuple:
    """Plays a study; fits end in a random order, and now and then all is forgotten but the curves."""
    policy, done = build(name), {}
    waiting = cohorts(policy, world.trials, rounds)

    def start() -> Play:
        play = Play(build(name), Known(world.folds, world.limit, world.noise), choose)
        for asked, curve in luck.sample([*done.items()], len(done)):
            play.known.tell(asked, curve, world.training.get((asked.trial, asked.fold), ()))
        return play

    play = start()
    while not play.over:
        if play.through == len(waiting):
            play.end()
        elif play.cohorts < min(len(waiting), play.through + 2):  # the next one is proposed ahead
            play.enter(waiting[play.cohorts])
        wanted = play.wanted()
        assert not {asked.trial for asked in wanted} & set(play.known.stopped)
        for asked in luck.sample(wanted, luck.randint(min(1, len(wanted)), len(wanted))):
            done[asked] = cut(world.curves[asked.trial, asked.fold], asked.limit)
            play.known.tell(asked, done[asked], world.training.get((asked.trial, asked.fold), ()))
        if luck.random() < kill:
            play = start()
    return set(done), play.known.stopped, choose(play.known), play.known


@EVERY
@settings(max_examples=EXAMPLES, deadline=None)
@given(drawn=DRAWN, rounds=st.sampled_from([None, 1, 3, 5]), seed=st.integers(0, 99))
def test_order_and_kills_change_nothing(name, drawn, rounds, seed):
    first = played(drawn.world(), name, rounds, random.Random(0))
    other = played(drawn.world(), name, rounds, random.Random(seed), kill=0.3)
    assert first[:3] == other[:3]


@EVERY
@settings(max_examples=EXAMPLES, deadline=None)
@given(drawn=DRAWN, rounds=st.sampled_from([None, 4]))
def test_the_selected_trial_is_complete_and_so_are_all_that_are_alive(name, drawn, rounds):
    *_, selected, known = played(drawn.world(), name, rounds, random.Random(1))
    assert all(known.complete(trial) for trial in known.alive())
    if selected is None:
        assert all(known.failed(trial) for trial in known.trials)
    else:
        assert all(map(known.counts, build(name).completion(known, selected)))
        if name != "race-fitted":  # its own tests say what it asks for
            assert all(map(known.counts, known.completed(selected)))
    assert sorted(known.trials) == list(range(drawn.world().trials))


@pytest.mark.parametrize("cohorts_of_three", [2, 3])
@pytest.mark.parametrize("name", ["halving", "hyperband", "top"])
def test_who_comes_back_is_trained_whole_whichever_cohort_it_was_proposed_in(name, cohorts_of_three):
    """All that went to the full length met NaN; those of earlier cohorts had been given up long before."""
    limit, folds, failing = EpochLimit(27), (0, 1), set()
    policy, known = build(name), Known(folds, limit, unknown)
    play = Play(policy, known, choose)
    waiting = [tuple(range(3 * number, 3 * number + 3)) for number in range(cohorts_of_three)]
    most = 3 * cohorts_of_three
    for _ in range(500):
        if play.over:
            break
        if play.through == play.cohorts and waiting:
            play.enter(waiting.pop(0))
        elif play.through == play.cohorts:
            play.end()
        for asked in play.wanted():
            whole = asked.limit.epochs == limit.epochs
            first = whole and len(failing) < cohorts_of_three  # as many as there are survivors
            failing |= {asked.trial} if first else set()
            bad, score = whole and asked.trial in failing, 0.5 + (asked.trial * 7 % most) / 100
            epochs = asked.limit.epochs
            known.tell(asked, curve([0.5] * epochs, [score] * epochs, "nan" if bad else "limit"), ())
    assert play.over
    assert any(known.failed(trial) for trial in known.trials)
    for trial in set(known.trials) - set(known.stopped):
        whole = all(known.counts(Asked(trial, fold, limit)) for fold in folds)
        assert known.failed(trial) or whole, f"trial {trial} has a score of short fits"
    if name != "hyperband":  # whose third bracket trains all of its trials whole: none has to come back
        back = [trial for trial in known.trials if trial not in failing]
        assert choose(known) == max(back, key=lambda trial: trial * 7 % most), "the best of who came back"


@EVERY
def test_an_opening_depends_on_its_cohort_alone(name):
    known, cohort = Known((2, 0, 1), EpochLimit(30, 5)), Cohort(1, (4, 5, 6, 7))
    before = list(build(name).opening(known, cohort))
    known.trials += [0, 1, 2, 3]
    for fold in known.folds:
        known.tell(Asked(0, fold, known.limit), curve([0.3, 0.2], [0.8, 0.9]))
    known.stopped[1] = "behind"
    assert list(build(name).opening(known, cohort)) == before
    assert {asked.trial for asked in before} == set(cohort.trials)


@EVERY
@given(rounds=st.lists(st.integers(1, 20), max_size=6))
def test_sizes_are_of_as_many_trials(name, rounds):
    sizes = build(name).sizes(rounds)
    assert sum(sizes) == sum(rounds)
    assert min(sizes, default=1) > 0


@EVERY
@settings(max_examples=EXAMPLES, deadline=None)
@given(drawn=DRAWN, seed=st.integers(0, 99))
def test_other_folds_cannot_matter(name, drawn, seed):
    """What Known is told of a fold that is not the study's is not looked at."""
    luck, world = random.Random(seed), drawn.world()
    play = Play(build(name), Known(world.folds, world.limit, world.noise), choose)
    for trial in range(world.trials):
        end = luck.choice(["limit", "nan"])
        play.known.tell(Asked(trial, 99, world.limit), curve([0.5, luck.random()], [luck.random()] * 2, end))
    for trials in cohorts(build(name), world.trials, None):
        play.enter(trials)
    play.end()
    asks = []
    while wanted := play.wanted():
        for asked in wanted:
            fit = asked.trial, asked.fold
            play.known.tell(asked, cut(world.curves[fit], asked.limit), world.training.get(fit, ()))
        asks += wanted
    assert set(asks) == played(world, name, None, random.Random(0))[0]


@pytest.mark.parametrize("name", ["race", "race-fitted", "race-short", "race-halving"])
@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(drawn=DRAWN, shift=st.integers(-3, 3), power=st.integers(-3, 6), seed=st.integers(0, 99))
def test_neither_units_nor_numbers_of_trials_decide(name, drawn, shift, power, seed):
    world = on_a_grid(replace(drawn.world(), noise=unknown))
    names = random.Random(seed).sample(range(world.trials), world.trials)
    curves = {
        (names[trial], fold): replace(
            found, score=tuple(shift + 2.0**power * value for value in found.score if value is not None)
        )
        for (trial, fold), found in world.curves.items()
    }
    training = {(names[trial], fold): losses for (trial, fold), losses in world.training.items()}
    renamed = replace(world, curves=curves, training=training)
    outcome, other = replay(world, build(name)), replay(renamed, build(name))
    moved = {(names[trial], fold): epochs for (trial, fold), epochs in outcome.epochs.items()}
    assert other.epochs == moved
    assert other.selected == (None if outcome.selected is None else names[outcome.selected])


def on_a_grid(world: Recorded) -> Recorded:
    """Scores that computers shift and scale without rounding, and that no two trials share."""
    curves = {}
    for (trial, fold), found in world.curves.items():
        score = [
            round(value * 2**8) / 2**8 + (trial + 1) / 2**16 for value in found.score if value is not None
        ]
        curves[trial, fold] = replace(found, score=tuple(score))
    return replace(world, curves=curves)


def test_a_trial_is_back_when_the_one_it_was_given_up_for_fails():
    """The better of two fails on its last fold, when the race is long over."""
    folds = tuple(range(6))
    scores = {0: 0.9, 1: 0.6}
    curves = {(trial, fold): curve([0.3] * 4, [scores[trial]] * 4) for trial in (0, 1) for fold in folds}
    curves[0, 5] = curve([0.3, None], [0.9, None], "nan")
    outcome = replay(Recorded(curves, folds, EpochLimit(4, 3), 2), build("race"))
    assert outcome.selected == outcome.best == 1


def test_race_gives_up_what_is_far_behind_after_two_folds():
    folds = tuple(range(9))
    curves = {
        (trial, fold): curve([0.4, 0.3, 0.35, 0.35], [0.9 - 0.1 * trial + 0.01 * (fold % 2)] * 4)
        for trial in range(8)
        for fold in folds
    }
    outcome = replay(Recorded(curves, folds, EpochLimit(9, 2), 8), build("race"))
    assert outcome.selected == 0
    assert {fold for trial, fold in outcome.epochs if trial} == {0, 1}
    assert {trial for trial, fold in outcome.epochs if fold == 1} == {0, 1, 2, 3}  # the pilots


def test_race_costs_little_where_all_trials_are_the_same():
    folds = tuple(range(9))
    curves = {(trial, fold): curve([0.4, 0.3], [1.0, 1.0]) for trial in range(8) for fold in folds}
    assert replay(Recorded(curves, folds, EpochLimit(2, 2), 8), build("race")).fraction < 0.3


@settings(max_examples=EXAMPLES, deadline=None)
@given(drawn=DRAWN)
def test_ways_that_were_tried_differ_from_the_race_in_nothing_but_what_they_say(drawn):
    world = drawn.world()
    assert replay(world, Otherwise()) == replay(world, build("race"))


@mostly_thorough("name", ["race", "race-fitted", "race-short"], kept=("race-fitted",))
def test_a_race_selects_well_on_all_kinds_of_curves(name):
    """Mean regret over the kinds of curves of the benchmark; halving has several times as much."""
    found = [
        replay(study(kind, np.random.default_rng([1, place, seed])), build(name))
        for place, kind in enumerate(KINDS.values())
        for seed in range(3)
    ]
    assert np.mean([outcome.regret for outcome in found]) < 0.15
    assert np.mean([outcome.fraction for outcome in found]) < 0.65


def curve(loss: list, score: list, end: str = "patience") -> Curve:
    """A curve."""
    return Curve(tuple(loss), tuple(score), end)
