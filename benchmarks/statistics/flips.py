"""How many wrong labels can be found by models that are sometimes wrong themselves, and how many are?

    python -m benchmarks.statistics.flips
    python -m benchmarks.statistics.flips --cases 1000 --rounds 1

Simulated cases whose probabilities are known exactly: classes are Gaussian clouds, half of the cases far from
the others' and half near, so near that the model is right of a given share of all. A share of the labels is
flipped, to any other class or always to the next one. Models tell these probabilities as they are, too sure,
not sure enough, with the flips learnt, or with an error of their own, of 2, 4 or 6 classes, equally many of
each or half as many of each as of the one before. For each accuracy and rate: recall and precision of

- the audit's rule: the mean over the kinds of models, and the lowest of any kind, of recall and of precision
  each (the two may be of different kinds),
- plain disagreement: the model's class is another one than the label,
- the ideal rule, which knows the exact probabilities and how often labels are wrong: nothing makes fewer
  mistakes. The last column is the most that it finds at a precision of 0.9, if it may tell more or fewer.

Without flips, what stands for precision is the share of all cases that is told although all are right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.shared import measure

ACCURACIES = (0.8, 0.94, 0.99, 0.995)
RATES = (0.0, 0.01, 0.05, 0.1)
MODELS = ("exact", "too sure", "unsure", "flips learnt", "with errors")
GOAL = 0.9
"""Precision at which recall is asked for."""


@dataclass(frozen=True)
class World:
    """What is known of simulated cases.

    Attributes:
        truth: [N] true classes.
        labels: [N] given labels.
        exact: [N, C] true probabilities of the classes.
        rates: [C, C] how probable a label is for a class.
    """

    truth: np.ndarray
    labels: np.ndarray
    exact: np.ndarray
    rates: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """[N] bool: cases whose label is wrong."""
        return self.truth != self.labels

    def ideal(self) -> np.ndarray:
        """[N] posterior probability that a label is wrong."""
        rows = np.arange(len(self.labels))
        joint = self.exact * self.rates[:, self.labels].T
        return 1 - joint[rows, self.labels] / joint.sum(axis=1)


def softmax(logs: np.ndarray) -> np.ndarray:
    """[N, C] probabilities."""
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def simulated(
    random: np.random.Generator, cases: int, shares: np.ndarray, accuracy: float, rates: np.ndarray
) -> World:
    """Cases of classes with these shares, so hard that the best model is right of `accuracy` of them."""
    classes = len(shares)
    truth = random.choice(classes, cases, p=shares)
    noise, near = random.normal(size=(cases, classes)), random.random(cases) < 0.5

    def exact(distance: float) -> np.ndarray:
        means = np.where(near, 0.6, 2.0)[:, None] * distance
        return softmax(np.log(shares) + means * (means * np.eye(classes)[truth] + noise))

    low, high = 0.05, 20.0
    for _ in range(30):
        middle = (low + high) / 2
        right = (exact(middle).argmax(axis=1) == truth).mean()
        low, high = (middle, high) if right < accuracy else (low, middle)
    labels = (random.random(cases)[:, None] > rates[truth].cumsum(axis=1)).sum(axis=1)
    return World(truth, np.minimum(labels, classes - 1), exact(high), rates)


def worlds(random: np.random.Generator, cases: int, accuracy: float, rate: float) -> Iterator[World]:
    """One of each number of classes, shares and kind of flips."""
    for classes in (2, 4, 6):
        others = 1 - np.eye(classes)
        kinds = [others / (classes - 1), np.roll(np.eye(classes), 1, axis=1)]
        for flips in kinds[: 2 if rate and classes > 2 else 1]:
            for halves in (0, 1):
                shares = 0.5 ** (halves * np.arange(classes))
                rates = np.eye(classes) * (1 - rate) + rate * flips
                yield simulated(random, cases, shares / shares.sum(), accuracy, rates)


def told_by(model: str, world: World, random: np.random.Generator) -> np.ndarray:
    """[N, C] probabilities as a model of a kind tells them."""
    logs = np.log(np.maximum(world.exact, 1e-300))
    error = random.normal(0, 0.7, logs.shape)
    kinds = {
        "exact": world.exact,
        "too sure": softmax(2 * logs),
        "unsure": softmax(0.4 * logs),
        "flips learnt": world.exact @ world.rates,
        "with errors": softmax(logs + error),
    }
    return kinds[model]


def scores(told: np.ndarray, wrong: np.ndarray) -> tuple[float, float]:
    """(recall, precision), or (nan, share of all that is told) where no label is wrong."""
    if not wrong.any():
        return np.nan, float(told.mean())
    return float(told[wrong].mean()), float(wrong[told].mean()) if told.any() else np.nan


def found_at(precision: float, posterior: np.ndarray, wrong: np.ndarray) -> float:
    """The most recall of a list of the surest cases of which this share is wrong."""
    ordered = wrong[np.argsort(-posterior, kind="stable")].cumsum()
    enough = ordered >= precision * np.arange(1, len(wrong) + 1)
    return float(ordered[enough].max(initial=0) / wrong.sum()) if wrong.any() else np.nan


def row(seed: int, cases: int, rounds: int, accuracy: float, rate: float) -> dict[str, float]:
    """Means over worlds and rounds: of each rule recall and precision."""
    from nachos_jax.audit.label_errors import TOLD, label_errors

    random = np.random.default_rng(seed)
    ours = {model: [] for model in MODELS}
    plain, ideal, most = [], [], []
    for world in (w for _ in range(rounds) for w in worlds(random, cases, accuracy, rate)):
        for model in MODELS:
            told = told_by(model, world, random)
            listed = np.isin(np.arange(cases), label_errors(world.labels, told).rows)
            ours[model].append(scores(listed, world.wrong))
            plain.append(scores(told.argmax(axis=1) != world.labels, world.wrong))
        ideal.append(scores(world.ideal() > TOLD, world.wrong))
        most.append(found_at(GOAL, world.ideal(), world.wrong))
    means = np.asarray(
        [np.nanmean(ours[model], axis=0) if rate else _second(ours[model]) for model in MODELS]
    )
    worst = means.min(axis=0) if rate else means.max(axis=0)
    made = {"ours": means.mean(axis=0), "worst": worst}
    made |= {"plain": _mean(plain, rate), "ideal": _mean(ideal, rate)}
    found = {"accuracy": accuracy, "rate": rate, "most": float(np.mean(most))}
    for name, (recall, precision) in made.items():
        found |= {f"{name}_recall": float(recall), f"{name}_precision": float(precision)}
    return found


def _second(values: list[tuple[float, float]]) -> np.ndarray:
    return np.asarray([np.nan, np.mean([value for _, value in values])])


def _mean(values: list[tuple[float, float]], rate: float) -> np.ndarray:
    return np.nanmean(values, axis=0) if rate else _second(values)


def texts(found: dict[str, float]) -> tuple[str, ...]:
    """A line of the table."""

    def cell(name: str) -> str:
        recall, precision = found[f"{name}_recall"], found[f"{name}_precision"]
        return f"{precision:.1%} told" if np.isnan(recall) else f"{recall:.2f} / {precision:.2f}"

    most = "–" if np.isnan(found["most"]) else f"{found['most']:.2f}"
    where = f"{found['accuracy']:.1%} right, {found['rate']:.0%} flipped"
    return where, cell("ours"), cell("worst"), cell("plain"), cell("ideal"), most


def main() -> None:
    """Simulates, prints and stores the table."""
    flags = measure.parser(__doc__)
    flags.add_argument("--cases", type=int, default=2000)
    flags.add_argument("--rounds", type=int, default=2)
    given: argparse.Namespace = flags.parse_args()
    pairs = [(accuracy, rate) for accuracy in ACCURACIES for rate in RATES]
    rows = [row(seed, given.cases, given.rounds, *pair) for seed, pair in enumerate(pairs)]
    titles = ("model and labels", "the audit", "its lowest", "disagreement", "ideal", "ideal at 0.9")
    measure.store(
        given.out,
        "flips",
        "Wrong labels that can be found: recall / precision, simulated",
        measure.Table(titles, tuple(map(texts, rows))),
        {
            "rows": [{k: None if np.isnan(v) else v for k, v in one.items()} for one in rows],
            "notes": [
                "The last column is the most recall that any rule could have at a precision of 0.9. Of the "
                "audit's rule the mean over five kinds of models, and the lowest recall and the lowest "
                "precision of any kind, which may be of different kinds.",
            ],
        },
        timed=False,
    )


if __name__ == "__main__":
    main()
