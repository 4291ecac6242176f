"""The contract of a task: what is to be predicted of a case, on the host and on the device.

A task called NAME is the file `nachos_jax/tasks/NAME.py` with one object `TASK` that keeps the Protocol
`Task`; nothing else changes (see `nachos_jax.tasks.registry`). `nachos_jax.tasks.dense` has what tasks share
whose inputs all have one shape. `tests/tasks/conformance.py` checks any task against this page.

Words: a network gives *outputs* [B, O]; what is kept of a held case is *seen*, [B, S] numbers whose count
does not depend on the size of the target: logits of a class problem, counts and losses of a mask. Lanes keep,
checkpoint and stream nothing else of what they predict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams, HParamValue
from nachos_jax.data.columns import Columns
from nachos_jax.data.sums import TrainingStatistics
from nachos_jax.data.targets import Targets
from nachos_jax.metrics.contract import Metric

if TYPE_CHECKING:
    import jax

Apply = Callable[[Any], "jax.Array"]
"""Inputs of a batch, prepared -> outputs [B, O]: the network in evaluation."""


@dataclass(frozen=True)
class Setting:
    """What a device side may depend on besides names and static hyperparameters.

    Attributes:
        shape: of what the network is given of one case, see `Task.network_shape`.
        tried: by name, the values that choices which are not static may take in this run: only what these
            need has to be compiled in.
    """

    shape: tuple[int, ...] = ()
    tried: Mapping[str, tuple[HParamValue, ...]] = field(default_factory=dict)


ALONE = Setting()
"""Where neither matters."""


class Cases(NamedTuple):
    """Cases on a device, row by row: all of them, or those of one window."""

    inputs: Any  # what the store gives (`Store.rows`): [rows, H, W, C] of images
    targets: Any  # [rows, ...]


class Told(NamedTuple):
    """What a task's device functions know of a fit."""

    mean: Any  # [C] float32, mean of the training inputs by channel
    sd: Any  # [C] float32, their standard deviation
    task: Mapping[str, Any]  # what `Task.told` said, float32 arrays by name
    traced: Mapping[str, Any]  # hyperparameters that keep shapes, float32 scalars; inactive ones are 0
    fill: Any = None  # [C] float32, what stands for a missing value; None where none may be missing


class DeviceTask(Protocol):
    """A task inside a compiled program: pure JAX functions of one fit, and three sizes."""

    @property
    def outputs(self) -> int:
        """O, the width of the network's head."""
        ...

    @property
    def seen(self) -> int:
        """S, the numbers kept of a held case."""
        ...

    @property
    def held_batch(self) -> int:
        """The most held cases that are observed together, a divisor of 256."""
        ...

    def batch(
        self, cases: Cases, rows: jax.Array, told: Told, key: jax.Array, augmentations: frozenset[str]
    ) -> tuple[Any, Any]:
        """Inputs and targets of the training cases in `rows` [B], cut, normalised and augmented together.

        A case may give several inputs.

        Args:
            cases: those on the device.
            rows: [B] int32.
            told: of the fit.
            key: names the random numbers of this batch; not to be used without augmentations, unless cases
                are cut at random.
            augmentations: names that are compiled in.
        """
        ...

    def loss(self, outputs: jax.Array, targets: Any, told: Told) -> jax.Array:
        """Training loss, float32 scalar, of outputs [B, O] and the targets of a batch."""
        ...

    def observe(self, apply: Apply, cases: Cases, rows: jax.Array, told: Told) -> jax.Array:
        """What is kept of the held cases in `rows` [B]: [B, S] float32."""
        ...

    def predict(self, apply: Apply, inputs: Any, told: Told) -> jax.Array:
        """What is kept of new inputs [B, ...] in stored range, whose targets nobody knows: [B, S] float32."""
        ...


class ConvexTask(DeviceTask, Protocol):
    """One whose loss is smooth and convex in the outputs, and whose device says `convex = True`.

    Networks that are solved, see `nachos_jax.engine.solving`, take no other.
    """

    def total(self, outputs: jax.Array, targets: Any, chosen: jax.Array, told: Told) -> tuple[Any, Any]:
        """Sum of weighted losses, and sum of weights, over the cases chosen: float32 scalars.

        Their ratio is the loss of all those cases as one batch.

        Args:
            outputs: [N, O] float32.
            targets: of all N cases; zeros where a case is not chosen.
            chosen: [N] bool.
            told: of the fit.
        """
        ...

    def bound(self, targets: Any, chosen: jax.Array, told: Told) -> jax.Array:
        """[N] float32: no second derivative of a case's part of that sum, in any direction, is larger.

        Arguments as of `total`; 0 where a case is not chosen.
        """
        ...

    def curved(self, outputs: jax.Array, targets: Any, chosen: jax.Array, told: Told) -> jax.Array:
        """[N] float32: the second derivative of a case's part of that sum, on the mean over its outputs.

        Arguments as of `total`; 0 where a case is not chosen.
        """
        ...


@dataclass(frozen=True)
class Tested:
    """What the one test of an outer fold records of its n cases."""

    arrays: Mapping[str, np.ndarray]  # [n, ...] by name, one row a case, NaN where nothing is known
    values: Mapping[str, float | None] = field(default_factory=dict)  # metrics that no section computes


class Task(Protocol):
    """What a problem is, on the host, in NumPy."""

    @property
    def name(self) -> str:
        """Name of its file, and of `config.task.name`."""
        ...

    @property
    def hyperparameters(self) -> tuple[Hyperparameter, ...]:
        """Rows that only this kind of task has; called "NAME.x" unless tasks share them."""
        ...

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Metrics by name, for selection and report."""
        ...

    @property
    def headline(self) -> str:
        """The metric that trials are selected by unless the config names another one."""
        ...

    @property
    def kind(self) -> str:
        """What `seen` is called where it is stored: "logits", "predictions"."""
        ...

    def kept(self, hparams: HParams) -> tuple[str, ...]:
        """Names of `told` that prediction by such a fit needs too; they are stored with its weights."""
        ...

    @property
    def outcome(self) -> str:
        """What an estimator of scikit-learn is to predict: "classes", "labels" or "number"; "" for none."""
        ...

    @property
    def masks(self) -> bool:
        """True when a target is a mask: sources give one, and networks a number for every pixel and class."""
        ...

    def targets(self, columns: Columns, names: Sequence[str]) -> Targets:
        """The targets of all cases, checked.

        Args:
            columns: of the source.
            names: config.data.classes, () for those found.

        Raises:
            UsageError: a cell that is no target, with its row and the cure.
        """
        ...

    def part(self, targets: Targets, rows: np.ndarray) -> Targets:
        """The targets of some cases alone ([n] row numbers), as if no others had been read.

        Raises:
            UsageError: these cases alone could not be learned from: a class is gone, nothing varies.
        """
        ...

    def told(
        self,
        targets: Targets,
        training: np.ndarray,
        hparams: HParams,
        inputs: TrainingStatistics | None = None,
    ) -> dict[str, np.ndarray]:
        """What a fit is told, float32 arrays of fixed shapes, from its training cases ([N] bool) alone.

        `inputs` are what the store tells of them, where there is a store.
        """
        ...

    def case_weights(self, targets: Targets, training: np.ndarray, hparams: HParams) -> np.ndarray | None:
        """Weights of the n training cases ([N] bool), [n] or [n, labels] float32; None if all are alike."""
        ...

    def network_shape(self, shape: tuple[int, ...], hparams: HParams) -> tuple[int, ...]:
        """Shape of what a network is given of one case of a store's shape: that itself, or that of a patch.

        Of hparams only static ones may matter.
        """
        ...

    def device(self, names: Sequence[str], hparams: HParams, setting: Setting = ALONE) -> DeviceTask:
        """The device side for these names of what is predicted; of hparams only static ones may matter."""
        ...

    def watched(self, metric: str, seen: np.ndarray, targets: Targets) -> tuple[float, float | None]:
        """Loss (NaN where any number is) and metric of a watched fold from seen [n, S]; None if undefined.

        The metric is turned so that higher is better (`Metric.turned`).
        """
        ...

    def watched_unit(self, targets: Targets, training: np.ndarray, hparams: HParams) -> float | None:
        """What a network's training loss is multiplied by to be in the unit of its watched loss.

        None where no number does that. From the training cases ([N] bool).
        """
        ...

    def redrawn(self, metric: str, seen: np.ndarray, targets: Targets, counts: np.ndarray) -> np.ndarray:
        """[R] float64: the metric of `watched` of each draw of the cases, NaN where undefined.

        Args:
            metric: its name.
            seen: [n, S].
            targets: of the n cases.
            counts: [R, n] int64, how often each case occurs in each draw.
        """
        ...

    def undefined(self, metric: str, targets: Targets) -> str:
        """Why a metric cannot be computed of these cases, however well they are predicted; "" if it can."""
        ...

    def tested(self, seen: np.ndarray, targets: Targets) -> Tested:
        """What is recorded of an outer fold; rows of NaN where the refit predicted nothing."""
        ...

    def predicted(self, seen: np.ndarray) -> np.ndarray:
        """Predictions [n, P] for people from seen [n, S]; those of several networks are averaged."""
        ...

    def table(self, predicted: np.ndarray, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
        """Header and one row a case of the CSV of predictions [n, P], without the names of the cases."""
        ...
