"""Images of 8 bits with masks beside images of more: their values are on other scales."""

from __future__ import annotations

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import listed
from nachos_jax.data.table import Cohort
from nachos_jax.tasks.normalisation import OWN_SCALE


def check(run: RunConfig, cohort: Cohort, begun: bool) -> list[str]:
    """Refuses such cases, inside or outside, where a normalisation that may be chosen has one scale for all.

    Returns:
        The same as a sentence, of a run that has begun with them.

    Raises:
        UsageError: likewise, with the cases of 8 bits.
    """
    parts = [cohort, *([cohort.outside] if cohort.outside else [])]
    few = [name for part in parts for name in part.table.names.tolist() if name in part.eight_bit]
    count = sum(len(part.table) for part in parts)
    if not 0 < len(few) < count:
        return []
    choice = next((one for one in run.candidates("segmentation.normalisation") if one not in OWN_SCALE), None)
    if choice is None:
        return []
    told = (
        f"{len(few):,} of {count:,} cases have images of 8 bits ({listed(few)}) and the others of more: "
        f"their values are on other scales, and segmentation.normalisation = {choice!r} takes all by one."
    )
    if begun:
        return [told]
    raise UsageError(
        f"{told} Convert all images to one bit depth, or choose only among "
        f"{', '.join(map(repr, OWN_SCALE))} in "
        "config.task.segmentation.normalisation and config.search.space.segmentation.normalisation."
    )
