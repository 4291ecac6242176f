"""What columns add, beside images or alone: refits predict their outer folds again with them permuted.

Permutation importance (Breiman 2001, "Random forests", section 10) on the outer fold, of the refit that was
tested there. It comes after the test and nothing but the report reads it.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from nachos_jax.core import rng
from nachos_jax.core.errors import UsageError
from nachos_jax.data.joined import Joined
from nachos_jax.data.store import Store
from nachos_jax.data.table import JOINED, Cohort, Prepared
from nachos_jax.data.vectors import Vectors
from nachos_jax.data.views import Viewed
from nachos_jax.models import registry as models
from nachos_jax.protocol.model import external, external_baselines, networks
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.columns import ColumnTest
from nachos_jax.records.schema import FitRecord
from nachos_jax.tasks import registry as tasks

log = logging.getLogger("nachos_jax")
REPEATS = 10
"""Permutations of each column."""
MOST = 32
"""Columns beside images that are permuted one by one; of more only all together, since each costs so many
predictions."""
MOST_ALONE = 128
"""The same of cases that are columns alone, whose predictions cost less."""
MOST_ROWS = 300_000
"""Most rows that an estimator of scikit-learn predicts for the columns of an outer fold one by one: where it
would be more, only all together. A forest takes minutes for what a network does at once."""
ALL = ""
"""The name by which the permutations of all columns together are drawn."""
ROOM = 2**30
"""Bytes of the versions of all cases that an estimator, fitted again, is given at once."""
Seen = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
"""Versions of the columns of the n cases, [n, C] each -> what is seen of the cases, [n, S] each, in turn."""


def test_folds(run: Run) -> None:
    """Permutes the columns in each tested outer fold in which that has not been done yet.

    An outer fold whose refit cannot predict again, as its weights are missing or scikit-learn is another
    version, is left out with a warning: what was tested stands without it.
    """
    names = asked(run.cohort)
    for test in run.store.tests() if names else ():
        record = run.store.fit(test.fit)
        known = run.store.column_path(test.outer_fold).exists()
        if record is not None and record.status == "done" and not known:
            try:
                found = _tested(run, record, test.outer_fold, names)
            except UsageError as error:
                log.warning("columns of outer fold %d are not asked: %s", test.outer_fold, error)
                continue
            run.store.commit_column_test(found)
            log.info("columns of outer fold %d: permuted, see the report", test.outer_fold)


def asked(cohort: Cohort) -> tuple[str, ...]:
    """Names of the columns beside images, before the last layer or after features of a backbone, or alone.

    What a backbone computes has no names that a person knows.
    """
    if isinstance(cohort.store, Joined):
        return tuple(cohort.preparation[JOINED])
    features = tuple(cohort.preparation.get("features", ()))
    if "backbone" not in cohort.preparation:
        return features
    found = tuple(cohort.preparation.get("images", {}).get(JOINED, ()))
    return found if found and features[-len(found) :] == found else ()


def _one_by_one(run: Run, names: Sequence[str]) -> list[tuple[int, str]]:
    """Place and name of the columns that are not too many; the same in all outer folds."""
    cohort, folds = run.cohort, run.folds
    alone = isinstance(_plain(cohort.store), Vectors) and "backbone" not in cohort.preparation
    many = len(names) > (MOST_ALONE if alone else MOST)
    if any(models.hosted(str(name)) for name in run.config.candidates("architecture")):
        largest = max(int(folds.cases(fold).sum()) for fold in folds.numbers())
        many = many or largest * len(names) * REPEATS > MOST_ROWS
    return [] if many else list(enumerate(names))


def _tested(run: Run, record: FitRecord, fold: int, names: tuple[str, ...]) -> ColumnTest:
    task, metric = tasks.of(run.config.task), run.config.search.metric
    cases = np.flatnonzero(run.folds.cases(fold)).astype(np.int32)
    targets = run.cohort.targets.of(cases)
    store = _plain(run.cohort.prepared(record.hparams).store).take(cases)
    values, seen = _columns(store, len(names)), _seer(run, record, cases, store)

    one_by_one = _one_by_one(run, names)
    wanted = [*((name, [place]) for place, name in one_by_one), (ALL, list(range(len(names))))]

    def versions() -> Iterator[np.ndarray]:
        yield values
        for name, chosen in wanted:
            for repeat in range(REPEATS):
                yield _permuted(run, record, values, chosen, (name, repeat))

    plain, *scores = (task.watched(metric, one, targets)[1] for one in seen(versions()))
    permuted = {name: tuple(scores[at * REPEATS : (at + 1) * REPEATS]) for at, (name, _) in enumerate(wanted)}
    together = permuted.pop(ALL)
    return ColumnTest(
        outer_fold=fold,
        fit=record.fit,
        metric=metric,
        plain=plain,
        columns=dict.fromkeys(names, ()) | permuted,
        together=together,
    )


def _permuted(
    run: Run, record: FitRecord, values: np.ndarray, chosen: list[int], which: tuple[str, int]
) -> np.ndarray:
    """Values [n, C] with the chosen columns permuted over the cases, together."""
    name, repeat = which
    key = rng.named(f"{run.config.seed}/{record.fit}/columns/{name}/{repeat}")
    order = np.random.default_rng(key).permutation(len(values))
    found = values.copy()
    found[:, chosen] = values[order][:, chosen]
    return found


# --- stores -------------------------------------------------------------------------------------


def _plain(store: Store) -> Joined | Vectors:
    """The store as predictions see it."""
    store = store.plain if isinstance(store, Viewed) else store
    assert isinstance(store, (Joined, Vectors))
    return store


def _columns(store: Joined | Vectors, count: int) -> np.ndarray:
    """[n, C]: the columns beside the images."""
    return store.vectors.values if isinstance(store, Joined) else store.values[:, -count:]


def _with(store: Joined | Vectors, columns: np.ndarray) -> Joined | Vectors:
    """The store with other columns."""
    if isinstance(store, Joined):
        return dataclasses.replace(store, vectors=dataclasses.replace(store.vectors, values=columns))
    features = store.values[:, : -columns.shape[1]]
    return dataclasses.replace(store, values=np.concatenate([features, columns], axis=1))


# --- who predicts -------------------------------------------------------------------------------


def _seer(run: Run, record: FitRecord, cases: np.ndarray, store: Joined | Vectors) -> Seen:
    if models.hosted(str(record.hparams["architecture"])):
        return lambda versions: _by_estimator(run, record, cases, (_with(store, one) for one in versions))
    of, weights = external.network(run, record)
    predict = networks.predictor(of, weights)
    return lambda versions: (
        external.in_batches(predict, of, _with(store, one), len(cases)) for one in versions
    )


def _by_estimator(
    run: Run, record: FitRecord, cases: np.ndarray, stores: Iterable[Joined | Vectors]
) -> Iterator[np.ndarray]:
    """By an estimator of scikit-learn, which is fitted once more for as many versions as have room."""
    vectors = (store for store in stores if isinstance(store, Vectors))
    for first in vectors:
        more = max(0, ROOM // max(1, first.values.nbytes) - 1)
        yield from _fitted_again(run, record, cases, [first, *itertools.islice(vectors, more)])


def _fitted_again(
    run: Run, record: FitRecord, cases: np.ndarray, vectors: Sequence[Vectors]
) -> list[np.ndarray]:
    rows = np.tile(cases, len(vectors))
    whole = dataclasses.replace(vectors[0], values=np.concatenate([store.values for store in vectors]))
    versions = dataclasses.replace(
        run.cohort,
        table=run.cohort.table.take(rows),
        targets=run.cohort.targets.of(rows),
        store=whole,
        outside=None,
        others={name: Prepared(whole, one.preparation) for name, one in run.cohort.others.items()},
    )
    found = external_baselines.seen(run, versions, record)
    return np.split(found, len(vectors))
