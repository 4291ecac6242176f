"""Small images and volumes with masks, shared by tests of data, task and engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nachos_jax.configs import segmentation
from nachos_jax.core.errors import UsageError
from nachos_jax.data import masks
from nachos_jax.data.columns import Columns
from nachos_jax.data.masks import MaskSource, Pair, Rules
from nachos_jax.data.table import Cohort
from nachos_jax.tasks.segmentation import TASK
from tests.fields import put

CASES, FOLDS = 12, 3
PLAIN = Rules()


def pairs(rank: int = 3, cases: int = CASES, seed: int = 0) -> list[Pair]:
    """Noise with one bright and one brighter block, the classes 1 and 2; sides differ from case to case."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(cases):
        sides = draw.integers(6, 11, rank)
        mask = np.zeros(sides, np.uint8)
        for label in (1, 2):
            corner = [int(draw.integers(0, side - 3)) for side in sides]
            mask[tuple(slice(at, at + 3) for at in corner)] = label
        image = draw.normal(100, 8, (*sides, 1)) + 50 * mask[..., None]
        found.append(Pair(np.clip(image, 0, 255).astype(np.uint8), mask, (2.0, 1.0, 1.0)[-rank:]))
    return found


def source(
    of: Sequence[Pair], order: Sequence[str] = (), subjects: Sequence[str] | None = None
) -> MaskSource:
    """The pairs as a reader gives them, two cases a subject, in three folds."""

    def where(row: int) -> str:
        return f"case {row}"

    columns = Columns(
        source="the cases",
        names=[f"case-{row}" for row in range(len(of))],
        targets={},
        where=where,
        subject_cure="name them",
        order=tuple(order),
        subjects=[f"s{row // 2}" for row in range(len(of))] if subjects is None else subjects,
        folds=[str(row // 2 % FOLDS) for row in range(len(of))],
    )
    return MaskSource(columns, where, lambda: of.__getitem__)


def cohort(rules: Rules = PLAIN, of: Sequence[Pair] | None = None, order: Sequence[str] = ()) -> Cohort:
    """The cohort of some pairs."""
    return masks.cohort(source(pairs() if of is None else of, order), rules, TASK)


def refused(of: Sequence[Pair], order: Sequence[str] = ()) -> str:
    """What is said of pairs that cannot be used."""
    try:
        cohort(PLAIN, of, order)
    except UsageError as error:
        return str(error)
    raise AssertionError("they were taken")


def config(**changes: Any):
    """A ConfigDict for the cohort that trains in seconds; names like training__epochs set fields."""
    values: Any = segmentation.get_config()
    values.data.source = "arrays"
    values.folds.scheme = "predefined"
    values.model.unet.depth, values.model.unet.width, values.model.unet.convolutions = 2, 8, 0
    values.model.unet.flat_levels, values.training.batch_size, values.task.segmentation.patches = 0, 2, 1
    # Slices: what they are trained with compiles in half the time of volumes.
    for side, voxels in (("depth", 1), ("height", 8), ("width", 8)):
        values.task.segmentation[f"patch_{side}"] = voxels
    values.training.epochs, values.training.patience, values.training.learning_rate = 3, 3, 0.01
    values.search.searcher, values.search.trials, values.search.policy = "random", 2, "full"
    values.search.space.segmentation.loss = 'choice("dice_ce", "dice_focal")'
    values.engine.lanes, values.engine.packing, values.engine.convolution = 1, "map", "custom"
    values.engine.checkpoint_epochs, values.report.replicates = 1000, 200
    for name, value in changes.items():
        put(values, name, value)
    return values
