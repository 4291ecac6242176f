"""Which labels are probably wrong, by what models that have not seen the cases say of them.

Each case has a true class that the label tells with an error rate of the class. From the probabilities of the
true class and the rates follows the probability that a label is wrong (Bayes); it is told where that exceeds
one half, which makes the fewest mistakes of both kinds. Both are estimated from the same labels, in turn:
probabilities are calibrated first, since forests understate and networks overstate theirs; confident learning
counts the rates; and probabilities are calibrated again, now as those of the true classes behind such labels.

Models that know nothing of a class take nearly all its labels for wrong. So no label is told of a class whose
cases bear it less often than another one by these rates, or of which most labels would be told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOLD = 0.5
"""Posterior probability of a wrong label above which it is told: where it is likelier wrong than right."""
KNOWN = 0.5
"""Rate of right labels below which, and share of labels told above which, the models do not know a class."""
_TEMPERATURES = np.exp(np.linspace(-2.0, 3.0, 11))
"""Powers of the probabilities among which the best is looked for, before it is refined between neighbours."""


@dataclass(frozen=True)
class LabelErrors:
    """What models tell of labels.

    Attributes:
        rows: [n] cases that are more probably labelled wrong than right, the surest first.
        unknown: [c] classes that the models cannot tell: nothing is said of these labels.
    """

    rows: np.ndarray
    unknown: np.ndarray


def label_errors(labels: np.ndarray, probabilities: np.ndarray) -> LabelErrors:
    """Cases that are more probably labelled wrong than right, of the classes that the models know.

    Args:
        labels: [N] int, the given labels.
        probabilities: [N, C] of models that have not seen the case.
    """
    wrong, rates = _judged(labels, probabilities)
    cases = np.bincount(labels, minlength=len(rates))
    told = np.bincount(labels[wrong > TOLD], minlength=len(rates))
    unknown = (cases > 0) & ((rates.diagonal() < KNOWN) | (told > KNOWN * cases))
    said = (wrong > TOLD) & ~unknown[labels]
    order = np.argsort(-wrong, kind="stable")
    return LabelErrors(order[said[order]], np.flatnonzero(unknown))


def probably_wrong(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The posterior probability that each label is wrong.

    With T the probability of label s for a case of class k, and p_k that of class k, it is
    1 - T_ss p_s / sum_k T_ks p_k. T is the joint of confident learning (see `misplaced`), row by row; p are
    the probabilities to a power, the most likely one for the given labels (temperature scaling: Guo et al.,
    2017, ICML) - of labels without errors before T is counted, and under T after.

    Args:
        labels: [N] int.
        probabilities: [N, C].

    Returns:
        [N] float64.
    """
    return _judged(labels, probabilities)[0]


def _judged(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[N] probably wrong, and T [C, C] by which they are."""
    count, classes = probabilities.shape
    # N cases tell nothing of probabilities below 1 / N: neither a network's nor that of a slip.
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), 1 / count))
    slips = np.eye(classes) * (1 - 1 / count) + 1 / count / classes
    rates = label_rates(labels, _calibrated(logs, labels, slips))
    joint = _calibrated(logs, labels, rates) * rates[:, labels].T
    return 1 - joint[np.arange(count), labels] / joint.sum(axis=1), rates


def label_rates(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How probable each label is for cases of each class, by the counts of `misplaced`.

    One case more of each class, mislabelled as often as all are, keeps a rate of few cases from being 0 or 1.

    Returns:
        [C, C], class by label; rows sum to 1.
    """
    count, classes = probabilities.shape
    counts = misplaced(labels, probabilities).T.astype(float)  # class by label
    rate = counts.sum() / count
    right = np.bincount(labels, minlength=classes) - counts.sum(axis=0)
    np.fill_diagonal(counts, np.maximum(right, 1))
    counts += np.where(np.eye(classes, dtype=bool), 1 - rate, rate / max(classes - 1, 1))
    return counts / counts.sum(axis=1, keepdims=True)


def _calibrated(logs: np.ndarray, labels: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Probabilities of the classes, to the power that makes the given labels the most likely."""
    from scipy.optimize import minimize_scalar  # late: it is slow to import

    def loss(power: float) -> float:
        seen = (_softmax(power * logs) * rates[:, labels].T).sum(axis=1)
        return -float(np.log(np.maximum(seen, np.finfo(float).tiny)).sum())

    losses = [loss(power) for power in _TEMPERATURES]
    best = int(np.argmin(losses))
    low, high = _TEMPERATURES[max(best - 1, 0)], _TEMPERATURES[min(best + 1, len(losses) - 1)]
    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return _softmax(found.x * logs)


def _softmax(logs: np.ndarray) -> np.ndarray:
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def misplaced(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How many cases of each label are probably of each other class: the joint of confident learning.

    A case counts as class j if j is the most probable of the classes whose probability reaches the mean
    probability that cases of label j have for j, and not at all if none does; the counts of each label are
    then scaled to all its cases (Northcutt, Jiang and Chuang, 2021, JAIR 70, equations 1 to 3).

    Args:
        labels: [N] int.
        probabilities: [N, C].

    Returns:
        [C, C] int, label by class; 0 on the diagonal.
    """
    classes = probabilities.shape[1]
    cases = np.bincount(labels, minlength=classes)
    usual = [probabilities[labels == j, j].mean() if cases[j] else np.inf for j in range(classes)]
    sure = np.where(probabilities >= np.asarray(usual), probabilities, -1.0)
    counted = sure.max(axis=1) >= 0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[counted], sure[counted].argmax(axis=1)), 1)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))
    found = np.rint(joint * (cases / joint.sum(axis=1))[:, None]).astype(int)
    np.fill_diagonal(found, 0)
    return found
