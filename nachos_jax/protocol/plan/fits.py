"""Which fits a run asks for, in which order, and in which buckets: from configuration and folds alone."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from nachos_jax.config.run_config import RunConfig, SearchConfig
from nachos_jax.core.hparams import by_name
from nachos_jax.core.types import Fit, HParams
from nachos_jax.engine.buckets import OF_SOLVED, Bucket, bucket_of
from nachos_jax.protocol.design import protocols
from nachos_jax.protocol.design.study import Study
from nachos_jax.protocol.plan.pool_model import Job, Name
from nachos_jax.protocol.plan.schedule import Chain
from nachos_jax.protocol.study import cohorts
from nachos_jax.search import registry as searchers
from nachos_jax.search.searcher import SearchSetting
from nachos_jax.splits.folds import Folds

MOST_BUCKETS = 1000
"""More possible buckets than these are not counted."""

Length = Callable[[], int]
"""Epochs of the next fit."""

Last = Callable[[Study], list[tuple[int, ...]]]
"""From a study to the folds that each fit after its search leaves out."""


@dataclass(frozen=True)
class FitCounts:
    """Numbers of fits."""

    trials: int  # trials a study
    shared: int  # trials that are the same in all studies, drawn without looking at scores
    inner: int  # inner folds, summed over the outer folds that are run
    pairs: int  # different sets of folds that search fits leave out: (1, 2) and (2, 1) are one
    refits: int  # fits that follow the searches of the estimate
    deploy_search: int  # search fits of the deployment
    deploy_networks: int  # networks of the deployment

    @property
    def without_reuse(self) -> int:
        """Search fits if each study trained its own."""
        return self.trials * self.inner

    @property
    def most(self) -> int:
        """Search fits when only the shared trials meet."""
        return self.shared * self.pairs + (self.trials - self.shared) * self.inner

    @property
    def fewest(self) -> int:
        """Search fits when all studies ask for the same trials, whatever they see."""
        return self.trials * self.pairs


@dataclass(frozen=True)
class Buckets:
    """What splits the search space into buckets."""

    split: Mapping[str, str]  # searched hyperparameters that choose the bucket, and their values as text
    possible: int | None  # how many buckets the space and the default make; None = more than MOST_BUCKETS
    default: Bucket  # that of the default configuration
    drawn: Mapping[Bucket, int]  # buckets of the drawn trials (`drawn_trials`), with their number of trials


@dataclass(frozen=True)
class Work:
    """The fits of a command and their order, for `nachos_jax.protocol.plan.schedule.simulate`."""

    jobs: Mapping[Any, Job]  # by name; costs are training cases
    chains: Sequence[Chain]  # one a study: its rounds, then what follows the search
    lag: int = 0  # rounds that may still train when the next is asked for

    @property
    def cases(self) -> float:
        """Training cases of an epoch of a search fit, on average."""
        names = {name for chain in self.chains for stage in chain[:-1] for name in stage}
        return sum(self.jobs[name].cost for name in names) / len(names)

    @property
    def epochs(self) -> int:
        """Epochs, summed over fits."""
        return sum(job.epochs for job in self.jobs.values())


def drawn_trials(run: RunConfig) -> list[HParams]:
    """The trials of a study that does not look at scores; one that does begins with the first of them.

    There are fewer than `search.trials` when the space holds no more. The later ones stand for proposals that
    cannot be known.
    """
    looks = searchers.looks_at_scores(run.search.searcher)
    searcher = searchers.build("sobol" if looks else run.search.searcher, SearchSetting.of(run, None))
    return [proposal.hparams for proposal in searcher.ask(run.search.trials, [])]


def rounds(search: SearchConfig, trials: int) -> list[range]:
    """The trials that a study of so many asks for together, in order."""
    found = cohorts.of(replace(search, trials=trials))
    return [found.numbers(index) for index in range(len(found.ends))]


def shared(run: RunConfig, trials: int) -> int:
    """How many trials of a study were drawn without looking at scores, and are the same in all studies."""
    looks = searchers.looks_at_scores(run.search.searcher)
    return len(rounds(run.search, trials)[0]) if looks else trials


def count(run: RunConfig, folds: Folds, outer: Sequence[int], trials: int) -> FitCounts:
    """Numbers of fits for these outer folds and so many trials a study."""
    protocol = protocols.of(run)
    studies = protocol.studies(outer, folds, "", run)
    pairs = [study.left_out(v) for study in studies for v in study.inner]
    return FitCounts(
        trials=trials,
        shared=shared(run, trials),
        inner=len(pairs),
        pairs=len(set(pairs)),
        refits=sum(len(protocol.after(study)) for study in studies),
        deploy_search=trials * folds.count,
        deploy_networks=len(networks(protocol.deployment(folds, "", run))),
    )


def split(run: RunConfig, trials: Sequence[HParams]) -> Buckets:
    """What splits the search space, and into which buckets these trials, the default first, fall."""
    rows, setting = by_name(run.table), SearchSetting.of(run, None)
    static = tuple(dimension for dimension in setting.searched if rows[dimension.name].static)
    grid = itertools.islice(replace(setting, space=static).grid(), MOST_BUCKETS + 1)
    found = [bucket_for(run, hparams) for hparams in grid]
    endless = len(found) > MOST_BUCKETS or any(d.kind in ("uniform", "log") for d in static)
    default = bucket_for(run, trials[0])
    texts = {
        d.name: ", ".join(map(str, d.values)) if d.values else f"{d.low:g} to {d.high:g}" for d in static
    }
    drawn = Counter(bucket_for(run, hparams) for hparams in trials)
    return Buckets(texts, None if endless else len({default, *found}), default, drawn)


def bucket_for(run: RunConfig, hparams: HParams, left_out: tuple[int, ...] = ()) -> Bucket:
    """The bucket of fits with these hyperparameters that leave out these folds."""
    return bucket_of(Fit(hparams, left_out, run.seed, run.limit, ""), run.table)


def programs(run: RunConfig, folds: Folds, outer: Sequence[int], bucket: Bucket) -> list[Bucket]:
    """A bucket of `bucket_for` as the commands have it.

    What is solved has one for fits that leave folds out, and one for fits on all cases if there are any.
    """
    values = dict(bucket)
    if OF_SOLVED[1] not in values:
        return [bucket]
    protocol, deployment = protocols.of(run), protocols.of(run).deployment(folds, "", run)
    studies = protocol.studies(outer, folds, "", run)
    left_out = [study.left_out(v) for study in (*studies, deployment) for v in study.inner]
    left_out += [one for study in studies for one in protocol.after(study)] + networks(deployment)
    return [tuple({**values, OF_SOLVED[1]: whole}.items()) for whole in sorted({not one for one in left_out})]


def work(
    run: RunConfig, folds: Folds, studies: Sequence[Study], last: Last, length: Length, ending: Length
) -> Work:
    """The fits of studies, of which only those of shared trials meet, and their order.

    Lengths are those of the next search fit, and of the next fit after a search.

    A round waits for the one before, and what follows a search for its end. Which trial will be selected is
    not known: the default stands for it.
    """
    trials = drawn_trials(run)
    parts, bucket = rounds(run.search, len(trials)), partial(bucket_for, run)
    common = shared(run, len(trials))
    jobs: dict[Any, Job] = {}
    sizes: dict[tuple[int, ...], int] = {}

    def add(name: Name, left_out: tuple[int, ...], hparams: HParams, epochs: Length) -> Name:
        if left_out not in sizes:
            sizes[left_out] = int(folds.training(left_out).sum())
        if name not in jobs:
            jobs[name] = Job(epochs(), sizes[left_out], bucket(hparams, left_out))
        return name

    def search_fit(study: Study, number: int, inner: int) -> Name:
        left_out, owner = study.left_out(inner), None if number < common else study.outer
        return add((number, left_out, owner), left_out, trials[number], length)

    chains = []
    for study in studies:
        chain = [[search_fit(study, number, v) for number in part for v in study.inner] for part in parts]
        after = enumerate(last(study))
        chain.append([add((left_out, place), left_out, trials[0], ending) for place, left_out in after])
        chains.append(chain)
    return Work(jobs, chains, run.search.lag)


def networks(study: Study) -> list[tuple[int, ...]]:
    """The folds that each network of the deployment leaves out, and the fits that judge its masks."""
    fold_models: list[tuple[int, ...]] = [(v,) for v in study.inner]
    of_one = fold_models if study.run.members == "folds" else [()]
    # The fold models of the selected configuration judge, too.
    judges = fold_models if study.run.largest_component and of_one != fold_models else []
    return of_one * study.run.ensemble + judges
