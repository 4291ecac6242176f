"""A study under its policy: what it wants trained now, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nachos_jax.search.policies.policy import Asked, Cohort, Known, Policy, Stage

Choose = Callable[[Known], int | None]
"""The trial that would be selected by what is known; None when there is none."""


class Play:
    """Leads one study through its policy; a function of what it is told, in whatever order.

    When all cohorts are through, the trial that would be selected is completed (`Policy.completion`). If
    another one is then ahead of it, that one too, until the selected trial is complete. If all fail that were
    not given up, those that were are back, and the policy goes on with them.

    Args:
        policy: how far trials are trained.
        known: what the study knows; it is filled by `tell`.
        choose: the trial that would be selected.
        passed: is called whenever a cohort has been through all its stages.
        last_alone: whether of those that are back the last cohort alone goes on, as in earlier versions.
    """

    def __init__(
        self,
        policy: Policy,
        known: Known,
        choose: Choose,
        passed: Callable[[], None] = lambda: None,
        last_alone: bool = False,
    ):
        self.known, self._passed, self._last_alone = known, passed, last_alone
        self._policy, self._choose = policy, choose
        self._cohorts: list[Cohort] = []
        self._last = False
        self._through = 0
        self._course = self._all()
        self._stage: Stage | None = None  # the one that is waited for

    @property
    def through(self) -> int:
        """Number of cohorts that have been through all their stages."""
        return self._through

    @property
    def cohorts(self) -> int:
        """Number of cohorts that have entered."""
        return len(self._cohorts)

    over = False
    """Whether nothing is left to ask for, now or later."""

    changes = 0
    """How often what the study knows has changed."""

    def enter(self, trials: Sequence[int]) -> None:
        """The next trials that were proposed together."""
        self._cohorts.append(Cohort(len(self._cohorts), tuple(trials)))

    def end(self) -> None:
        """No other trials will follow."""
        self._last = True

    @property
    def first(self) -> int:
        """How many fits a trial asks for before anything is decided on it."""
        return len(self._policy.opening(self.known, Cohort(0, (0,))))

    def wanted(self) -> list[Asked]:
        """Goes on as far as what is known allows; then the fits that have not ended and are wanted now.

        They are those of the stage that is waited for, and the openings of cohorts whose turn comes later.
        """
        while not self.over and not (missing := self._missing(self._stage.asked if self._stage else ())):
            self.known.look(self._stage.asked if self._stage else ())
            self.changes += 1
            self._stage = next(self._course)
            if self._stage is None:  # the next cohort is awaited, or all is over
                return []
            self.known.stopped.update(self._stage.stopped)
            self.changes += 1
        if self.over:
            return []
        ahead = [self._policy.opening(self.known, cohort) for cohort in self._cohorts[self._through + 1 :]]
        return list(dict.fromkeys([*missing, *self._missing([asked for asks in ahead for asked in asks])]))

    def _missing(self, asked: Sequence[Asked]) -> list[Asked]:
        return [fit for fit in asked if not self.known.knows(fit)]

    def _take_back(self) -> bool:
        """Those that were given up for the sake of trials that have all failed are back; False if none."""
        back = [trial for trial in self.known.stopped if not self.known.failed(trial)]
        for trial in back:
            del self.known.stopped[trial]
        return bool(back)

    def _again(self) -> Iterator[Stage]:
        """The stages of those that are back: of every cohort, and by more than they have of short fits."""
        if self._last_alone:
            yield from self._policy.course(self.known, self._cohorts[-1])
            return
        everyone = Cohort(len(self._cohorts) - 1, tuple(sorted(self.known.trials)))
        alive = set(self.known.alive())
        # Of as many trials, those that they are compared by can be other fits than they began with.
        yield Stage([one for one in self._policy.opening(self.known, everyone) if one.trial in alive])
        yield from self._policy.course(self.known, everyone)

    def _all(self) -> Iterator[Stage | None]:
        """The stages of all cohorts, then of the trial that is selected; None while a cohort is awaited."""
        while True:
            while self._through == len(self._cohorts) and not self._last:
                yield None
            if self._through == len(self._cohorts):
                break
            cohort = self._cohorts[self._through]
            self.known.trials += cohort.trials
            yield Stage(self._policy.opening(self.known, cohort))
            yield from self._policy.course(self.known, cohort)
            self._through += 1
            self._passed()
        while True:
            while not self.known.alive() and self._take_back():
                yield from self._again()
            selected = self._choose(self.known)
            rest = [] if selected is None else self._policy.completion(self.known, selected)
            if all(map(self.known.counts, rest)):
                break
            yield Stage(rest)
        self.over = True
        yield None
