"""Classification: one class a case; ordered classes may be told apart by a cumulative link instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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
from nachos_jax.metrics import classification as metrics
from nachos_jax.metrics.calibration import with_temperature
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

_BETWEEN = re.compile(r"[|;,+&/]")
CROSS_ENTROPY, CUMULATIVE_LINK = "cross_entropy", "cumulative_link"
LOSS = Hyperparameter(
    "classification.loss",
    "choice",
    choices=(CROSS_ENTROPY, CUMULATIVE_LINK),
    static=True,
    default=CROSS_ENTROPY,
    absent=CROSS_ENTROPY,
    tasks=("classification",),
    meaning="cumulative_link for classes in a meaningful order, as grades are",
)


def class_weights(counts: np.ndarray, exponent: float) -> np.ndarray:
    """Weights [C] float32 that make up for imbalance, (N / (C n_c))^exponent, from training counts [C].

    Exponent 0 gives ones, 1 scikit-learn's "balanced"; a class without training cases gets 1 (it is never
    drawn).
    """
    seen = counts > 0
    balanced = counts.sum() / (max(int(seen.sum()), 1) * np.where(seen, counts, 1))
    return np.where(seen, balanced**exponent, 1.0).astype(np.float32)


def cumulative_log_probabilities(outputs: jax.Array) -> jax.Array:
    """Log-probabilities of C ordered classes from C - 1 outputs, by a cumulative logit link.

    P(class > k) = sigmoid(c_k) with c_0 the first output and c_k = c_(k-1) - softplus(output k): the
    thresholds keep their order by construction, however far apart the network puts them (McCullagh 1980,
    "Regression models for ordinal data", section 1; with distances that may depend on the case).

    Args:
        outputs: [B, C - 1] float32.

    Returns:
        [B, C] float32, whose softmax is the probabilities themselves.
    """
    steps = jax.nn.softplus(outputs[:, 1:])
    links = outputs[:, :1] - jnp.pad(jnp.cumsum(steps, axis=1), ((0, 0), (1, 0)))
    above, below = jax.nn.log_sigmoid(links), jax.nn.log_sigmoid(-links)
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no difference of numbers near 1.
    between = above[:, :-1] + below[:, 1:] + jnp.log(-jnp.expm1(-steps))
    return jnp.concatenate([below[:, :1], between, above[:, -1:]], axis=1)


@dataclass(frozen=True)
class ClassDevice(DenseDevice):
    """The device side."""

    classes: int  # C
    ordered: bool = False  # whether the outputs are those of a cumulative link
    shape: tuple[int, ...] = ()
    normalisations: tuple[str, ...] = (TRAINING,)

    @property
    def outputs(self) -> int:
        """One an output, or a class less where classes have an order."""
        return self.classes - self.ordered

    @property
    def seen(self) -> int:
        """A logit a class."""
        return self.classes

    @property
    def convex(self) -> bool:
        """Of a cumulative link it is not."""
        return not self.ordered

    def loss(self, outputs: jax.Array, targets: jax.Array, told: Told) -> jax.Array:
        """Weighted cross-entropy with label smoothing, mean over the batch.

        Args:
            outputs: [B, O] float32.
            targets: [B] int32, class numbers.
            told: "class_weights" [C] float32, and how much mass moves from the label to the uniform
                distribution (Szegedy et al. 2016, eq. 7).

        Returns:
            Scalar: sum of weighted losses over sum of weights, as PyTorch's cross-entropy takes its mean.
        """
        each, weights = self._each(outputs, targets, told)
        return jnp.sum(weights * each) / jnp.sum(weights)

    def draws(self, targets: jax.Array, chosen: jax.Array, told: Told) -> jax.Array:
        """How often a training case is drawn beside others, n_c^-b with the n_c cases of its class: [n].

        Args:
            targets: [n] int32.
            chosen: [n] bool, those that are training cases; 0 elsewhere.
            told: "balanced_sampling" is b, from 0 (alike) to 1 (each class alike).
        """
        members = jax.nn.one_hot(targets, self.classes, dtype=jnp.float32)
        counts = jnp.where(chosen, 1.0, 0.0) @ members
        each = jnp.maximum(counts, 1.0) ** -told.traced["balanced_sampling"]
        return jnp.where(chosen, each[targets], 0.0)

    def total(
        self, outputs: jax.Array, targets: jax.Array, chosen: jax.Array, told: Told
    ) -> tuple[jax.Array, jax.Array]:
        """See `nachos_jax.tasks.task.ConvexTask`.

        As a function of how far other classes are above the label: where that is certain its gradient is a
        small number, and not the difference of a probability from 1, which loses it in rounding.
        """
        logits = self.readout(outputs, told)
        smoothing, weights = told.traced["label_smoothing"], told.task["class_weights"][targets]
        weights = jnp.where(chosen, weights, 0.0)
        # The gradient of an index is a loop over the cases on a processor, that of a mask is not.
        label = targets[:, None] == jnp.arange(self.classes)[None]
        above = logits - jnp.sum(jnp.where(label, logits, 0.0), axis=1, keepdims=True)
        most = jax.lax.stop_gradient(jnp.max(above, axis=1))  # not negative
        others = jnp.sum(jnp.where(label, 0.0, jnp.exp(above - most[:, None])), axis=1)
        each = most + jnp.log1p(jnp.expm1(-most) + others) - smoothing * jnp.mean(above, axis=1)
        return jnp.sum(weights * each), jnp.sum(weights)

    def bound(self, targets: jax.Array, chosen: jax.Array, told: Told) -> jax.Array:
        """See `nachos_jax.tasks.task.ConvexTask`; a choice varies by 1/2 at most (Boehning 1992)."""
        return jnp.where(chosen, 0.5 * told.task["class_weights"][targets], 0.0)

    def curved(self, outputs: jax.Array, targets: jax.Array, chosen: jax.Array, told: Told) -> jax.Array:
        """See `nachos_jax.tasks.task.ConvexTask`."""
        p = jax.nn.softmax(self.readout(outputs, told))
        weights = jnp.where(chosen, told.task["class_weights"][targets], 0.0)
        return weights * jnp.mean(p * (1.0 - p), axis=1)

    def _each(self, outputs: jax.Array, targets: jax.Array, told: Told) -> tuple[jax.Array, jax.Array]:
        """Loss and weight [B] of each case."""
        log_p = jax.nn.log_softmax(self.readout(outputs, told))
        smoothing = told.traced["label_smoothing"]
        picked = jnp.take_along_axis(log_p, targets[:, None], axis=1)[:, 0]
        each = -(1.0 - smoothing) * picked - smoothing * jnp.mean(log_p, axis=1)
        return each, told.task["class_weights"][targets]

    def readout(self, outputs: jax.Array, told: Told) -> jax.Array:  # noqa: ARG002
        """Logits [B, C]; log-probabilities of ordered classes, which are logits too."""
        return cumulative_log_probabilities(outputs) if self.ordered else outputs


class Classification(DenseTask):
    """One class a case."""

    name = "classification"
    hyperparameters = (LABEL_SMOOTHING, CLASS_WEIGHT_EXPONENT, LOSS, FLIP_DEPTH, NORMALISATION)
    headline = metrics.HEADLINE
    metrics = metrics.METRICS
    kind = "logits"
    outcome = "classes"

    def targets(self, columns: Columns, names: Sequence[str]) -> Targets:
        """Class numbers [N] int32.

        Raises:
            UsageError: several labels a case, an empty one, one outside the classes, a class without cases,
                one class only.
        """
        labels = _labels(columns)
        named = {name for name in columns.order if name.lower() not in _ENCODED}
        checks.no_empty(labels, "label", columns.where, {*names, *named, *columns.certain})
        labels = columns.settled(labels, "label", names or columns.order)
        _refuse_several(labels, columns)
        classes = checks.class_order(
            labels, columns.order, names, columns.where, columns.source, columns.partial
        )
        numbers = {name: number for number, name in enumerate(classes)}
        values = np.asarray([numbers[label] for label in labels], np.int32)
        return self._known(classes, values, bool(names or columns.order) or all(map(checks.whole, classes)))

    def part(self, targets: Targets, rows: np.ndarray) -> Targets:
        """Class numbers [n] of some cases alone; refused where a class is gone."""
        counts = targets.has[rows].sum(axis=0).tolist()
        gone = [name for name, count in zip(targets.names, counts, strict=True) if not count]
        if gone:
            raise UsageError(f"no case of class {checks.listed(gone)} is left.")
        return self._known(targets.names, targets.values[rows], targets.ordered)

    def _known(self, classes: tuple[str, ...], values: np.ndarray, ordered: bool) -> Targets:
        return Targets(
            task=self.name,
            names=classes,
            values=values,
            strata=Strata(values, classes, needed=True),
            has=np.eye(len(classes), dtype=bool)[values],
            facts={"labels": values.tolist(), "classes": list(classes)},
            ordered=ordered,
        )

    def told(
        self,
        targets: Targets,
        training: np.ndarray,
        hparams: HParams,
        inputs: TrainingStatistics | None = None,  # noqa: ARG002
    ) -> dict[str, np.ndarray]:
        """Class weights [C] of the training cases."""
        counts = np.bincount(targets.values[training], minlength=len(targets.names))
        return {"class_weights": class_weights(counts, float(hparams.get("class_weight_exponent", 0.0)))}

    def case_weights(self, targets: Targets, training: np.ndarray, hparams: HParams) -> np.ndarray:
        """The weight [n] of each training case's class."""
        return self.told(targets, training, hparams)["class_weights"][targets.values[training]]

    def device(self, names: Sequence[str], hparams: HParams, setting: Setting = ALONE) -> ClassDevice:
        """See `nachos_jax.tasks.task.Task`."""
        ordered = hparams.get(LOSS.name, LOSS.absent) == CUMULATIVE_LINK
        return ClassDevice(len(names), ordered, setting.shape, normalisations(setting, hparams))

    def watched(self, metric: str, seen: np.ndarray, targets: Targets) -> tuple[float, float | None]:
        """Mean cross-entropy, unweighted and unsmoothed, and the metric; from logits [n, C] float32."""
        loss = metrics.cross_entropy_from_logits(targets.values, seen).value
        score = metrics.evaluate(metric, targets.values, self.predicted(seen), targets.names).value
        return float("nan") if loss is None else loss, metrics.METRICS[metric].turned(score)

    def redrawn(self, metric: str, seen: np.ndarray, targets: Targets, counts: np.ndarray) -> np.ndarray:
        """Where the metric is one of counts, from the counts of each draw, which need no softmax anew."""
        if metric not in metrics.COUNTS or not np.isfinite(seen).all():
            return super().redrawn(metric, seen, targets, counts)
        return metrics.redrawn(metric, targets.values, self.predicted(seen), counts, targets.names)

    def undefined(self, metric: str, targets: Targets) -> str:
        """Tried on predictions that are certain and right."""
        certain = np.eye(len(targets.names))[targets.values]
        value = metrics.evaluate(metric, targets.values, certain, targets.names)
        return value.note if value.value is None else ""

    def tested(self, seen: np.ndarray, targets: Targets) -> Tested:
        """Labels, and probabilities as they are: rounded, confident cases would tie."""
        return Tested({"labels": targets.values, "probabilities": self.predicted(seen)})

    def predicted(self, seen: np.ndarray) -> np.ndarray:
        """Probabilities [n, C] float64: softmax of logits [n, C]; rows with NaN stay NaN."""
        with np.errstate(invalid="ignore"):  # inf - inf is NaN, and says what it should
            return with_temperature(seen, 1.0)

    def table(self, predicted: np.ndarray, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
        """The likeliest class, and a probability a class."""
        rows = [[names[int(np.argmax(row))], *(f"{value:.6g}" for value in row)] for row in predicted]
        return ["predicted", *(f"probability_{name}" for name in names)], rows


TASK = Classification()


_ENCODED = frozenset(("nan", "<na>", "nat"))
"""What encoders of labels make of missing values, and list with the names of classes."""


def _refuse_several(labels: Sequence[str], columns: Columns) -> None:
    """Refuses labels that name several classes at once, as "edema|effusion" beside both alone."""
    known = set(labels)
    several = {
        label: parts
        for label in known
        if len(parts := [part.strip() for part in _BETWEEN.split(label)]) > 1 and known.issuperset(parts)
    }
    faults = [
        (row, f"label {label!r} names several classes")
        for row, label in enumerate(labels)
        if label in several
    ]
    cure = (
        "make each class a column of 1 and 0, name them in config.data.target_keys, and set config.task.name "
        "= 'multilabel'; or give each case one label"
    )
    checks.refuse(faults, columns.where, cure)


def _labels(columns: Columns) -> list[str]:
    """N class names; numbers of an array that brings names of its own are read as places in them."""
    if len(columns.targets) > 1:
        raise UsageError(
            f"{columns.source} holds {len(columns.targets)} labels a case "
            f"({checks.listed(columns.targets)}), and a classification predicts one: set config.task.name = "
            "'multilabel', or store one label a case, shape (N,) or (N, 1); of one-hot rows store the argmax."
        )
    labels = list(next(iter(columns.targets.values())))
    if not columns.numeric:
        return labels
    whole = [text.removeprefix("-").isdecimal() for text in labels]
    checks.refuse(
        [
            (row, f"label {labels[row]} is neither text nor a whole number")
            for row in np.flatnonzero(~np.asarray(whole)).tolist()
        ],
        columns.where,
        "give every case its label, or set config.task.name = 'regression' to predict a number",
    )
    if not columns.order:
        return labels
    checks.refuse(
        [
            (row, f"label {text} has no name")
            for row, text in enumerate(labels)
            if not 0 <= int(text) < len(columns.order)
        ],
        columns.where,
        f"mend the label or add its name: the label names are {checks.listed(columns.order)}, numbered 0 to "
        f"{len(columns.order) - 1}",
    )
    return [columns.order[int(text)] for text in labels]
