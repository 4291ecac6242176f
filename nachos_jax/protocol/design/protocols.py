"""The ways to an estimate: what nested cross-validation and the flat protocol do differently.

Each is one object. Who runs, plans or tells of an estimate asks the object and never which one it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit
from nachos_jax.protocol.design import lost
from nachos_jax.protocol.design.study import Ending, Study
from nachos_jax.records.schema import FitRecord, Outcome
from nachos_jax.records.store import RunDirectory
from nachos_jax.search import registry as searchers
from nachos_jax.splits.folds import Folds

Test = Callable[[Study, Outcome, list[FitRecord]], None]
"""(study, its outcome, records of its refits and judges) -> commits what is predicted of the outer fold."""


class Protocol(ABC):
    """A way to an estimate.

    Attributes:
        keep_last: search fits are scored, and their predictions kept, at the last epoch and not at the best.
        pairs: search fits leave out two folds, which may watch for two studies.
    """

    keep_last: bool
    pairs: bool

    @abstractmethod
    def check(self, run: RunConfig) -> None:
        """Refuses a configuration for which the estimate would be wrong.

        Raises:
            UsageError: it is one.
        """

    @abstractmethod
    def outer_folds(self, known: Sequence[int], wanted: Sequence[int] | None) -> list[int]:
        """The outer folds to run, in order, when of those known these (None: all) are asked for.

        Raises:
            UsageError: one of them is none.
        """

    @abstractmethod
    def studies(self, outer: Sequence[int], folds: Folds, cases: str, run: RunConfig) -> list[Study]:
        """The studies of an estimate by these outer folds."""

    @abstractmethod
    def after(self, study: Study) -> list[tuple[int, ...]]:
        """The folds that each fit leaves out which is trained after the search, and only then."""

    @abstractmethod
    def done(self, store: RunDirectory, studies: Sequence[Study]) -> set[int | None]:
        """Outer folds of those studies whose result, and all that it came from, is on disk.

        Raises:
            UsageError: as `lost.nothing`.
        """

    @abstractmethod
    def ending(self, done: set[int | None], test: Test) -> Ending:
        """What follows the search of each study but of those that are done."""

    @abstractmethod
    def standing(
        self,
        planned: Sequence[int],
        tested: set[int],
        told: Callable[[int | None, bool | None], str],
        fits: str,
    ) -> list[str]:
        """Where an estimate stands, in lines for people.

        Args:
            planned: all outer folds.
            tested: those with a result.
            told: (outer fold of a study, whether it is tested; None: by its search) -> where it stands.
            fits: the fits trained so far.
        """

    def deployment(self, folds: Folds, cases: str, run: RunConfig) -> Study:
        """The study on all cases: plain K-fold cross-validation over the first division."""
        return self._one_loop("The deployment study", folds, cases, run)

    def _one_loop(self, title: str, folds: Folds, cases: str, run: RunConfig) -> Study:
        return Study(None, tuple(range(folds.count)), cases, run, title, self.keep_last)


class _Nested(Protocol):
    """A study inside each outer fold; what it selects is refitted, and tested once."""

    keep_last, pairs = False, True

    def check(self, run: RunConfig) -> None:
        pass

    def outer_folds(self, known: Sequence[int], wanted: Sequence[int] | None) -> list[int]:
        if wanted is None:
            return list(known)
        strange = [fold for fold in wanted if fold not in known]
        if strange or not wanted:
            raise UsageError(
                f"--outer_folds={','.join(map(str, wanted))}: outer folds are numbered {known[0]} to "
                f"{known[-1]}."
            )
        return sorted(set(wanted))

    def studies(self, outer: Sequence[int], folds: Folds, cases: str, run: RunConfig) -> list[Study]:
        return [Study(t, tuple(folds.inner(t)), cases, run, f"Outer fold {t}", self.keep_last) for t in outer]

    def after(self, study: Study) -> list[tuple[int, ...]]:
        assert study.outer is not None
        judges = [study.left_out(v) for v in study.inner] if study.run.largest_component else []
        return [(study.outer,)] * study.run.ensemble + judges

    def done(self, store: RunDirectory, studies: Sequence[Study]) -> set[int | None]:
        tests: dict[int | None, str] = {test.outer_fold: test.fit for test in store.tests()}
        tested = [study for study in studies if study.outer in tests]
        return {study.outer for study in tested if lost.nothing(store, study, tests[study.outer or 0])}

    def ending(self, done: set[int | None], test: Test) -> Ending:
        return Ending(
            fits=refits,
            finish=test,
            finished=lambda study: study.outer in done,
        )

    def standing(
        self,
        planned: Sequence[int],
        tested: set[int],
        told: Callable[[int | None, bool | None], str],
        fits: str,
    ) -> list[str]:
        first = f"estimate: {len(tested)} of {len(planned)} outer folds tested, {fits}"
        return [first, *(f"  outer fold {fold}: {told(fold, fold in tested)}" for fold in planned)]


class _Flat(Protocol):
    """One search by plain cross-validation, whose folds also test; the report corrects for the choice."""

    keep_last, pairs = True, False

    def check(self, run: RunConfig) -> None:
        """What the bias correction takes for granted (see nachos_jax/statistics/bbc.py)."""
        if searchers.looks_at_scores(run.search.searcher):
            raise UsageError(
                f"config.search.searcher = {run.search.searcher!r} looks at scores, and the flat protocol "
                "cannot correct for that: use 'sobol', 'random' or 'grid', or config.protocol = 'nested'."
            )
        if run.limit.patience != run.limit.epochs:
            raise UsageError(
                "config.protocol = 'flat' scores fits on the folds that early stopping would watch: set "
                "config.training.early_stopping = False, or config.protocol = 'nested'."
            )
        if run.search.rule != "best":
            raise UsageError(
                f"config.search.rule = {run.search.rule!r}: the correction of the flat protocol repeats the "
                "choice of the best trial; set it to 'best', or config.protocol = 'nested'."
            )
        if run.search.policy != "full":
            raise UsageError(
                f"config.search.policy = {run.search.policy!r} gives trials up, and the correction of the "
                "flat protocol needs all of them on all folds: set it to 'full', or "
                "config.protocol = 'nested'."
            )
        if run.folds.repeats > 1:
            raise UsageError(
                f"config.folds.repeats = {run.folds.repeats}: the flat protocol divides the cases once; set "
                "it to 1, or config.protocol = 'nested'."
            )

    def outer_folds(self, known: Sequence[int], wanted: Sequence[int] | None) -> list[int]:
        if wanted is not None:
            raise UsageError("--outer_folds: the flat protocol has no outer folds; leave the flag out.")
        return list(known)

    def studies(self, outer: Sequence[int], folds: Folds, cases: str, run: RunConfig) -> list[Study]:  # noqa: ARG002
        return [self._one_loop("The flat search", folds, cases, run)]

    def after(self, study: Study) -> list[tuple[int, ...]]:  # noqa: ARG002
        return []

    def done(self, store: RunDirectory, studies: Sequence[Study]) -> set[int | None]:
        return {study.outer for study in studies if lost.nothing(store, study)}

    def ending(self, done: set[int | None], test: Test) -> Ending:  # noqa: ARG002
        return Ending(fits=lambda *_: [], finish=lambda *_: None, finished=lambda study: study.outer in done)

    def standing(
        self,
        planned: Sequence[int],  # noqa: ARG002
        tested: set[int],  # noqa: ARG002
        told: Callable[[int | None, bool | None], str],
        fits: str,
    ) -> list[str]:
        return [f"estimate, flat: {told(None, None)}, {fits}"]


def refits(study: Study, outcome: Outcome) -> list[Fit]:
    """The one fit on everything but the outer fold, for n* epochs; what a final mask needs beside it."""
    return [*study.refits(outcome), *study.judges(outcome)]


PROTOCOLS: dict[str, Protocol] = {"nested": _Nested(), "flat": _Flat()}
"""By their names in config.protocol."""


def of(run: RunConfig) -> Protocol:
    """The protocol of a run."""
    return PROTOCOLS[run.protocol]


def check_outer_folds(run: RunConfig, wanted: Sequence[int] | None) -> None:
    """Refuses outer folds that are none, where that can be known before any case is read.

    Raises:
        UsageError: as `Protocol.outer_folds`.
    """
    drawn = run.folds.scheme == "stratified"  # the others have the folds, or the sites, of the case table
    known = range(run.folds.count * run.folds.repeats) if drawn else wanted or (0,)
    of(run).outer_folds(known, wanted)
