"""Fits and buckets of a plan: against those that the studies and their searchers ask for."""

from __future__ import annotations

from typing import Any

import pytest

from nachos_jax.cli import plan_text
from nachos_jax.core.types import Trial
from nachos_jax.engine.buckets import bucket_of
from nachos_jax.protocol.design import protocols
from nachos_jax.protocol.plan import fits as plan_fits
from nachos_jax.protocol.plan import plan
from nachos_jax.protocol.study import cohorts
from nachos_jax.search import registry as searchers
from nachos_jax.splits.folds import Folds
from tests import tiny, vectors
from tests.protocol.plan_cases import facts_of, folds_of

# --- numbers of fits ----------------------------------------------------------------------------------------


def ids_by_the_protocol(run, folds: Folds, outer, meets: bool) -> tuple[set[str], set[str]]:
    """Ids of all search fits and refits, asked for round by round as the conductor does.

    `meets`: whether what a study proposes from its scores is what all others propose.
    """
    search, refits = set(), set()
    drawn = plan_fits.drawn_trials(run)
    for study in protocols.of(run).studies(outer, folds, "cases", run):
        found, trials = cohorts.of(run.search), []
        for now in (found.numbers(index) for index in range(len(found.ends))):
            for number in now:
                hparams = dict(drawn[number])
                if searchers.looks_at_scores(run.search.searcher) and now.start and not meets:
                    hparams["learning_rate"] = 1e-3 * (1 + study.outer)  # pyrefly: ignore[unsupported-operation]
                    hparams["momentum"] = 0.5 + 1e-6 * number
                trials.append(Trial(study.outer, number, hparams, "?"))
        search |= {fit.id for trial in trials for fit in study.search_fits(trial).values()}
        refits.add(study.refit(trials[0], 7).id)
    return search, refits


@pytest.mark.parametrize("searcher", ["ax", "sobol", "random"])
@pytest.mark.parametrize(
    ("count", "repeats", "outer"), [(3, 1, None), (5, 1, (0, 3)), (4, 2, None), (4, 2, (1, 5, 6))]
)
def test_fits_are_those_that_the_studies_ask_for(searcher, count, repeats, outer):
    changes = {"search__searcher": searcher, "search__initial": 3, "search__proposals": 2}
    run, folds = tiny.run_config(search__trials=8, **changes), folds_of(count, repeats)
    outer = folds.numbers() if outer is None else outer
    counts = plan_fits.count(run, folds, outer, 8)
    most, refits = ids_by_the_protocol(run, folds, outer, meets=False)
    fewest, _ = ids_by_the_protocol(run, folds, outer, meets=True)
    assert (counts.most, counts.fewest, counts.refits) == (len(most), len(fewest), len(refits))
    per_study = [len(ids_by_the_protocol(run, folds, [t], meets=False)[0]) for t in outer]
    assert counts.without_reuse == sum(per_study)
    if searcher == "ax" and outer == folds.numbers():
        assert counts.fewest < counts.most < counts.without_reuse


@pytest.mark.parametrize("members", ["one", "folds"])
def test_fits_of_the_deployment_are_those_that_its_study_asks_for(members):
    run, folds = tiny.run_config(search__trials=5, deploy__members=members), folds_of(4, 2)
    study = protocols.of(run).deployment(folds, "cases", run)
    trials = [Trial(None, i, hparams, "?") for i, hparams in enumerate(plan_fits.drawn_trials(run))]
    counts = plan_fits.count(run, folds, folds.numbers(), len(trials))
    assert counts.deploy_search == len(
        {fit.id for trial in trials for fit in study.search_fits(trial).values()}
    )
    assert counts.deploy_networks == (1 if members == "one" else 4)


def test_the_flat_protocol_is_one_search_that_nothing_follows():
    changes = {"training__early_stopping": False, "search__searcher": "random", "search__trials": 5}
    run, folds = tiny.run_config(protocol="flat", **changes), folds_of(4)
    (study,) = protocols.of(run).studies((), folds, "cases", run)
    trials = [Trial(None, i, hparams, "?") for i, hparams in enumerate(plan_fits.drawn_trials(run))]
    ids = {fit.id for trial in trials for fit in study.search_fits(trial).values()}
    counts = plan_fits.count(run, folds, folds.numbers(), len(trials))
    assert (counts.most, counts.without_reuse, counts.refits) == (len(ids), len(ids), 0)
    evaluate, deploy = plan.make(run, facts_of(run, folds), [1], 1, 1).commands
    assert (evaluate.fits, evaluate.most) == (20, 20 * run.limit.epochs)
    assert deploy.fits == 21, "the deployment trains its model after the search"
    assert evaluate.chain == run.limit.epochs


def test_the_work_holds_the_fits_that_are_counted_and_their_training_cases():
    run = tiny.run_config(search__searcher="ax", search__trials=7, search__initial=3, search__proposals=2)
    folds = folds_of(4)
    protocol = protocols.of(run)
    studies = protocol.studies(folds.numbers(), folds, "", run)
    work = plan_fits.work(run, folds, studies, protocol.after, lambda: 4, lambda: 2)
    counts = plan_fits.count(run, folds, folds.numbers(), 7)
    assert len(work.jobs) == counts.most + counts.refits
    assert work.epochs == 4 * counts.most + 2 * counts.refits
    assert [[len(stage) for stage in chain] for chain in work.chains] == [[9, 6, 6, 1]] * 4
    assert work.cases == 30, "search fits leave two folds of 15 out"
    assert {work.jobs[chain[-1][0]].cost for chain in work.chains} == {45}


def test_a_searcher_that_looks_at_scores_begins_with_the_drawn_trials():
    run = tiny.run_config(search__searcher="ax", search__trials=9, search__initial=4)
    setting = searchers.SearchSetting(
        run.defaults, run.search.space, run.table, run.seed, study=2, initial=run.search.initial
    )
    asked = searchers.build("ax", setting).ask(4, [])
    assert [proposal.hparams for proposal in asked] == plan_fits.drawn_trials(run)[:4]


def test_a_space_that_holds_fewer_trials_than_asked_for():
    space = {f"search__space__{name}": "" for name in ("learning_rate", "momentum", "weight_decay")}
    run = tiny.run_config(search__trials=50, search__space__nesterov="choice(True, False)", **space)
    trials = plan_fits.drawn_trials(run)
    assert len(trials) == 2
    counts = plan.make(run, facts_of(run, folds_of(3)), [1], 1, 1).counts
    assert (counts.trials, counts.most, counts.without_reuse) == (2, 2 * 3, 2 * 6)


def test_what_is_solved_has_a_program_of_its_own_for_fits_on_all_cases():
    """As it has in the pool; the plan tells it, and its times count it."""
    folds = folds_of(4)
    for name in ("nested", "flat"):
        run = vectors.run_config(protocol=name)
        made = plan.make(run, facts_of(run, folds, cohort=vectors.cohort()), [1], 1, 1)
        assert [command.programs for command in made.commands] == [1, 2]
        text = plan_text.describe(made, vectors.cohort())
        assert "all fits share one program" not in text
        assert "fits on all cases: 1 program of evaluate and 2 programs of deploy" in text
    run = vectors.run_config()
    protocol, trial = protocols.of(run), plan_fits.drawn_trials(run)[0]
    studies = protocol.studies(folds.numbers(), folds, "", run)
    work = plan_fits.work(run, folds, studies, protocol.after, lambda: 1, lambda: 1)
    fits = [fit for study in studies for fit in study.search_fits(Trial(study.outer, 0, trial, "?")).values()]
    pairs = {bucket_of(fit, run.table) for fit in fits}
    assert {
        work.jobs[name].bucket for chain in work.chains for stage in chain[:-1] for name in stage
    } == pairs
    steps = tiny.run_config()
    told = plan.make(steps, facts_of(steps, folds), [1], 1, 1)
    assert [command.programs for command in told.commands] == [1, 1]
    assert "so all fits share one program" in plan_text.describe(told, tiny.cohort())


# --- buckets ------------------------------------------------------------------------------------------------


def test_nothing_static_is_one_bucket():
    run = tiny.run_config()
    trials = plan_fits.drawn_trials(run)
    buckets = plan_fits.split(run, trials)
    assert buckets.split == {}
    assert buckets.possible == 1
    assert buckets.drawn == {buckets.default: len(trials)}


def test_buckets_are_counted_as_a_plain_loop_counts_them():
    """Two batch sizes; optimisers of one family count once; widths only where the architecture has them."""
    run = tiny.run_config(
        search__trials=40,
        search__space__batch_size="choice(8, 16)",
        search__space__optimizer="choice('sgd', 'adam', 'adamw')",
        search__space__architecture="choice('cnn', 'resnet')",
        search__space__cnn__width="integer(4, 6)",
    )
    trials = plan_fits.drawn_trials(run)
    buckets = plan_fits.split(run, trials)
    assert buckets.possible == 2 * 2 * (3 + 1)
    assert set(buckets.split) == {"batch_size", "optimizer", "architecture", "cnn.width"}
    fits = [tiny.fit(run, **dict[str, Any](hparams)) for hparams in trials]
    assert set(buckets.drawn) == {bucket_of(fit, run.table) for fit in fits}
    assert sum(buckets.drawn.values()) == 40
    assert len(buckets.drawn) <= buckets.possible


def test_a_default_outside_the_space_is_a_bucket_of_its_own():
    run = tiny.run_config(search__space__batch_size="choice(8, 12)")  # the default is 16
    assert plan_fits.split(run, plan_fits.drawn_trials(run)).possible == 3


def test_many_buckets_are_not_counted_to_the_end():
    run = tiny.run_config(
        search__space__cnn__width="integer(4, 400)", search__space__batch_size="integer(8, 40)"
    )
    assert plan_fits.split(run, plan_fits.drawn_trials(run)).possible is None
