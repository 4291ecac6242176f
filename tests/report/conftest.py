"""A realistic run directory, committed record by record as a run would."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from nachos_jax import default_config
from nachos_jax.core.types import EpochLimit, Fit, Trial, TrialScore
from nachos_jax.protocol.design.selection import spread
from nachos_jax.records.case_table import CaseRecord
from nachos_jax.records.schema import Curve, FitRecord, Outcome, OuterTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.splits.folds import Folds
from tests.records import seals
from tests.report.task_cases import counted, outputs, recorded, truth


@dataclass(frozen=True)
class FakeRun:
    """What the run directory should look like."""

    folds: int = 5
    repeats: int = 1
    trials: int = 4
    classes: tuple[str, ...] = ("covid19", "normal", "pneumonia")
    cases: int = 240
    tested: tuple[int, ...] | None = None
    absent_in_fold: int | None = None
    single_class_fold: int | None = None
    failed: tuple[tuple[int, int], ...] = ()
    waived: bool = False
    sites: int = 2
    metric: str = "balanced_accuracy"
    warnings: tuple[str, ...] = ()
    diverged_refit: int | None = None
    inner: bool = True
    groups: bool = True
    settings: tuple[tuple[str, Any], ...] = ()
    seed: int = 0
    task: str = "classification"
    grid: bool = False

    @property
    def outer_folds(self) -> tuple[int, ...]:
        return tuple(range(self.folds * self.repeats)) if self.tested is None else self.tested


HASH = "3f0c6d1f9a4b7e21"


def _division(fake: FakeRun, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels [N], subjects [N] (two cases each unless waived) and folds [R, N]."""
    size = 1 if fake.waived else 2
    subjects = np.arange(fake.cases) // size
    count = len(fake.classes)
    labels = rng.choice(count, p=np.arange(count, 0, -1) / sum(range(count + 1)), size=subjects.max() + 1)[
        subjects
    ]
    folds = np.stack(
        [
            rng.permutation(subjects.max() + 1)[subjects] % fake.folds + r * fake.folds
            for r in range(fake.repeats)
        ]
    )
    if fake.absent_in_fold is not None:
        gone = (folds[0] == fake.absent_in_fold) & (labels == 0)
        labels = np.where(gone, 1, labels)
    if fake.single_class_fold is not None:
        labels = np.where(folds[0] == fake.single_class_fold, 1, labels)
    return labels, subjects, folds


def _hparams(fake: FakeRun, study: int, number: int) -> dict:
    if fake.grid or number == 0:
        rate, width, optimizer = 0.02 + 0.03 * (number % 2), 16 * (1 + number // 2), "sgd"
    else:
        rng = np.random.default_rng([fake.seed, number, 0 if number < 3 else study])
        rate, width = float(10 ** rng.uniform(-3, -1)), int(rng.choice([8, 16, 32]))
        optimizer = ["sgd", "adam"][int(rng.integers(2))]
    chosen = {"learning_rate": rate, "cnn.width": width, "optimizer": optimizer, "batch_size": 32}
    chosen |= {"weight_decay": 1e-4, "architecture": "cnn", "flip_horizontal": 0.0}
    return chosen | ({"momentum": 0.9, "nesterov": True} if optimizer == "sgd" else {"beta1": 0.9})


def _losses(rng: np.random.Generator, epochs: int) -> tuple[float, ...]:
    steps = np.arange(1, epochs + 1)
    return tuple(
        float(v) for v in 0.12 + np.exp(-steps / (4 + rng.uniform(0, 3))) + rng.normal(0, 0.012, epochs) ** 2
    )


def _study(directory: RunDirectory, fake: FakeRun, study: int, done: set[str], table) -> tuple[Trial, int]:
    """Commits the trials, fits and outcome of a study; returns the selected trial and n*."""
    rng = np.random.default_rng([fake.seed, 7, study])
    repeat = study // fake.folds
    inner = [f for f in range(repeat * fake.folds, (repeat + 1) * fake.folds) if f != study]
    trials, scores, ids = [], [], []
    for number in range(fake.trials):
        origin = "default" if number == 0 else "sobol" if number < 3 else "ax"
        trial = Trial(study, number, _hparams(fake, study, number), origin)
        directory.commit_trial(trial)
        failed = (study, number) in fake.failed
        fits = [Fit(trial.hparams, tuple(sorted((study, v))), 0, EpochLimit(30, 8), HASH) for v in inner]
        for fit in fits:
            if fit.id not in done:
                done.add(fit.id)
                _fit(directory, fit, failed, _inner(fake, fit, table) if fake.inner and not failed else {})
        by_fold = {
            v: None if failed else float(0.72 + 0.2 * np.sin(1.3 * number) ** 2 + rng.normal(0, 0.02))
            for v in inner
        }
        values = [value for value in by_fold.values() if value is not None]
        if failed:
            scores.append(TrialScore(None, None, None, 9000, "failed", by_fold))
        else:
            score, variation = float(np.mean(values)), spread(values)
            scores.append(TrialScore(score, variation, 9 + 2 * number + study % 3, 9000, "done", by_fold))
        trials.append(trial)
        ids.append(tuple(fit.id for fit in fits))
    best = max(range(fake.trials), key=lambda i: -1.0 if scores[i].score is None else scores[i].score)
    epochs = scores[best].epochs or 1
    directory.commit_outcome(
        Outcome(study, fake.metric, "best", tuple(trials), tuple(scores), tuple(ids), best, epochs)
    )
    return trials[best], epochs


def _inner(fake: FakeRun, fit: Fit, table) -> dict[str, bytes]:
    """Logits of the folds that a search fit left out, a little too sure of themselves."""
    labels, _, folds, _ = table
    rng = np.random.default_rng(int(fit.id[:8], 16))
    if fake.task != "classification":
        held = {fold: labels[folds[fold // fake.folds] == fold] for fold in fit.left_out}
        return {"inner.safetensors": save({str(f): outputs(fake.task, t, rng) for f, t in held.items()})}
    arrays = {}
    for fold in fit.left_out:
        inside = folds[fold // fake.folds] == fold
        logits = 2.1 * np.eye(len(fake.classes))[labels[inside]]
        logits = logits + rng.normal(0, 1, logits.shape)
        arrays[str(fold)] = (1.5 * logits).astype(np.float32)
    return {"inner.safetensors": save(arrays)}


def _fit(directory: RunDirectory, fit: Fit, failed: bool, payload: dict[str, bytes]) -> None:
    rng = np.random.default_rng(int(fit.id[:8], 16))
    losses = _losses(rng, 14)
    curve = Curve(losses, tuple(1 - v / 3 for v in losses), "patience")
    record = FitRecord(
        fit.id,
        fit.left_out,
        fit.hparams,
        30,
        "diverged" if failed else "done",
        14,
        9000,
        (*losses[:-1], None) if failed else losses,
        {fold: curve for fold in fit.left_out},
    )
    directory.commit_fit(record, payload)


def _test(directory: RunDirectory, fake: FakeRun, fold: int, chosen: Trial, epochs: int, table) -> None:
    labels, _, folds, names = table
    rng = np.random.default_rng([fake.seed, 11, fold])
    inside = np.flatnonzero(folds[fold // fake.folds] == fold)
    if fake.task != "classification":
        values = np.where(fold == fake.diverged_refit, np.nan, outputs(fake.task, labels[inside], rng))
        told = recorded(fake.task, labels[inside], values)
        _commit_test(directory, fold, chosen, epochs, names[inside], told, _losses(rng, epochs))
        return
    logits = 2.1 * np.eye(len(fake.classes))[labels[inside]] + rng.normal(
        0, 1, (len(inside), len(fake.classes))
    )
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    # A refit that met NaN has no probabilities: the records then hold null.
    rows = np.where(fold == fake.diverged_refit, np.nan, probabilities.astype(np.float64))
    told = {"labels": labels[inside], "probabilities": rows}
    _commit_test(directory, fold, chosen, epochs, names[inside], told, _losses(rng, epochs))


def _commit_test(directory, fold, chosen, epochs, names, arrays, losses) -> None:
    fit = Fit(chosen.hparams, (fold,), 0, EpochLimit(epochs), HASH)
    directory.commit_fit(
        FitRecord(fit.id, fit.left_out, fit.hparams, epochs, "done", epochs, 9000, losses),
        {"weights.safetensors": b"weights"},
    )
    directory.commit_test(OuterTest(fold, fit.id, tuple(names.tolist()), arrays, losses))


def build(path: Path, fake: FakeRun = FakeRun()) -> RunDirectory:
    """Commits all records of the run described; returns its directory."""
    labels, subjects, folds = _division(fake, np.random.default_rng(fake.seed))
    names = np.array([f"images/{i:04d}.png" for i in range(fake.cases)])
    directory = RunDirectory(path)
    if fake.task != "classification":
        labels = truth(fake.task, labels, len(fake.classes), fake.seed)
        sites = np.array([f"hospital-{s % fake.sites}" for s in subjects]) if fake.sites else None
        people = np.array([f"patient-{s:03d}" for s in subjects])
        division = Folds(folds.astype(np.int32), fake.folds, fake.repeats)
        directory.commit_cases(CaseRecord(names, people, sites, labels, division))
    _describe(directory, fake, labels, int(subjects.max()) + 1)
    if fake.task == "classification":
        _write_folds(directory, fake, (labels, subjects, folds, names))
    _write_settings(directory, fake, subjects, names)
    done: set[str] = set()
    for fold in fake.outer_folds:
        table = (labels, subjects, folds, names)
        chosen, epochs = _study(directory, fake, fold, done, table)
        _test(directory, fake, fold, chosen, epochs, table)
    if fake.outer_folds:
        _write_sessions(directory)
    seals.remove(path)  # tests edit records; digests are those of tests/records and tests/protocol
    return RunDirectory(path)


def _describe(directory: RunDirectory, fake: FakeRun, labels: np.ndarray, subjects: int) -> None:
    """Commits run.json."""
    counts = counted(fake.task, labels, fake.classes)
    named = {} if fake.task == "classification" else {"task": fake.task}
    directory.commit_run(
        {
            "schema": 1,
            **named,
            "config": {
                "seed": 0,
                "data": {"source": "npz", "path": "chest.npz", "height": 64, "width": 64, "classes": []},
                "folds": {"scheme": "stratified", "count": fake.folds, "repeats": fake.repeats},
                "search": {
                    "trials": fake.trials,
                    "searcher": "ax",
                    "metric": fake.metric,
                    "space": {"learning_rate": "log(0.001, 0.1)", "momentum": ""},
                },
            },
            "cases": HASH,
            "classes": list(fake.classes),
            "counts": counts,
            "n_cases": fake.cases,
            "n_subjects": subjects,
            "n_sites": fake.sites,
            "waived": fake.waived,
            "folds": {"scheme": "stratified", "count": fake.folds, "repeats": fake.repeats},
            "inner_metric": fake.metric,
            "command": "nachos evaluate --config=configs/chest.py --workdir=runs/chest",
            "versions": {"nachos_jax": "0.1.0", "jax": "0.10.2", "numpy": "2.4.6", "python": "3.11.9"},
            "warnings": list(fake.warnings),
        }
    )


def _write_folds(directory: RunDirectory, fake: FakeRun, table) -> None:
    """Writes folds.csv; `table` holds labels [N], subjects [N], folds [R, N] and names [N]."""
    labels, subjects, folds, names = table
    header = ["case", "subject", "site", "label", "fold", *(f"fold_{r + 2}" for r in range(fake.repeats - 1))]
    directory.write_table(
        "folds.csv",
        header,
        [
            [
                names[i],
                f"patient-{subjects[i]:03d}",
                f"hospital-{subjects[i] % fake.sites}" if fake.sites else "",
                fake.classes[labels[i]],
                *folds[:, i].tolist(),
            ]
            for i in range(fake.cases)
        ],
    )


def _write_settings(directory: RunDirectory, fake: FakeRun, subjects: np.ndarray, names: np.ndarray) -> None:
    """Writes config.report and subgroups.csv: sex and age of each subject, one of them not known."""
    settings = {**default_config().report.to_dict(), "replicates": 200, **dict(fake.settings)}
    settings["subgroups"] = ["sex", "age(40, 65)"] if fake.groups else []
    directory.write_settings({key: list(v) if isinstance(v, tuple) else v for key, v in settings.items()})
    ages = ("below 40", "40 to below 65", "65 and above")
    rows = [
        [name, "female" if s % 3 else "male", ages[s // 7 % 3] if s else "not known"]
        for name, s in zip(names, subjects, strict=True)
    ]
    header = ["case", "sex", "age"] if fake.groups else ["case"]
    directory.write_table("subgroups.csv", header, [row[: len(header)] for row in rows])


def _write_sessions(directory: RunDirectory) -> None:
    for name, share in (("0001", 1.0), ("0002", 0.5)):
        directory.write_session(
            name,
            {
                "fits": 20,
                "epochs": 300,
                "busy_lane_epochs": 291,
                "lane_epochs": 320,
                "seconds": 512.4 * share,
                "compile_seconds": 31.2 * share,
                "compilations": 2,
                "devices": "8 x NVIDIA H200",
                "started": "2026-01-01T00:00:00",
            },
        )


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Run directories that were built, by what was asked for; nothing in them may be changed."""
    known: dict[str, Path] = {}

    def find(fake: FakeRun) -> Path:
        if repr(fake) not in known:
            known[repr(fake)] = build(tmp_path_factory.mktemp("built") / "run", fake).path
        return known[repr(fake)]

    return find


@pytest.fixture
def make_run(tmp_path, built):
    """A run directory of the test's own: make_run(folds=3, ...) -> RunDirectory."""

    def make(name: str = "run", **changes) -> RunDirectory:
        shutil.copytree(built(replace(FakeRun(), **changes)), tmp_path / name)
        return RunDirectory(tmp_path / name)

    return make
