"""What tasks share whose inputs all have one shape: gather, normalisation, augmentation, an output a case."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams
from nachos_jax.data.augment import augment
from nachos_jax.data.foreground import UNLIMITED
from nachos_jax.data.joined import Inputs
from nachos_jax.data.sums import TrainingStatistics
from nachos_jax.data.targets import Targets
from nachos_jax.data.views import Views, plain_of
from nachos_jax.tasks.normalisation import CHOICES, TRAINING, WITHOUT_MASKS, by_case, normalised
from nachos_jax.tasks.task import Apply, Cases, Setting, Tested, Told

if TYPE_CHECKING:
    from nachos_jax.tasks.task import Task

_of_classes = functools.partial(
    Hyperparameter, kind="float", low=0.0, default=0.0, tasks=("classification", "multilabel")
)
LABEL_SMOOTHING = _of_classes("label_smoothing", high=0.5, meaning="mass moved to the uniform distribution")
CLASS_WEIGHT_EXPONENT = _of_classes(
    "class_weight_exponent", high=4.0, meaning="class weights: 0 = none, 1 = balanced, between = softened"
)

NORMALISATION = Hyperparameter(
    "normalisation",
    "choice",
    choices=WITHOUT_MASKS,
    default=TRAINING,
    absent=TRAINING,
    tasks=("classification", "multilabel", "regression"),
    section="data",
    meaning="of pixels: by the training cases of each fit, by the case itself, or none",
)


def normalisations(setting: Setting, hparams: HParams) -> tuple[str, ...]:
    """Those that fits under a setting may choose; that of the hyperparameters where it says none."""
    own = (hparams.get(NORMALISATION.name, TRAINING),)
    return tuple(map(str, dict.fromkeys(setting.tried.get(NORMALISATION.name, own))))


def standardised(inputs: Any, told: Told) -> Any:
    """[B, ..., C] float32: inputs of any stored dtype with training mean 0 and SD 1 in every channel.

    Images with vectors beside them (`nachos_jax.data.joined.Inputs`) are told of channels, then of columns.
    """
    if not isinstance(inputs, Inputs):
        return _standardised(inputs, told.mean, told.sd, told.fill)
    of = (told.mean, told.sd, told.fill)
    channels = inputs.images.shape[-1]
    first, rest = (jax.tree.map(lambda x, s=s: x[s], of) for s in (slice(channels), slice(channels, None)))
    mean, sd, _ = first
    return Inputs(_standardised(inputs.images, mean, sd, None), _standardised(inputs.vectors, *rest))


def _standardised(inputs: jax.Array, mean: Any, sd: Any, fill: Any) -> jax.Array:
    axes = tuple(range(inputs.ndim - 1))
    mean, sd = jnp.expand_dims(mean, axes), jnp.expand_dims(sd, axes)
    values = inputs.astype(jnp.float32)
    if fill is not None:
        values = jnp.where(jnp.isnan(values), jnp.expand_dims(fill, axes), values)
    return (values - mean) / sd


class DenseDevice:
    """The device side of such tasks; a task gives `outputs`, `seen`, `loss` and, if need be, `readout`."""

    # Frozen devices give these as fields or properties that cannot be set; real properties here would be the
    # defaults of such fields.
    if TYPE_CHECKING:

        @property
        def outputs(self) -> int:
            """See `nachos_jax.tasks.task.DeviceTask`."""
            ...

        @property
        def seen(self) -> int:
            """See `nachos_jax.tasks.task.DeviceTask`."""
            ...

        @property
        def convex(self) -> bool:
            """Whether the loss is smooth and convex in the outputs."""
            ...

        @property
        def shape(self) -> tuple[int, ...]:
            """Of what the network is given of one case, where it matters."""
            ...

        @property
        def normalisations(self) -> tuple[str, ...]:
            """Those that fits may choose."""
            ...

    else:
        convex = True
        shape = ()
        normalisations = (TRAINING,)

    @property
    def held_batch(self) -> int:
        """Fewer volumes than images, of which so many would take gigabytes in the first layer."""
        return 16 if len(self.shape) == 4 else 256

    def batch(
        self, cases: Cases, rows: jax.Array, told: Told, key: jax.Array, augmentations: frozenset[str]
    ) -> tuple[Any, jax.Array]:
        """See `nachos_jax.tasks.task.DeviceTask`; targets are not changed by the augmentation."""
        if isinstance(cases.inputs, Views):  # nothing else of the batch is random
            drawn = jax.random.randint(key, rows.shape, 0, cases.inputs.values.shape[1])
            return standardised(cases.inputs.values[rows, drawn], told), cases.targets[rows]
        inputs, targets = self.normalised(_of(cases, rows), told), cases.targets[rows]
        if augmentations and isinstance(inputs, Inputs):
            inputs = Inputs(augment(inputs.images, told.traced, key, augmentations), inputs.vectors)
        elif augmentations:
            inputs = augment(inputs, told.traced, key, augmentations)
        return inputs, targets

    def observe(self, apply: Apply, cases: Cases, rows: jax.Array, told: Told) -> jax.Array:
        """See `nachos_jax.tasks.task.DeviceTask`."""
        return self.predict(apply, _of(cases, rows), told)

    def predict(self, apply: Apply, inputs: Any, told: Told) -> jax.Array:
        """See `nachos_jax.tasks.task.DeviceTask`."""
        return self.readout(apply(self.normalised(plain_of(inputs), told)), told)

    def normalised(self, inputs: Any, told: Told) -> jax.Array:
        """[B, ..., C] float32: inputs as the fit wants them.

        Args:
            inputs: [B, ..., C] of any stored dtype; `nachos_jax.data.measured.Measured` ones where a
                normalisation looks at the case.
            told: of the fit.
        """
        if not by_case(self.normalisations):
            return standardised(inputs, told)
        several = len(self.normalisations) > 1
        choice = told.traced[NORMALISATION.name] if several else CHOICES.index(self.normalisations[0])
        foreground = jnp.asarray([UNLIMITED], jnp.float32)  # which no choice here looks at

        def one(image: jax.Array, stats: jax.Array) -> jax.Array:
            return normalised(image, stats, told.mean, told.sd, foreground, choice)

        return jax.vmap(one)(inputs.values.astype(jnp.float32), inputs.stats)

    def readout(self, outputs: jax.Array, told: Told) -> jax.Array:  # noqa: ARG002
        """[B, S] from outputs [B, O]: the outputs themselves."""
        return outputs


def _of(cases: Cases, rows: jax.Array) -> Any:
    """The inputs of some cases, [B] int32."""
    return jax.tree.map(lambda leaf: leaf[rows], cases.inputs)


class DenseTask:
    """Defaults of the host side; a task gives the rest of `nachos_jax.tasks.task.Task`."""

    hyperparameters: tuple[Hyperparameter, ...] = ()
    kind = "predictions"
    masks = False
    outcome = ""

    def network_shape(self, shape: tuple[int, ...], hparams: HParams) -> tuple[int, ...]:  # noqa: ARG002
        """Whole cases."""
        return shape

    def part(self, targets: Targets, rows: np.ndarray) -> Targets:  # noqa: ARG002
        """Refused, unless the task says how."""
        raise UsageError(f"the task {targets.task!r} does not say what is left when cases are left out.")

    def told(
        self,
        targets: Targets,  # noqa: ARG002
        training: np.ndarray,  # noqa: ARG002
        hparams: HParams,  # noqa: ARG002
        inputs: TrainingStatistics | None = None,  # noqa: ARG002
    ) -> dict[str, np.ndarray]:
        """Nothing beside the normalisation of the inputs."""
        return {}

    def case_weights(self, targets: Targets, training: np.ndarray, hparams: HParams) -> np.ndarray | None:  # noqa: ARG002
        """All cases are alike."""
        return None

    def watched_unit(self, targets: Targets, training: np.ndarray, hparams: HParams) -> float | None:  # noqa: ARG002
        """Both losses are in one unit."""
        return 1.0

    def kept(self, hparams: HParams) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing."""
        return ()

    def redrawn(
        self: Task, metric: str, seen: np.ndarray, targets: Targets, counts: np.ndarray
    ) -> np.ndarray:
        """What is watched of cases that stand there as often as they were drawn."""
        rows = [np.repeat(np.arange(len(seen)), row) for row in counts]
        values = [self.watched(metric, seen[row], targets.of(row))[1] for row in rows]
        return np.asarray([np.nan if value is None else value for value in values], np.float64)

    def undefined(self, metric: str, targets: Targets) -> str:  # noqa: ARG002
        """Every metric is defined."""
        return ""

    def tested(self, seen: np.ndarray, targets: Targets) -> Tested:
        """Targets and predictions as they are."""
        return Tested({"targets": targets.values, "predictions": self.predicted(seen)})

    def predicted(self, seen: np.ndarray) -> np.ndarray:
        """[n, S] float64: what was seen."""
        return np.asarray(seen, np.float64)

    def table(self, predicted: np.ndarray, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
        """One column a prediction."""
        header = [f"predicted_{name}" for name in names] if len(names) > 1 else ["predicted"]
        return header, [[f"{value:.6g}" for value in row] for row in predicted]
