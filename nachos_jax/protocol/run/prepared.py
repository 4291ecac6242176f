"""The stores of a run: the cases prepared as its config says, and once more for each way that is tried."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import PREPARED, preparation_of
from nachos_jax.core.types import HParamValue
from nachos_jax.data import sources
from nachos_jax.data.ragged import Ragged
from nachos_jax.data.table import Cohort, Prepared
from nachos_jax.tasks import registry as tasks

Name = tuple[tuple[str, HParamValue], ...]
"""What names a store, see `nachos_jax.core.hparams.preparation_of`."""
OF_MASKS = "spacing"
"""All that images with masks can be prepared by."""


def names(run: RunConfig) -> list[Name]:
    """Names of the further stores: every way that the searched values of the preparation go together."""
    tried = [dict.fromkeys(run.candidates(name)) for name in PREPARED]
    ways = [dict(zip(PREPARED, values, strict=True)) for values in itertools.product(*tried)]
    own = [{name: value for name, value in way.items() if value != run.defaults[name]} for way in ways]
    return [preparation_of(way) for way in own if way]


def check(run: RunConfig) -> None:
    """Refuses a searched preparation where no further stores can be made, or where they would be equal.

    Raises:
        UsageError: the cases are no images or volumes from files, aspect is searched beside a spacing, or
            anything but the spacing of masks.
    """
    searched = [dimension.name for dimension in run.search.space if dimension.name in PREPARED]
    if not searched:
        return
    masks = tasks.of(run.task).masks
    first = next((name for name in searched if masks and name != OF_MASKS), searched[0])
    place = f"config.search.space.{first}"
    whys = {
        "images with masks are resampled alone": masks and first != OF_MASKS,
        "images are prepared once, as the weights of the backbone expect them": bool(run.backbone.name),
        "vectors have no pixels": run.data.source == "vectors",
        "cases from Python are prepared already": run.data.source == "arrays",
    }
    why = next((why for why, applies in whys.items() if applies), "")
    if why:
        raise UsageError(f"{place}: {why}; set it to '', and compare runs with `nachos compare`.")
    if "aspect" in searched and any(run.candidates("spacing")):
        raise UsageError(
            "config.search.space.aspect does nothing at a common spacing, where volumes are cut or filled "
            "up: set it to '', or config.data.spacing and config.search.space.spacing."
        )


def load(run: RunConfig) -> Cohort:
    """The cases that a config without a backbone names, with all their stores, each cached by itself.

    Raises:
        UsageError: the data cannot be used, or not in one of the ways that are tried.
    """
    task, wanted = tasks.of(run.task), names(run)
    cohort = sources.load(run.data, task)
    others = {}
    for name in wanted:
        told = ", ".join(f"{one} = {value!r}" for one, value in name)
        fields: dict[str, Any] = dict(name)
        try:
            found = sources.load(replace(run.data, **fields), task)
        except UsageError as error:
            raise UsageError(f"Prepared with {told}, as config.search.space asks: {error}") from error
        _check_alike(cohort, found, told)
        others[name] = Prepared(found.store, found.preparation)
    notes = [
        f"prepared once more with {', '.join(f'{one} = {value!r}' for one, value in name)}: a store of "
        f"{one_store.store.nbytes / 2**20:,.3g} MiB"
        for name, one_store in others.items()
    ]
    return replace(cohort, others=others, notes=(*cohort.notes, *notes)) if others else cohort


def _check_alike(cohort: Cohort, found: Cohort, told: str) -> None:
    """Refuses stores of other cases, or of another shape or dtype: fits that read them must be alike.

    Images with masks have shapes of their own at each spacing, and networks see patches of them.
    """
    same_cases = np.array_equal(found.table.names, cohort.table.names)
    if same_cases and isinstance(cohort.store, Ragged):
        return
    if same_cases and (found.shape, found.store.dtype) == (cohort.shape, cohort.store.dtype):
        return
    sides = "config.data.height and config.data.width (of volumes config.data.depth too)"
    raise UsageError(
        f"Prepared with {told}, as config.search.space asks, the cases are {found.shape} as "
        f"{found.store.dtype}, and else {cohort.shape} as {cohort.store.dtype}: set {sides}."
    )
