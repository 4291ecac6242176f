"""What a plan says differently of the nested and of the flat protocol."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence

from nachos_jax.protocol.plan import fits
from nachos_jax.protocol.plan.plan import Plan
from nachos_jax.search import registry as searchers

PLAYED = {
    "race-fitted": (0.25, 0.31),
    "race-short": (0.29, 0.33),
    "race": (0.32, 0.37),
    "halving": (0.25, 0.39),
    "hyperband": (0.25, 0.39),
    "top": (0.34, 0.36),
    "race-halving": (0.20, 0.21),
}
"""Smallest and largest share of epochs that each policy took in the replays of docs/search.md."""


class PlanWords(ABC):
    """The words of one protocol.

    Attributes:
        waiting: what waits for each other in its estimate.
    """

    waiting: str

    @abstractmethod
    def folds(self, plan: Plan) -> str:
        """The folds that are planned."""

    @abstractmethod
    def search(self, plan: Plan) -> list[list[str]]:
        """Rows of its fits: a name and a number."""

    @abstractmethod
    def meeting(self, plan: Plan) -> str:
        """Which trials studies share."""

    @abstractmethod
    def saved(self, plan: Plan) -> list[str]:
        """What is saved beside what early stopping saves."""


class _Nested(PlanWords):
    waiting = "rounds and refit"

    def folds(self, plan: Plan) -> str:
        return f"{len(plan.facts.outer)} of {len(plan.facts.folds.numbers())} outer folds"

    def search(self, plan: Plan) -> list[list[str]]:
        counts = plan.counts
        own = counts.trials - counts.shared
        rows = [["search fits without pair reuse", f"{counts.without_reuse:,}"]]
        rows += [["search fits with pair reuse" + (", at most" if own else ""), f"{counts.most:,}"]]
        rows += [["search fits if all proposals met", f"{counts.fewest:,}"]] if own else []
        return [*rows, ["refits", f"{counts.refits:,}"]]

    def meeting(self, plan: Plan) -> str:
        shared, own = plan.counts.shared, plan.counts.trials - plan.counts.shared
        if not own:
            return "all are the same in all studies, so all pairs meet"
        return (
            f"{shared} are the same in all studies, so their pairs meet; {own} depend on each "
            "study's scores, and meet only by chance"
        )

    def saved(self, plan: Plan) -> list[str]:
        counts, whole, alone, measured = plan.counts, plan.whole, plan.alone, plan.facts.measured
        reuse = f"pair reuse: {part(counts.most, counts.without_reuse)} of the search fits"
        if counts.most != counts.fewest:
            reuse += f", up to {part(counts.fewest, counts.without_reuse)} if all proposals met"
        lines = [reuse]
        if measured is not None and measured.both:
            lines.append(
                f"a fit that two folds watch trained {mean(measured.both):.1f} epochs, one of them alone "
                f"would have needed {mean(measured.one):.1f}"
            )
        lines.append(
            f"outer folds: all {whole.refits} take {whole.most + whole.refits:,} fits, the {counts.refits} "
            f"planned {counts.most + counts.refits:,}, one alone {alone.most + alone.refits:,}"
        )
        return [*lines, *_policy(plan.run.search.policy)]


def _policy(name: str) -> list[str]:
    """What a policy is expected to save, which nobody can know before."""
    if name not in PLAYED:
        return []
    least, most = PLAYED[name]
    return [
        f"policy {name}: all figures here are without it; on recorded curves (9 trials, 9 inner folds) it "
        f"took {least:.0%} to {most:.0%} of a study's epochs, more with fewer folds: expected, not promised"
    ]


class _Flat(PlanWords):
    waiting = "rounds"

    def folds(self, plan: Plan) -> str:
        return f"{count(plan.facts.folds.count, 'fold')}, flat"

    def search(self, plan: Plan) -> list[list[str]]:
        return [["search fits", f"{plan.counts.most:,}"]]

    def meeting(self, plan: Plan) -> str:  # noqa: ARG002
        return "one search, whose fits also test; nothing is refitted"

    def saved(self, plan: Plan) -> list[str]:  # noqa: ARG002
        return []


WORDS: dict[str, PlanWords] = {"nested": _Nested(), "flat": _Flat()}
"""By the names in config.protocol."""


def rounds(plan: Plan) -> str:
    """In which rounds a study asks for its trials, and what they wait for."""
    search, trials = plan.run.search, plan.counts.trials
    sizes = [len(numbers) for numbers in fits.rounds(search, trials)]
    told = ", then ".join(
        f"{len(same)} of {size}" if len(same := [*equal]) > 1 else f"{size}"
        for size, equal in itertools.groupby(sizes)
    )
    if not searchers.looks_at_scores(search.searcher):
        return f"rounds of trials: {told}; {search.searcher} looks at no scores, so none waits for another"
    size = f"config.search.proposals = {search.proposals}"
    size += "" if search.proposals else ", an eighth of what follows the first round, on any number of lanes"
    if not search.lag:
        waits = "a round waits for all before it, and sees their scores"
    else:
        before = f"the {search.lag} before it" if search.lag > 1 else "the one before it"
        waits = f"a round does not wait for {before}, and sees no score of what it did not wait for"
    return f"rounds of trials: {told} ({size}); {waits} (config.search.lag = {search.lag})"


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 bucket", "2 buckets", "3 classes"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")


def mean(values: Sequence[int]) -> float:
    """Of at least one number."""
    return sum(values) / len(values)


def part(used: int, of: int) -> str:
    """What is saved when so many of so many are used, in percent."""
    return f"{1 - used / of:.0%}"
