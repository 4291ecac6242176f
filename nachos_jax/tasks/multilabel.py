"""Several labels a case, each there, not there or unknown."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import FLIP_DEPTH
from nachos_jax.core.types import HParams
from nachos_jax.data import checks
from nachos_jax.data.columns import Columns
from nachos_jax.data.spellings import is_missing
from nachos_jax.data.sums import TrainingStatistics
from nachos_jax.data.targets import Targets
from nachos_jax.metrics import multilabel as metrics
from nachos_jax.splits.strata import Strata
from nachos_jax.tasks.dense import (
    CLASS_WEIGHT_EXPONENT,
    LABEL_SMOOTHING,
    NORMALISATION,
    DenseDevice,
    DenseTask,
    normalisations,
)
from nachos_jax.tasks.normalisation import TRAINING
from nachos_jax.tasks.task import ALONE, Setting, Tested, Told

CELLS = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0}
"""What a cell may say, in lower case; what is missing is unknown."""


@dataclass(frozen=True)
class LabelsDevice(DenseDevice):
    """The device side: a sigmoid a label."""

    outputs: int  # number of labels
    shape: tuple[int, ...] = ()
    normalisations: tuple[str, ...] = (TRAINING,)

    @property
    def seen(self) -> int:
        """A logit a label."""
        return self.outputs

    def loss(self, outputs: jax.Array, targets: jax.Array, told: Told) -> jax.Array:
        """Weighted binary cross-entropy with label smoothing, mean over the known labels of the batch.

        Args:
            outputs: [B, labels] float32 logits.
            targets: [B, labels] float32, NaN where a label is unknown.
            told: "weights" [labels, 2] float32, of a label's absence and presence.

        Returns:
            Scalar: sum of weighted losses over sum of weights; 0 of a batch in which no label is known.
        """
        each, weights = self._each(outputs, targets, told)
        total = jnp.sum(weights)
        return jnp.sum(weights * each) / jnp.where(total > 0, total, 1.0)

    def total(
        self, outputs: jax.Array, targets: jax.Array, chosen: jax.Array, told: Told
    ) -> tuple[jax.Array, jax.Array]:
        """See `nachos_jax.tasks.task.ConvexTask`.

        Of the outputs with their sign turned where the label is there: where that is certain the gradient is
        a small number, and not the difference of a probability from 1, which loses it in rounding.
        """
        _, weights = self._each(outputs, targets, told)
        weights = jnp.where(chosen[:, None], weights, 0.0)
        wrong = jnp.where(targets > 0.5, -outputs, outputs)
        each = jax.nn.softplus(wrong) - 0.5 * told.traced["label_smoothing"] * wrong
        return jnp.sum(weights * each), jnp.sum(weights)

    def bound(self, targets: jax.Array, chosen: jax.Array, told: Told) -> jax.Array:
        """See `nachos_jax.tasks.task.ConvexTask`; of the label that weighs most."""
        _, weights = self._each(jnp.zeros_like(targets), targets, told)
        return jnp.where(chosen, 0.25 * jnp.max(weights, axis=1), 0.0)

    def curved(self, outputs: jax.Array, targets: jax.Array, chosen: jax.Array, told: Told) -> jax.Array:
        """See `nachos_jax.tasks.task.ConvexTask`."""
        p, (_, weights) = jax.nn.sigmoid(outputs), self._each(outputs, targets, told)
        return jnp.where(chosen, jnp.mean(weights * p * (1.0 - p), axis=1), 0.0)

    def _each(self, outputs: jax.Array, targets: jax.Array, told: Told) -> tuple[jax.Array, jax.Array]:
        """Loss and weight [B, labels] of each label."""
        known = ~jnp.isnan(targets)
        there = jnp.where(known, targets, 0.0)
        wanted = there + told.traced["label_smoothing"] * (0.5 - there)
        each = jax.nn.softplus(outputs) - wanted * outputs
        absent, present = told.task["weights"][None, :, 0], told.task["weights"][None, :, 1]
        return each, jnp.where(known, jnp.where(there > 0.5, present, absent), 0.0)


class Multilabel(DenseTask):
    """Several labels a case."""

    name = "multilabel"
    hyperparameters = (LABEL_SMOOTHING, CLASS_WEIGHT_EXPONENT, FLIP_DEPTH, NORMALISATION)
    headline = metrics.HEADLINE
    metrics = metrics.METRICS
    kind = "logits"
    outcome = "labels"

    def targets(self, columns: Columns, names: Sequence[str]) -> Targets:
        """[N, labels] float32: 1 there, 0 not there, NaN unknown.

        Raises:
            UsageError: one label only, a cell that is none of the three, a label that never varies.
        """
        chosen = _chosen(columns, names)
        steps = [functools.partial(_cells, columns, *column) for column in chosen.items()]
        values = np.stack(checks.together(*steps), axis=1)
        return self._known(columns.source, tuple(chosen), values, columns.partial)

    def part(self, targets: Targets, rows: np.ndarray) -> Targets:
        """[n, labels] of some cases alone; refused where a label does not vary among them."""
        return self._known("what is left of the cases", targets.names, targets.values[rows])

    def _known(
        self, source: str, names: tuple[str, ...], values: np.ndarray, partial: bool = False
    ) -> Targets:
        for name, column in () if partial else zip(names, values.T, strict=True):
            _varies(source, name, column)
        return Targets(
            task=self.name,
            names=names,
            values=values,
            strata=rarest_label(values, names),
            has=values == 1,
            noun="label",
            facts={
                "task": self.name,
                "names": list(names),
                "targets": [[None if np.isnan(x) else int(x) for x in row] for row in values.tolist()],
            },
        )

    def told(
        self,
        targets: Targets,
        training: np.ndarray,
        hparams: HParams,
        inputs: TrainingStatistics | None = None,  # noqa: ARG002
    ) -> dict[str, np.ndarray]:
        """Weights [labels, 2] of absence and presence: (known / (2 n))^exponent, from the training cases."""
        values = targets.values[training]
        counts = np.stack([(values == 0).sum(axis=0), (values == 1).sum(axis=0)], axis=1)
        balanced = counts.sum(axis=1, keepdims=True) / (2 * np.maximum(counts, 1))
        exponent = float(hparams.get("class_weight_exponent", 0.0))
        return {"weights": np.where(counts > 0, balanced**exponent, 1.0).astype(np.float32)}

    def case_weights(self, targets: Targets, training: np.ndarray, hparams: HParams) -> np.ndarray:
        """The weight [n, labels] of what each training case says of a label; any of an unknown one."""
        weights, values = self.told(targets, training, hparams)["weights"], targets.values[training]
        return np.where(values > 0.5, weights[None, :, 1], weights[None, :, 0])

    def device(self, names: Sequence[str], hparams: HParams, setting: Setting = ALONE) -> LabelsDevice:
        """See `nachos_jax.tasks.task.Task`."""
        return LabelsDevice(len(names), setting.shape, normalisations(setting, hparams))

    def watched(self, metric: str, seen: np.ndarray, targets: Targets) -> tuple[float, float | None]:
        """Mean binary cross-entropy over the known labels, and the metric; from logits [n, labels]."""
        loss = metrics.cross_entropy_from_logits(targets.values, seen).value
        value = metrics.evaluate(metric, targets.values, self.predicted(seen), targets.names).value
        return float("nan") if loss is None else loss, metrics.METRICS[metric].turned(value)

    def undefined(self, metric: str, targets: Targets) -> str:
        """Tried on predictions that are right; what is unknown is said to be not there."""
        right = np.nan_to_num(targets.values.astype(np.float64))
        value = metrics.evaluate(metric, targets.values, right, targets.names)
        return value.note if value.value is None else ""

    def tested(self, seen: np.ndarray, targets: Targets) -> Tested:
        """Targets, and a probability a label."""
        return Tested({"targets": targets.values, "probabilities": self.predicted(seen)})

    def predicted(self, seen: np.ndarray) -> np.ndarray:
        """Probabilities [n, labels] float64: the sigmoid of each logit."""
        from scipy.special import expit  # late: it is slow to import

        return expit(seen.astype(np.float64))

    def table(self, predicted: np.ndarray, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
        """A probability a label."""
        return [f"probability_{name}" for name in names], [[f"{x:.6g}" for x in row] for row in predicted]


TASK = Multilabel()


def rarest_label(values: np.ndarray, names: tuple[str, ...]) -> Strata:
    """Strata of [N, labels]: the rarest label that a case has, so that rare ones are spread over folds."""
    there = values == 1
    rarity = np.argsort(np.argsort(there.sum(axis=0), kind="stable"), kind="stable")
    rank = np.where(there, rarity[None], len(names)).min(axis=1)
    order = [*np.argsort(rarity).tolist(), None]
    present, numbers = np.unique(rank, return_inverse=True)
    titles = ("none" if order[i] is None else names[order[i]] for i in present.tolist())
    return Strata(numbers.astype(np.int32), tuple(titles), needed=False)


def _chosen(columns: Columns, names: Sequence[str]) -> dict[str, Sequence[str]]:
    """The label columns wanted, in the order wanted."""
    missing = [name for name in names if name not in columns.targets]
    if missing:
        raise UsageError(
            f"config.data.classes names the label {missing[0]!r}, and {columns.source} has "
            f"{checks.listed(columns.targets)}.{checks.hint(missing[0], columns.targets)}"
        )
    chosen = {name: columns.targets[name] for name in names or columns.targets}
    if len(chosen) < 2:
        raise UsageError(
            f"{columns.source} holds one label a case ({checks.listed(chosen)}), and 'multilabel' predicts "
            "several: name their columns in config.data.target_keys, or set config.task.name to "
            "'classification'."
        )
    return chosen


def _cells(columns: Columns, name: str, cells: Sequence[str]) -> np.ndarray:
    meanings = {cell: np.nan if is_missing(cell) else CELLS.get(cell.lower()) for cell in set(cells)}
    faults = [(row, f"label {name} is {cell!r}") for row, cell in enumerate(cells) if meanings[cell] is None]
    cure = "write 1 where it is there, 0 where it is not, and leave the cell empty where nobody knows"
    checks.refuse(faults, columns.where, cure)
    return np.asarray([meanings[cell] for cell in cells], np.float32)


def _varies(source: str, name: str, values: np.ndarray) -> None:
    known = values[~np.isnan(values)]
    if len(np.unique(known)) < 2:
        told = f"is {known[0]:g} for all cases that know it" if len(known) else "is known of no case"
        raise UsageError(
            f"{source}: label {name!r} {told}; leave it out (config.data.target_keys or config.data.classes)."
        )
