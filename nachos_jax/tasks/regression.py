"""Regression: a number a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import FLIP_DEPTH, Hyperparameter
from nachos_jax.core.types import HParams
from nachos_jax.data import checks
from nachos_jax.data.columns import Columns
from nachos_jax.data.sums import TrainingStatistics
from nachos_jax.data.targets import Targets
from nachos_jax.metrics import regression as metrics
from nachos_jax.splits.strata import Strata
from nachos_jax.tasks.dense import NORMALISATION, DenseDevice, DenseTask, normalisations
from nachos_jax.tasks.normalisation import TRAINING
from nachos_jax.tasks.task import ALONE, Setting, Tested, Told

SQUARED, ABSOLUTE, HUBER = "squared", "absolute", "huber"
LOSS = Hyperparameter(
    "regression.loss",
    "choice",
    choices=(SQUARED, ABSOLUTE, HUBER),
    static=True,
    default=SQUARED,
    tasks=("regression",),
    meaning="of the standardised target; huber turns from squared to absolute at 1 SD (Huber 1964)",
)
GROUPS = 5
"""Quantile groups that folds are balanced by."""


@dataclass(frozen=True)
class NumberDevice(DenseDevice):
    """The device side: the network predicts the target standardised by the training cases.

    Attributes:
        kind: "squared", "absolute" or "huber".
        outputs: the number.
        seen: likewise.
        shape: of one case.
        normalisations: those that fits may choose.
    """

    kind: str
    outputs: int = 1
    seen: int = 1
    shape: tuple[int, ...] = ()
    normalisations: tuple[str, ...] = (TRAINING,)

    @property
    def convex(self) -> bool:
        """An absolute loss has an edge."""
        return self.kind != ABSOLUTE

    def loss(self, outputs: jax.Array, targets: jax.Array, told: Told) -> jax.Array:
        """Mean loss of the batch: outputs [B, 1] against targets [B], in training SDs."""
        return jnp.mean(self._each(outputs, targets, told))

    def total(
        self, outputs: jax.Array, targets: jax.Array, chosen: jax.Array, told: Told
    ) -> tuple[jax.Array, jax.Array]:
        """See `nachos_jax.tasks.task.ConvexTask`."""
        each = jnp.where(chosen, self._each(outputs, targets, told), 0.0)
        return jnp.sum(each), jnp.sum(chosen, dtype=jnp.float32)

    def bound(self, targets: jax.Array, chosen: jax.Array, told: Told) -> jax.Array:  # noqa: ARG002
        """See `nachos_jax.tasks.task.ConvexTask`."""
        return jnp.where(chosen, 1.0 if self.kind == HUBER else 2.0, 0.0)

    def curved(self, outputs: jax.Array, targets: jax.Array, chosen: jax.Array, told: Told) -> jax.Array:
        """See `nachos_jax.tasks.task.ConvexTask`."""
        bound = self.bound(targets, chosen, told)
        if self.kind != HUBER:
            return bound
        away = outputs[:, 0] - (targets - told.task["target_mean"]) / told.task["target_sd"]
        return jnp.where(jnp.abs(away) <= 1.0, bound, 0.0)

    def _each(self, outputs: jax.Array, targets: jax.Array, told: Told) -> jax.Array:
        """Loss [B] of each case."""
        away = outputs[:, 0] - (targets - told.task["target_mean"]) / told.task["target_sd"]
        size = jnp.abs(away)
        if self.kind == ABSOLUTE:
            return size
        if self.kind == HUBER:
            return jnp.where(size <= 1.0, 0.5 * away**2, size - 0.5)
        return away**2

    def readout(self, outputs: jax.Array, told: Told) -> jax.Array:
        """[B, 1]: predictions in the unit of the target."""
        return outputs * told.task["target_sd"] + told.task["target_mean"]


class Regression(DenseTask):
    """A number a case."""

    name = "regression"
    hyperparameters = (LOSS, FLIP_DEPTH, NORMALISATION)
    headline = metrics.HEADLINE
    metrics = metrics.METRICS
    outcome = "number"

    def targets(self, columns: Columns, names: Sequence[str]) -> Targets:
        """Numbers [N] float64.

        Raises:
            UsageError: several targets a case, a cell that is no finite number, or one value only.
        """
        if len(columns.targets) > 1:
            raise UsageError(
                f"{columns.source} holds {len(columns.targets)} targets a case "
                f"({checks.listed(columns.targets)}), and a regression predicts one number: name one in "
                "config.data.label_key."
            )
        if names:
            raise UsageError(
                f"config.data.classes = {list(names)!r}: a regression has no classes; leave the field empty."
            )
        name, cells = next(iter(columns.targets.items()))
        values = np.asarray([_number(cell) for cell in cells], np.float64)
        unknown = np.flatnonzero(~np.isfinite(values)).tolist()
        faults = [(row, f"{name} {cells[row]!r} is no finite number") for row in unknown]
        checks.refuse(faults, columns.where, "fill it in (with a decimal point) or drop the row")
        found = self._known(columns.source, name, values, columns.partial)
        return replace(found, doubts=checks.underscores(cells, name, columns.where))

    def part(self, targets: Targets, rows: np.ndarray) -> Targets:
        """[n] numbers of some cases alone; refused where all are equal."""
        return self._known("what is left of the cases", targets.names[0], targets.values[rows])

    def _known(self, source: str, name: str, values: np.ndarray, partial: bool = False) -> Targets:
        if np.ptp(values) == 0 and not partial:
            raise UsageError(
                f"{source}: {name!r} is {values[0]:g} for all cases; there is nothing to predict."
            )
        return Targets(
            task=self.name,
            names=(name,),
            values=values,
            strata=quantile_groups(values),
            has=np.zeros((len(values), 0), bool),
            facts={"task": self.name, "names": [name], "targets": values.tolist()},
        )

    def told(
        self,
        targets: Targets,
        training: np.ndarray,
        hparams: HParams,  # noqa: ARG002
        inputs: TrainingStatistics | None = None,  # noqa: ARG002
    ) -> dict[str, np.ndarray]:
        """Mean and standard deviation of the training targets, float32 scalars."""
        known = targets.values[training]
        sd = known.std() if known.size and np.ptp(known) > 0 else 1.0
        mean = known.mean() if known.size else 0.0
        return {"target_mean": np.float32(mean), "target_sd": np.float32(sd)}  # pyrefly: ignore[bad-assignment]

    def watched_unit(self, targets: Targets, training: np.ndarray, hparams: HParams) -> float | None:
        """Networks are trained in SDs of the training targets; other losses are no squared errors."""
        squared = str(hparams.get(LOSS.name, SQUARED)) == SQUARED
        return float(self.told(targets, training, hparams)["target_sd"]) ** 2 if squared else None

    def kept(self, hparams: HParams) -> tuple[str, ...]:  # noqa: ARG002
        """Mean and standard deviation: networks predict standardised targets."""
        return ("target_mean", "target_sd")

    def device(self, names: Sequence[str], hparams: HParams, setting: Setting = ALONE) -> NumberDevice:  # noqa: ARG002
        """See `nachos_jax.tasks.task.Task`."""
        kind, chosen = str(hparams.get(LOSS.name, SQUARED)), normalisations(setting, hparams)
        return NumberDevice(kind, shape=setting.shape, normalisations=chosen)

    def watched(self, metric: str, seen: np.ndarray, targets: Targets) -> tuple[float, float | None]:
        """Mean squared error, and the metric; from predictions [n, 1]."""
        predicted = self.predicted(seen)
        with np.errstate(invalid="ignore", over="ignore"):
            loss = float(np.mean((predicted[:, 0] - targets.values) ** 2))
        value = metrics.evaluate(metric, targets.values, predicted[:, 0], targets.names).value
        return loss if np.isfinite(loss) else float("nan"), metrics.METRICS[metric].turned(value)

    def undefined(self, metric: str, targets: Targets) -> str:
        """Tried on predictions that are right."""
        value = metrics.evaluate(metric, targets.values, targets.values, targets.names)
        return value.note if value.value is None else ""

    def tested(self, seen: np.ndarray, targets: Targets) -> Tested:
        """Targets and predictions [n], in the unit of the target."""
        return Tested({"targets": targets.values, "predictions": self.predicted(seen)[:, 0]})


TASK = Regression()


def quantile_groups(values: np.ndarray) -> Strata:
    """Strata of [N] numbers: five groups of about equal size by value; ties stay together."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, GROUPS + 1)[1:-1]))
    numbers = np.searchsorted(edges, values, side="right").astype(np.int32)
    _, numbers = np.unique(numbers, return_inverse=True)
    count = int(numbers.max()) + 1
    names = tuple(f"group {i + 1} of {count} by value" for i in range(count))
    return Strata(numbers.astype(np.int32), names, needed=False)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
