"""Cases that can be read in two ways: no run begins with them, and one that has begun keeps its way."""

from __future__ import annotations

from nachos_jax.core.errors import UsageError
from nachos_jax.data.table import Cohort


def check(cohort: Cohort, begun: bool, begun_outside: bool) -> list[str]:
    """What is doubtful of the cases, in words.

    Args:
        cohort: the cases, with the external ones.
        begun: whether the run has begun.
        begun_outside: whether it has recorded its external cases.

    Raises:
        UsageError: likewise, of a run that has not begun.
    """
    inside, outside = cohort.doubts, cohort.outside.doubts if cohort.outside else ()
    refused = [*(() if begun else inside), *(() if begun_outside else outside)]
    if refused:
        raise UsageError(refused[0])
    return list(dict.fromkeys((*inside, *outside)))
