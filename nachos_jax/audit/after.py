"""What a finished run tells of its data: probable label errors, and how far training and validation part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.audit.finding import NOTE, Finding
from nachos_jax.audit.label_errors import label_errors
from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import listed
from nachos_jax.records import readable
from nachos_jax.records.store import RunDirectory

COMPARABLE = ("classification", "multilabel")
"""Tasks whose training and validation losses are one measure, in one unit."""
OVER = 1.5
"""Validation loss over training loss from which a network is said to overfit."""
SOLVED = "linear"
"""The architecture that is solved whole: it has no epochs, and only its penalty keeps it from overfitting."""


def finished(workdir: str, names: Sequence[str], targets: np.ndarray) -> RunDirectory:
    """The directory of a run over cases of these names and targets that has tested an outer fold.

    Raises:
        UsageError: there is none.
    """
    readable.check(workdir)
    directory = RunDirectory(workdir)
    cases = directory.cases()
    if directory.run() is None or cases is None:
        raise readable.no_run(directory)
    if not set(cases.names.tolist()) <= set(names):  # a part of them, or all but external ones, will do
        raise UsageError(
            f"--workdir={workdir} holds a run over other cases than the config names: mend one of both."
        )
    known = dict(zip(cases.names.tolist(), cases.targets, strict=True))
    rows = [row for row, name in enumerate(names) if name in known]
    told = np.asarray([known[names[row]] for row in rows], np.float64)
    # Rows of an npz file are named by number: other data of the same size have the same names.
    if not np.array_equal(told, np.asarray(targets, np.float64)[rows], equal_nan=True):
        raise UsageError(
            f"--workdir={workdir} holds a run over other targets than the config's data have: name the data "
            "of that run, or a run on these."
        )
    if not directory.tests():
        raise UsageError(
            f"--workdir={workdir}: the run has tested no outer fold yet; finish it, or leave out --workdir."
        )
    return directory


def findings(directory: RunDirectory, names: Sequence[str]) -> Iterator[Finding]:
    """Probable label errors of a classification, and classes of which nothing can be said.

    They follow from the tests of the outer folds; of repeats the mean.

    Args:
        directory: of the run.
        names: of the cases, whose row numbers the finding tells.
    """
    place = {name: row for row, name in enumerate(names)}
    rows, labels, sums = [], {}, {}
    for test in directory.tests():
        if (
            "probabilities" not in test.arrays
            or "labels" not in test.arrays
            or test.arrays["labels"].ndim > 1
        ):
            return
        arrays = test.arrays["labels"], test.arrays["probabilities"]
        for case, label, values in zip(test.cases, *arrays, strict=True):
            if case in place and np.isfinite(values).all():
                labels[case] = int(label)
                sums[case] = sums.get(case, 0) + np.asarray(values)
    rows = [case for case in names if case in sums]
    if not rows:
        return
    values = np.stack([sums[case] / np.sum(sums[case]) for case in rows])
    found = label_errors(np.asarray([labels[case] for case in rows]), values)
    if len(found.rows):
        told = (
            f"{len(found.rows):,} of {len(rows):,} tested cases are more probably labelled wrong than right, "
            "or hard: by models that had not seen them, and by how often such labels seem to be wrong."
        )
        cure = (
            "Look at them, the surest first, and correct labels only by looking at the picture or the record."
        )
        groups = [[place[rows[number]]] for number in found.rows.tolist()]
        yield Finding("probable label errors", NOTE, told, cure, groups)
    if len(found.unknown):
        classes = (directory.run() or {})["classes"]
        named = listed([classes[number] for number in found.unknown.tolist()])
        told = (
            f"The models cannot tell {named} from other classes, or most of these labels are wrong: nothing "
            "can be said of them one by one."
        )
        cure = "Look at a sample of these cases yourself, or audit a run whose models know them."
        yield Finding("labels that cannot be judged", NOTE, told, cure)


def gaps(directory: RunDirectory) -> list[str]:
    """A sentence for each study: losses of training and validation of the chosen trial, and what they say."""
    fits = {fit.fit: fit for fit in directory.fits()}
    run = directory.run() or {}
    if run.get("task", "classification") not in COMPARABLE:
        return []
    count = int(run["folds"]["count"]) * int(run["folds"].get("repeats", 1)) if run else 0
    told = []
    for study in [None, *range(count)]:
        outcome = directory.outcome(study)
        if outcome is None:
            continue
        chosen = [fits[name] for name in outcome.fits[outcome.selected] if name in fits]
        chosen = [fit for fit in chosen if fit.parameters]  # an estimator has other cures than a network
        pairs = [pair for fit in chosen for pair in _losses(fit, study)]
        if pairs:
            who = "The search" if study is None else f"Outer fold {study}"
            solved = all(fit.hparams["architecture"] == SOLVED for fit in chosen)
            told.append(_words(who, np.asarray(pairs), solved))
    return told


def _losses(fit: Any, study: int | None) -> Iterator[tuple[float, float, float]]:
    """(training loss, validation loss, share of the epochs) at the best epoch of each watched inner fold."""
    for fold, curve in fit.curves.items():
        losses = [np.inf if value is None else value for value in curve.loss]
        if fold == study or not losses or not np.isfinite(min(losses)):
            continue
        best = int(np.argmin(losses))
        training = fit.training_loss[best]
        if training is not None:
            yield training, losses[best], (best + 1) / fit.limit


def _words(who: str, pairs: np.ndarray, solved: bool) -> str:
    training, validation, share = pairs.mean(axis=0)
    numbers = f"training loss {training:.3f}, validation loss {validation:.3f}"
    numbers += "" if solved else " at the best epochs"
    if validation > OVER * training:
        weaker = "a smaller config.model.linear.c, or smaller values in config.search.space.linear.c"
        cure = weaker if solved else "augmentation or weight decay"
        said = f"it fits training cases much better than others (overfitting): try {cure}"
    elif share > 0.95 and not solved:  # the one epoch of what is solved is its whole training
        said = "it was still getting better at the epoch limit (underfitting): raise config.training.epochs"
    else:
        said = "no large gap"
    return f"{who}: {numbers}; {said}."


def after_json(directory: RunDirectory) -> Mapping[str, Any]:
    """What the page says of the run beside its findings."""
    return {"gaps": gaps(directory), "tested": len(directory.tests())}
