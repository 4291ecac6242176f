"""The final mask of a case: by the best configurations of a study together, with the components that help.

Both are chosen inside the study: the configurations by their inner scores, the components by masks of inner
folds (as nnU-Net does, Isensee et al. 2021, which chooses on the folds that it reports).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.ragged import Ragged
from nachos_jax.metrics import components, overlap
from nachos_jax.metrics.components import Largest
from nachos_jax.protocol.design.study import Study
from nachos_jax.protocol.model import tested_masks
from nachos_jax.protocol.model.segmenter import together
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.mask_choice import MaskChoice
from nachos_jax.records.schema import FitRecord, Outcome
from nachos_jax.runtime import stopping


def wanted(config: RunConfig) -> bool:
    """Whether the final mask may be another than that of the selected configuration alone."""
    return config.ensemble > 1 or config.largest_component


def choice(run: Run, study: Study, outcome: Outcome, judges: Sequence[FitRecord]) -> MaskChoice:
    """What a study chooses of its final masks; committed, and read where it was before.

    Args:
        run: the run.
        study: the study.
        outcome: its end.
        judges: records of `Study.judges`.

    Raises:
        UsageError: weights are missing or damaged, or what was committed is of other fits.
    """
    trials, inner = tuple(study.together(outcome)), tuple(record.fit for record in judges)
    known = run.store.mask_choice(study.outer)
    if known is None:
        known = _chosen(run, study, trials, judges)
        run.store.commit_mask_choice(known)
    elif (known.trials, known.inner) != (trials, inner):
        path = run.store.outcome_path(study.outer).with_name("masks.json")
        raise UsageError(
            f"{path} is of other fits: delete this file and run the same `nachos {run.store.command}` again."
        )
    return known


def kept(of: MaskChoice) -> Largest:
    """The components that masks keep."""
    return Largest(of.together, of.classes)


def measured(
    run: Run, of: MaskChoice, records: Sequence[FitRecord], rows: Sequence[int]
) -> dict[str, np.ndarray]:
    """Final masks of n cases against their truth, as `tested_masks.measured`; NaN where a fit met NaN.

    Returns:
        "final_volumes" [n, K, 3], "final_hd95" and "final_nsd" [n, K].
    """
    mask_of = None
    if all(record.status == "done" for record in records):
        whole = together(tested_masks.of_fit(run, record) for record in records)
        mask_of = tested_masks.masks(run.cohort.prepared(records[0].hparams).store, whole)
    volumes, hd95, nsd = tested_masks.against_truth(run.cohort, mask_of, rows, kept(of))
    return {"final_volumes": volumes, "final_hd95": hd95, "final_nsd": nsd}


def _chosen(run: Run, study: Study, trials: tuple[int, ...], judges: Sequence[FitRecord]) -> MaskChoice:
    classes = len(run.cohort.targets.names)
    parts = [_dice(run, record, inner) for record, inner in zip(judges, study.inner, strict=False)]
    dice = np.concatenate([*parts, np.empty((0, 4, classes))])
    dice = dice[np.isfinite(dice).all(axis=(1, 2))]
    largest = components.chosen(dice)
    way = int(largest.together)
    alone = np.isin(np.arange(1, classes + 1), largest.classes)
    after = np.where(alone, dice[:, 2 + way], dice[:, way])
    return MaskChoice(
        study=study.outer,
        trials=trials,
        inner=tuple(record.fit for record in judges),
        cases=len(dice),
        together=largest.together,
        classes=largest.classes,
        before=_means(dice[:, 0]),
        after=_means(after),
    )


def _dice(run: Run, judge: FitRecord, inner: int) -> np.ndarray:
    """[n, 4, K] Dice of the cases of an inner fold in the order of `components.ways`; NaN of a fit that met
    NaN.
    """
    rows, classes = np.flatnonzero(run.folds.cases(inner)).tolist(), len(run.cohort.targets.names)
    found = np.full((len(rows), 4, classes), np.nan)
    if judge.status != "done":
        return found
    store = run.cohort.prepared(judge.hparams).store
    assert isinstance(store, Ragged)
    mask_of = tested_masks.masks(store, tested_masks.of_fit(run, judge))
    for place, row in enumerate(rows):
        stopping.between()
        truth, _ = store.truth(row)
        ways = components.ways(mask_of(row), classes)
        found[place] = [overlap.dice(overlap.voxels(truth, way, classes)) for way in ways]
    return found


def _means(dice: np.ndarray) -> tuple[float, ...]:
    """[K] of [n, K]; () of no case."""
    return tuple(dice.mean(axis=0).tolist()) if len(dice) else ()
