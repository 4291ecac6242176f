"""Every trial on all inner folds to its early stop: what the published protocol does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nachos_jax.search.policies.policy import Asked, Cohort, Known, Policy, Stage


class Full(Policy):
    """Trains everything."""

    def sizes(self, rounds: Sequence[int]) -> list[int]:
        """See `Policy`."""
        return list(rounds)

    def opening(self, known: Known, cohort: Cohort) -> list[Asked]:
        """See `Policy`."""
        return [asked for trial in cohort.trials for asked in known.completed(trial)]

    def course(self, known: Known, cohort: Cohort) -> Iterator[Stage]:  # noqa: ARG002
        """See `Policy`."""
        yield from ()
