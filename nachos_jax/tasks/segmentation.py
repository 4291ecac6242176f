"""Segmentation: a mask a case, in 2-D or 3-D; networks learn from patches and are judged by whole cases."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import HParams
from nachos_jax.data import checks, mask_names
from nachos_jax.data.augment import augment
from nachos_jax.data.columns import Columns
from nachos_jax.data.foreground import UNLIMITED, VolumeSums
from nachos_jax.data.ragged import Volumes
from nachos_jax.data.sums import TrainingStatistics
from nachos_jax.data.targets import Targets
from nachos_jax.metrics import overlap as metrics
from nachos_jax.splits.strata import Strata
from nachos_jax.tasks.dense import DenseTask
from nachos_jax.tasks.normalisation import normalised
from nachos_jax.tasks.regression import quantile_groups
from nachos_jax.tasks.segmenting import losses, patches, sliding
from nachos_jax.tasks.segmenting.patches import Motion
from nachos_jax.tasks.segmenting.plan import SIDES, planned
from nachos_jax.tasks.segmenting.rows import HYPERPARAMETERS, LOSS, NORMALISATION
from nachos_jax.tasks.segmenting.supervision import supervised
from nachos_jax.tasks.task import ALONE, Apply, Cases, Setting, Tested, Told

FOREGROUND = "foreground"
"""Name of what a fit is told of the foreground of its training cases."""
OVERLAP = 0.5
"""Step of the windows of a mask that is kept, in sides of the patch; others do not overlap."""
VOXELS = 64**3
"""Voxels of the windows that are segmented in one call: one window, where it has as many."""
_INTENSITIES = ("brightness", "contrast", "gamma", "noise")
_INTERPOLATED = ("rotation", "scale", "shift")
_OF_START, _OF_MOTION = 6, 10
"""Uniform numbers that a patch draws for its place and for its motion, whatever is enabled."""


@dataclass(frozen=True)
class MaskDevice:
    """The device side.

    Attributes:
        classes: K, without the background.
        patch: sides of what the network is given, (D, H, W).
        patches: of each case of a batch.
        terms: of the loss that are compiled in.
    """

    classes: int
    patch: tuple[int, ...] = ()
    patches: int = 1
    terms: frozenset[str] = frozenset()
    held_batch = 1

    @property
    def outputs(self) -> int:
        """A logit a class, and one of the background."""
        return self.classes + 1

    @property
    def seen(self) -> int:
        """Volumes of true positives, false positives and false negatives a class, and the loss."""
        return 3 * self.classes + 1

    def batch(
        self, cases: Cases, rows: jax.Array, told: Told, key: jax.Array, augmentations: frozenset[str]
    ) -> tuple[jax.Array, jax.Array]:
        """[B * patches, *P, C] float32 and [B * patches, *P] int32: patches of the cases in `rows` [B]."""
        many = jnp.repeat(rows, self.patches)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(many)))
        one = functools.partial(self._patch, cases.inputs, told, augmentations)
        images, labels = jax.vmap(one)(many, keys)
        enabled = augmentations.intersection(_INTENSITIES)
        if enabled:
            images = augment(images, told.traced, jax.random.fold_in(key, len(many)), enabled)
        return images, labels

    def loss(self, outputs: jax.Array | tuple[jax.Array, ...], targets: jax.Array, told: Told) -> jax.Array:
        """The mixture that the fit has chosen, of logits [B, *P, K + 1] and labels [B, *P].

        Of a tuple of logits, at the patch's own resolution and at coarser ones, it is that of all of them,
        see `nachos_jax.tasks.segmenting.supervision`.
        """
        weights = losses.weights_of(told.traced[LOSS.name])
        own = functools.partial(losses.mixture, weights=weights, terms=self.terms)
        return supervised(own, outputs, targets) if isinstance(outputs, tuple) else own(outputs, targets)

    def observe(self, apply: Apply, cases: Cases, rows: jax.Array, told: Told) -> jax.Array:
        """[B, 3 K + 1] float32: of each class the volume, in mm³ or voxels, of what is rightly found, wrongly
        found and missed in the whole case, seen in tiles without overlap; and 1 - soft Dice, the background
        left out, plus the mean cross-entropy. NaN where the network gives NaN.

        Volumes are those of the mask that the case came with, the loss is on the grid that the network sees.
        """
        return lax.map(functools.partial(self._observed, apply, cases.inputs, told), rows)

    def predict(self, apply: Apply, inputs: Any, told: Told) -> jax.Array:
        """`observe` of cases whose masks are known."""
        return self.observe(apply, Cases(inputs, None), jnp.arange(len(inputs.offset), dtype=jnp.int32), told)

    def _patch(
        self, volumes: Volumes, told: Told, augmentations: frozenset[str], row: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """One patch of a case, at random."""
        draws = jax.random.uniform(key, (_OF_START + _OF_MOTION,))
        foreground = told.traced["segmentation.foreground"]
        first = patches.start(volumes, row, self.patch, draws[:_OF_START], foreground)
        motion = self._motion(told, augmentations, draws[_OF_START:])
        if augmentations.intersection(_INTERPOLATED):
            where = patches.frame(first, self.patch, motion, volumes.spacing[row])
            image, labels, inside = patches.moved(volumes, row, where, self.patch)
        else:
            image, labels, inside = patches.cut(volumes, row, first, self.patch, motion.flips)
        return self._prepared(volumes, row, image, inside, told), labels

    def _motion(self, told: Told, augmentations: frozenset[str], draws: jax.Array) -> Motion:
        """What the strengths of the fit make of [10] uniform numbers."""
        nothing = jnp.float32(0.0)
        names = ("rotation", "scale", "shift", "flip_vertical", "flip_horizontal")
        turn, size, way, down, across = (
            told.traced[name] if name in augmentations else nothing for name in names
        )
        chances = jnp.stack([told.traced["segmentation.flip_depth"], down, across])
        both_ways = 2 * draws - 1
        shift = way * both_ways[6:9]
        if self.patch[0] == 1:
            shift = shift * jnp.asarray([0.0, 1.0, 1.0], jnp.float32)
        return Motion(
            flips=(draws[:3] < chances).astype(jnp.float32),
            angles=jnp.deg2rad(turn) * both_ways[3:6],
            scale=1 + size * both_ways[9],
            shift=shift,
        )

    def _prepared(
        self, volumes: Volumes, row: jax.Array, image: jax.Array, inside: jax.Array, told: Told
    ) -> jax.Array:
        """The patch normalised, 0 beyond its case."""
        choice = told.traced[NORMALISATION.name]
        # Only fits that are normalised by it bring it along to predict.
        foreground = told.task.get(FOREGROUND, jnp.asarray([UNLIMITED], jnp.float32))
        whole = normalised(image, volumes.stats[row], told.mean, told.sd, foreground, choice)
        return jnp.where(inside[..., None], whole, 0.0)

    def probabilities(
        self,
        apply: Apply,
        volumes: Volumes,
        told: Told,
        canvas: tuple[int, ...],
        axes: tuple[int, ...],
    ) -> jax.Array:
        """[*canvas, K + 1] float32: of each class in the voxels of the first case, the background first.

        They mean nothing beyond the case, which the canvas (D, H, W) holds, as it does a patch. Windows
        overlap by half a side, weighted by a Gaussian, and each is the mean over its mirrorings along some
        axes; what is averaged are logits (nnU-Net, Isensee et al. 2021).
        """
        row = jnp.int32(0)
        read = functools.partial(self._window, volumes, told, row)
        seen, where = sliding.mirrored(apply, axes), sliding.grid(self.patch, OVERLAP)
        together = where.together(canvas, VOXELS)
        logits = sliding.averaged(seen, read, volumes.shape[row], where, canvas, together)
        return jax.nn.softmax(logits, axis=-1)

    def _window(self, volumes: Volumes, told: Told, row: jax.Array, first: jax.Array) -> jax.Array:
        """[*P, C]: the part of a case that begins at a voxel, as the network wants it."""
        image, _, inside = patches.cut(volumes, row, first, self.patch)
        return self._prepared(volumes, row, image, inside, told)

    def _observed(self, apply: Apply, volumes: Volumes, told: Told, row: jax.Array) -> jax.Array:
        read = functools.partial(self._window, volumes, told, row)

        def measure(logits: jax.Array, first: jax.Array, own: jax.Array) -> Any:
            _, labels, _ = patches.cut(volumes, row, first, self.patch)
            regions = losses.regions(logits[None], labels[None], own[None])
            entropy = jnp.sum(jnp.where(own, losses.cross_entropies(logits, labels), 0.0))
            if volumes.votes is None:
                return sliding.counts(logits, labels, own), regions, entropy
            votes = patches.votes(volumes, row, first, self.patch)
            return sliding.counts_of_votes(logits, votes, own), regions, entropy

        tiles = sliding.grid(self.patch, 1.0)
        counts, regions, entropy = sliding.over_tiles(apply, read, volumes.shape[row], tiles, measure)
        voxels = jnp.prod(volumes.shape[row]).astype(jnp.float32)
        loss = losses.dice(regions, background=0.0)[0] + entropy / voxels
        size = jnp.prod(volumes.spacing[row]) if volumes.size is None else volumes.size[row]
        found = counts.astype(jnp.float32).reshape(-1) * size
        return jnp.append(jnp.where(jnp.isfinite(loss), found, jnp.nan), loss)


class Segmentation(DenseTask):
    """A mask a case."""

    name = "segmentation"
    hyperparameters = HYPERPARAMETERS
    headline = metrics.HEADLINE
    metrics = metrics.METRICS
    kind = "volumes"
    masks = True

    def targets(self, columns: Columns, names: Sequence[str]) -> Targets:
        """Volumes [N, K] float64 of the classes, in mm³ (mm² of images), or voxels without known spacing.

        Raises:
            UsageError: no masks, a label without name, a class without voxels, or masks that are all empty.
        """
        if columns.masks is None:
            raise UsageError(
                f"{columns.source} holds no masks: set config.data.mask_key, or another config.task.name."
            )
        voxels = columns.masks.voxels
        classes = _classes(voxels, tuple(names) or mask_names.of_classes(columns.order, voxels), columns)
        values = voxels[:, 1 : len(classes) + 1] * columns.masks.size[:, None]
        return self._known(classes, values, columns.masks.unit)

    def part(self, targets: Targets, rows: np.ndarray) -> Targets:
        """Volumes [n, K] of some cases alone; refused where no voxel of a class is left."""
        counts = targets.has[rows].sum(axis=0).tolist()
        gone = [name for name, count in zip(targets.names, counts, strict=True) if not count]
        if gone:
            raise UsageError(f"no case with class {', '.join(map(repr, gone))} is left.")
        return self._known(targets.names, targets.values[rows], targets.facts["unit"])

    def _known(self, classes: tuple[str, ...], values: np.ndarray, unit: str) -> Targets:
        return Targets(
            task=self.name,
            names=classes,
            values=values,
            strata=_strata(values, classes),
            has=values > 0,
            facts={"task": self.name, "names": list(classes), "unit": unit},
        )

    def network_shape(self, shape: tuple[int, ...], hparams: HParams) -> tuple[int, ...]:
        """(D, H, W, C) of a patch, from the median shape of the cases where it is not given."""
        return (
            *planned(shape[:-1], [int(hparams.get(name, 0)) for name in SIDES], _dimensions(hparams)),
            shape[-1],
        )

    def told(
        self,
        targets: Targets,
        training: np.ndarray,
        hparams: HParams,
        inputs: TrainingStatistics | None = None,
    ) -> dict[str, np.ndarray]:
        """The foreground of the training cases, where the fit is normalised by it."""
        if not isinstance(inputs, VolumeSums):
            return super().told(targets, training, hparams)
        return {FOREGROUND: inputs.foreground(training & (FOREGROUND in self.kept(hparams)))}

    def kept(self, hparams: HParams) -> tuple[str, ...]:
        """The foreground, where the fit is normalised by it."""
        return (FOREGROUND,) if hparams.get(NORMALISATION.name) == "ct" else ()

    def device(self, names: Sequence[str], hparams: HParams, setting: Setting = ALONE) -> MaskDevice:
        """See `nachos_jax.tasks.task.Task`."""
        tried = setting.tried.get(LOSS.name, (hparams.get(LOSS.name, LOSS.default),))
        return MaskDevice(
            classes=len(names),
            patch=setting.shape[:-1],
            patches=max(1, int(hparams.get("segmentation.patches", 1))),
            terms=losses.terms_of(map(str, tried)),
        )

    def watched(self, metric: str, seen: np.ndarray, targets: Targets) -> tuple[float, float | None]:
        """Mean over cases of the loss of `MaskDevice.observe`, and the metric; from seen [n, 3 K + 1]."""
        if not np.isfinite(seen).all():
            return float("nan"), None
        value = metrics.evaluate(metric, targets.values, _volumes(seen), targets.names).value
        return float(np.mean(seen[:, -1], dtype=np.float64)), metrics.METRICS[metric].turned(value)

    def undefined(self, metric: str, targets: Targets) -> str:
        """Tried on masks that are right."""
        right = np.stack([targets.values, *[np.zeros_like(targets.values)] * 2], axis=-1)
        value = metrics.evaluate(metric, targets.values, right, targets.names)
        return value.note if value.value is None else ""

    def tested(self, seen: np.ndarray, targets: Targets) -> Tested:
        """Reference volumes [n, K], and those of agreement and error [n, K, 3], in one unit."""
        return Tested({"reference": targets.values, "volumes": _volumes(seen)})

    def predicted(self, seen: np.ndarray) -> np.ndarray:
        """[n, K] float64: predicted volume of each class."""
        return metrics.volumes(_volumes(seen))

    def table(self, predicted: np.ndarray, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
        """One volume a class."""
        return [f"volume_{name}" for name in names], [[f"{value:.6g}" for value in row] for row in predicted]


TASK = Segmentation()


def _volumes(seen: np.ndarray) -> np.ndarray:
    """[n, K, 3] float64 of seen [n, 3 K + 1]."""
    return np.asarray(seen[:, :-1], np.float64).reshape(len(seen), -1, 3)


def _dimensions(hparams: HParams) -> int:
    return int(hparams.get("segmentation.dimensions", 3))


def _classes(voxels: np.ndarray, named: tuple[str, ...], columns: Columns) -> tuple[str, ...]:
    """Names of the classes 1 to K, each with a voxel somewhere."""
    there = np.asarray(voxels.any(axis=0))
    if columns.partial and columns.order and named not in (columns.order, columns.order[1:]):
        raise UsageError(
            f"{columns.source} names the labels of its masks {checks.listed(columns.order)}, and the cases "
            f"that models learn from {checks.listed(named)}: number and name them alike."
        )
    if not there[1:].any() and not columns.partial:
        raise UsageError(
            f"{columns.source}: all {len(voxels)} masks are empty; name the array or files that hold them."
        )
    classes = named or tuple(str(number) for number in range(1, int(np.flatnonzero(there).max()) + 1))
    beyond = voxels[:, len(classes) + 1 :]
    faults = [
        (row, f"the mask holds label {len(classes) + 1 + int(np.flatnonzero(beyond[row])[0])}")
        for row in np.flatnonzero(beyond.any(axis=1)).tolist()
    ]
    known = f"0 (background), {', '.join(f'{number} ({name})' for number, name in enumerate(classes, 1))}"
    checks.refuse(
        faults, columns.where, f"mend the mask, or name all classes in config.data.classes; known: {known}"
    )
    absent = () if columns.partial else enumerate(classes, 1)
    empty = [f"{number} ({name})" for number, name in absent if not there[number]]
    if empty:
        raise UsageError(
            f"{columns.source}: no mask holds label {', '.join(empty)}; number the labels of the masks 0 "
            "(background), 1, 2, ... without a hole, or mend config.data.classes."
        )
    return classes


def _strata(values: np.ndarray, names: Sequence[str]) -> Strata:
    """Groups of cases by the classes that they have; of equal ones, fifths by volume."""
    has = values > 0
    if has.all():
        return quantile_groups(values.sum(axis=1))
    kinds, numbers = np.unique(has, axis=0, return_inverse=True)
    words = [" and ".join(name for name, one in zip(names, kind, strict=True) if one) for kind in kinds]
    return Strata(numbers.reshape(-1).astype(np.int32), tuple(word or "none" for word in words), needed=False)
