"""The world of intervals.py: two Gaussian classes, a discriminant with closed form, and its true performance.

All studies of a setting are computed together. Letters: S studies, K folds, M cases of a fold, P features,
T trials.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import special

FEWEST = 4
"""Subjects of a class below which a study is drawn again: nobody would begin one."""


@dataclass(frozen=True)
class Setting:
    """A kind of study.

    Attributes:
        cases: n, of all folds; a multiple of folds times cluster.
        folds: K.
        prevalence: chance that a subject is of class 1.
        cluster: cases of each subject.
        trials: number of configurations to choose from; 1 for no tuning.
        distance: between the class means, in standard deviations.
        shared: share of a feature's variance that the cases of a subject have in common.
        features: P.
        informative: features in which the class means differ.
        shrinkage: of the covariance of the default configuration; less is less stable.
        leak: folds are drawn over cases, so that subjects lie in several.
    """

    cases: int
    folds: int
    prevalence: float = 0.5
    cluster: int = 1
    trials: int = 1
    distance: float = 2.2
    shared: float = 0.5
    features: int = 20
    informative: int = 5
    shrinkage: float = 0.3
    leak: bool = False

    @property
    def shift(self) -> np.ndarray:
        """[P] mean of class 1 less that of class 0."""
        shift = np.zeros(self.features)
        shift[: self.informative] = self.distance / np.sqrt(self.informative)
        return shift


@dataclass(frozen=True)
class Sample:
    """Cases of S studies by fold: inputs [S, K, M, P], labels [S, K, M] and subjects [S, K, M], int."""

    inputs: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray


@dataclass(frozen=True)
class Trials:
    """T configurations: shrinkage [T], number of features kept by screening [T], features allowed [T, P]."""

    shrinkage: np.ndarray
    kept: np.ndarray
    allowed: np.ndarray


@dataclass(frozen=True)
class Models:
    """Linear models: weights [..., P] and offsets [...]; class 1 where weights . x + offset > 0."""

    weights: np.ndarray
    offsets: np.ndarray

    def take(self, *index: np.ndarray | slice) -> Models:
        """Some of them."""
        return Models(self.weights[index], self.offsets[index])

    def scores(self, inputs: np.ndarray) -> np.ndarray:
        """[..., M] of inputs [..., M, P]."""
        return np.einsum("...mp,...p->...m", inputs, self.weights) + self.offsets[..., None]


def draw(setting: Setting, studies: int, generator: np.random.Generator) -> Sample:
    """Draws studies; folds are stratified by class and hold whole subjects, unless these leak."""
    count, cluster, folds = setting.cases // setting.cluster, setting.cluster, setting.folds
    classes = np.stack([_classes(setting, count, generator) for _ in range(studies)])
    common = generator.normal(size=(studies, count, 1, setting.features)) * np.sqrt(setting.shared)
    own = generator.normal(size=(studies, count, cluster, setting.features)) * np.sqrt(1 - setting.shared)
    inputs = common + own + classes[:, :, None, None] * setting.shift
    labels = np.broadcast_to(classes[:, :, None], inputs.shape[:3])
    subjects = np.broadcast_to(np.arange(count)[None, :, None], inputs.shape[:3])
    if setting.leak:
        inputs, labels, subjects = (
            values.reshape(studies, count * cluster, 1, *values.shape[3:])
            for values in (inputs, labels, subjects)
        )
    # In order of class and else at random, dealt to the folds in turn.
    keys = labels[:, :, 0] + generator.random(labels.shape[:2])
    order = np.argsort(keys, axis=1).reshape(studies, -1, folds).transpose(0, 2, 1)
    rows = np.arange(studies)[:, None, None]
    shape = (studies, folds, setting.cases // folds)
    return Sample(
        inputs[rows, order].reshape(*shape, setting.features),
        labels[rows, order].reshape(shape),
        subjects[rows, order].reshape(shape),
    )


def _classes(setting: Setting, count: int, generator: np.random.Generator) -> np.ndarray:
    while True:
        classes = (generator.random(count) < setting.prevalence).astype(np.int64)
        if FEWEST <= classes.sum() <= count - FEWEST:
            return classes


def configurations(setting: Setting, generator: np.random.Generator) -> Trials:
    """The default (all features, shrunk as the setting says), then all of it at random."""
    extra, features = setting.trials - 1, setting.features
    allowed = np.ones((setting.trials, features), bool)
    allowed[1:] = generator.random((extra, features)) < generator.uniform(0.4, 1.0, (extra, 1))
    allowed[:, 0] = True  # none without features
    shrinkage = np.append(setting.shrinkage, 10 ** generator.uniform(-2, 0, extra))
    kept = np.append(features, generator.integers(2, features + 1, extra))
    return Trials(shrinkage, kept, allowed)


@dataclass(frozen=True)
class Moments:
    """What a fit needs to know of cases [...]: counts [..., 2], sums [..., 2, P], squares [..., P, P]."""

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray

    def without(self, *folds: int) -> Moments:
        """Of the cases of all folds (axis 1) but some."""
        rest = [k for k in range(self.counts.shape[1]) if k not in folds]
        return Moments(*(values[:, rest].sum(axis=1) for values in vars(self).values()))


def moments(sample: Sample) -> Moments:
    """Of each fold of each study."""
    hot = np.stack([1 - sample.labels, sample.labels], axis=-2).astype(np.float64)  # [S, K, 2, M]
    return Moments(hot.sum(axis=-1), hot @ sample.inputs, np.swapaxes(sample.inputs, -1, -2) @ sample.inputs)


def fit(told: Moments, trials: Trials) -> Models:
    """Regularised linear discriminants: weights [S, T, P].

    The pooled covariance is shrunk towards a multiple of the identity (Friedman, 1989); of the allowed
    features those with the largest difference of means in standard deviations are kept. Both use training
    cases only.
    """
    features = told.sums.shape[-1]
    means = told.sums / told.counts[..., None]
    total = told.counts.sum(axis=-1)
    between = np.einsum("sc,scp,scq->spq", told.counts, means, means)
    covariance = (told.squares - between) / (total - 2)[:, None, None]
    variances = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 1e-12)
    shift, middle = means[:, 1] - means[:, 0], means.mean(axis=1)
    strength = np.where(trials.allowed, (np.abs(shift) / np.sqrt(variances))[:, None, :], -1.0)
    rank = np.argsort(np.argsort(-strength, axis=-1), axis=-1)
    mask = ((rank < trials.kept[:, None]) & trials.allowed).astype(np.float64)  # [S, T, P]
    amount, identity = trials.shrinkage[:, None, None], np.eye(features)
    level = variances.mean(axis=1)[:, None, None, None]
    shrunk = (1 - amount) * covariance[:, None] + amount * level * identity
    both = mask[..., :, None] * mask[..., None, :]
    system = shrunk * both + identity * (1 - mask)[..., None, :]
    weights = np.linalg.solve(system, (shift[:, None] * mask)[..., None])[..., 0]
    prior = np.log(told.counts[:, 1] / told.counts[:, 0])
    return Models(weights, prior[:, None] - np.einsum("stp,sp->st", weights, middle))


def fits_without_a_fold(told: Moments, trials: Trials) -> Models:
    """Weights [S, K, T, P]."""
    return _stacked([fit(told.without(k), trials) for k in range(told.counts.shape[1])])


def fits_without_pairs(told: Moments, trials: Trials) -> Models:
    """Weights [S, K, K, T, P], the same for (i, j) and (j, i); NaN on the diagonal."""
    folds = told.counts.shape[1]
    found = {(i, j): fit(told.without(i, j), trials) for i, j in itertools.combinations(range(folds), 2)}
    nothing = fit(told.without(0), trials)
    nothing = Models(np.full_like(nothing.weights, np.nan), np.full_like(nothing.offsets, np.nan))
    rows = [[found.get((min(i, j), max(i, j)), nothing) for j in range(folds)] for i in range(folds)]
    stacked = [_stacked(row) for row in rows]
    return _stacked(stacked)


def _stacked(models: list[Models]) -> Models:
    return Models(
        np.stack([one.weights for one in models], axis=1), np.stack([one.offsets for one in models], axis=1)
    )


def true_accuracy(setting: Setting, models: Models) -> np.ndarray:
    """[...] chance that a new case is classified rightly."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.linalg.norm(models.weights, axis=-1)
        right0 = special.ndtr(-models.offsets / size)
        right1 = special.ndtr((models.weights @ setting.shift + models.offsets) / size)
    return setting.prevalence * right1 + (1 - setting.prevalence) * right0


def true_auc(setting: Setting, models: Models) -> np.ndarray:
    """[...] chance that a new case of class 1 scores above one of class 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.sqrt(2) * np.linalg.norm(models.weights, axis=-1)
        return special.ndtr(models.weights @ setting.shift / size)
