"""What tests of the plan share: folds without a cohort, and facts of a machine that is not there."""

from __future__ import annotations

from typing import Any

import numpy as np

from nachos_jax.config.run_config import RunConfig
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.plan import fits as plan_fits
from nachos_jax.protocol.plan import memory as plan_memory
from nachos_jax.protocol.plan import plan
from nachos_jax.protocol.plan.memory import CasesMemory, Device
from nachos_jax.splits.folds import Folds
from tests import tiny

GIGABYTE = 2**30


def folds_of(count: int, repeats: int = 1, cases: int = 60) -> Folds:
    """So many folds of equal size in each repeat."""
    rows = [(np.arange(cases) + r * (np.arange(cases) // count)) % count + r * count for r in range(repeats)]
    return Folds(np.stack(rows), count, repeats)


def facts_of(
    run: RunConfig,
    folds: Folds,
    outer: tuple[int, ...] | None = None,
    cohort: Cohort | None = None,
    **more: Any,
) -> plan.Facts:
    """The facts of a run on one CPU device of a gigabyte; all outer folds unless they are named."""
    buckets = {plan_fits.bucket_for(run, hparams) for hparams in plan_fits.drawn_trials(run)}
    return plan.Facts(
        folds=folds,
        outer=folds.numbers() if outer is None else outer,
        networks=plan_memory.networks(run, buckets, cohort or tiny.cohort()),
        cases=CasesMemory(False, 60 * 40, 1),
        device=Device("test", "cpu", 1, GIGABYTE),
        **more,
    )
