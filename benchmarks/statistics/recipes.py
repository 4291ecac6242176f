"""Recipes of training, and what one is worth: a nested cross-validation of a small cohort, measured."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.statistics import cohorts

METRICS = ("balanced_accuracy", "auc", "log_loss")
SIDE = 64
"""Pixels of a side that networks trained from scratch are given at most."""
NETWORK, OF_LITE0 = "tf_efficientnet_lite0", "ImageNet-1k"

_LONG = {"training.epochs": 60, "training.patience": 15}
_LONGER = {"training.epochs": 100, "training.patience": 25}
_MOVED = {"augmentation.flip_horizontal": 0.5, "augmentation.shift": 0.1}
_TURNED = {
    "augmentation.rotation": 15.0,
    "augmentation.scale": 0.1,
    "augmentation.contrast": 0.2,
    "augmentation.shift": 0.05,
}
_ADAMW = {
    "training.optimizer": "adamw",
    "training.learning_rate": 2e-3,
    "training.weight_decay": 1e-2,
    "search.space.learning_rate": "log(0.0002, 0.02)",
    "search.space.momentum": "",
    "search.space.weight_decay": "log(0.0001, 0.1)",
}
_RESNET = {"model.architecture": "resnet", "model.resnet.width": 16}
_SOLVED = {
    "model.architecture": "linear",
    "search.space.learning_rate": "",
    "search.space.momentum": "",
    "search.space.weight_decay": "",
    "search.space.linear.c": "log(0.0001, 100.0)",
}


@dataclass(frozen=True)
class Recipe:
    """A way to train.

    Attributes:
        settings: config fields that differ from the default config.
        features: whether it learns from the features of a frozen backbone.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    features: bool = False


RECIPES: dict[str, Recipe] = {
    "default": Recipe(),
    "60 epochs": Recipe(_LONG),
    "features, linear": Recipe(_SOLVED, features=True),
    "features, mlp": Recipe({**_LONG, **_ADAMW, "model.architecture": "mlp"}, features=True),
    "batch 16": Recipe({**_LONG, "training.batch_size": 16}),
    "100 epochs": Recipe(_LONGER),
    "flip, shift": Recipe({**_LONG, **_MOVED}),
    "rotation, scale, contrast": Recipe({**_LONG, **_TURNED}),
    "adamw": Recipe({**_LONG, **_ADAMW}),
    "cosine": Recipe({**_LONG, "training.schedule": "cosine"}),
    "cnn, all changes": Recipe(
        {
            **_LONGER,
            **_ADAMW,
            **_TURNED,
            **_MOVED,
            "training.schedule": "cosine",
            "training.batch_size": 16,
            "model.cnn.width": 32,
        }
    ),
    "resnet18, width 16": Recipe({**_LONG, **_RESNET}),
    "resnet18, all changes": Recipe(
        {**_LONG, **_ADAMW, **_TURNED, **_MOVED, **_RESNET, "training.schedule": "cosine"}
    ),
    "cnn of width 32": Recipe({**_LONG, "model.cnn.width": 32}),
    "cnn of 4 stages": Recipe({**_LONG, "model.cnn.stages": 4}),
    "group norm": Recipe({**_LONG, "model.norm": "group"}),
    "resnet18, width 32": Recipe({**_LONG, **_RESNET, "model.resnet.width": 32}),
}
"""Each but the first changes one thing of "60 epochs", unless its name says more; the most telling first."""


@dataclass(frozen=True)
class Trained:
    """What is trained: so many cases of a set, drawn by a seed, by a recipe."""

    name: str
    size: int
    seed: int
    recipe: str

    @property
    def label(self) -> str:
        """Its name as that of a file."""
        recipe = "".join(sign if sign.isalnum() else "-" for sign in self.recipe)
        return f"{self.name}_{self.size}_{self.seed}_{recipe}"


@dataclass(frozen=True)
class Setting:
    """What all runs share.

    Attributes:
        data: folder of the sets.
        weights: file of the backbone; None without one.
        folds: outer folds.
        repeats: divisions into folds.
        trials: configurations that each outer fold tries, the recipe's own included.
        engine: fields of config.engine, which change no result by more than rounding.
        epochs: at most, whatever a recipe says; 0 = as it says.
    """

    data: Path
    weights: Path | None
    folds: int
    repeats: int
    trials: int
    engine: Mapping[str, Any]
    epochs: int = 0


def measured(wanted: Trained, setting: Setting, folder: Path) -> dict[str, Any]:
    """One whole nested cross-validation in a folder, which is gone afterwards but for prepared cases.

    Returns:
        Plain JSON values: what was trained; `metrics`, by name a value of each outer fold; `epochs`, of the
        search fits; `seconds`.
    """
    from nachos_jax.protocol.evaluate import evaluate
    from nachos_jax.protocol.run.configure import checked

    began = time.perf_counter()
    workdir = folder / f"run-{wanted.label}"
    run = checked(config(wanted, setting, folder))
    shutil.rmtree(workdir, ignore_errors=True)  # of a process that was ended in it
    try:
        evaluate(run, str(workdir), quiet=True)
        found = _found(workdir)
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
    return {**vars(wanted), **found, "seconds": round(time.perf_counter() - began, 1)}


def config(wanted: Trained, setting: Setting, folder: Path) -> Any:
    """The config of a run; its cases are drawn into the folder unless they lie there."""
    import nachos_jax

    recipe, made = RECIPES[wanted.recipe], nachos_jax.default_config()
    path = folder / "cases" / f"{wanted.name}-{wanted.size}-{wanted.seed}.npz"
    if not path.exists():
        drawn = cohorts.draw(cohorts.read(setting.data, wanted.name), wanted.size, wanted.seed)
        cohorts.write(path, wanted.name, drawn)
    made.data.path, made.data.cache = str(path), str(folder / "cache")
    made.data.subject_key = cohorts.SUBJECTS[wanted.name]
    made.data.subject = "" if made.data.subject_key else "one_case_per_subject"
    made.data.allow = ("duplicates",)  # few, and known: the sets are what they are
    made.folds.count, made.folds.repeats, made.seed = setting.folds, setting.repeats, wanted.seed
    made.search.searcher, made.search.policy, made.search.trials = "random", "full", setting.trials
    made.engine.checkpoint_epochs = 0
    made.update_from_flattened_dict({f"engine.{name}": value for name, value in setting.engine.items()})
    made.update_from_flattened_dict(dict(recipe.settings))
    made.training.batch_size = min(made.training.batch_size, _largest_batch(wanted.size, setting.folds))
    if setting.epochs:
        made.training.epochs = min(made.training.epochs, setting.epochs)
        made.training.patience = min(made.training.patience, setting.epochs)
    if recipe.features:
        made.backbone.name, made.backbone.weights = NETWORK, str(setting.weights)
        made.backbone.pretrained_on = OF_LITE0
    elif cohorts.side(path) > SIDE:
        made.data.height = made.data.width = SIDE
    return made


def _largest_batch(size: int, folds: int) -> int:
    """The largest power of two that fits into the training cases of a search fit, however folds turn out."""
    smallest = 0.8 * size * (folds - 2) / folds
    return max(2 ** int(np.log2(smallest)), 2)


def _found(workdir: Path) -> dict[str, Any]:
    """What the records of a finished run say."""
    from nachos_jax.records.store import RunDirectory
    from nachos_jax.report.numbers.estimates import Estimates
    from nachos_jax.report.numbers.spent import spent
    from nachos_jax.report.reading import evidence

    read = evidence.read(RunDirectory(workdir))
    estimates, cost = Estimates(read), spent(read)
    return {
        "cases": len(read.cases),
        "metrics": {name: [estimates.of_fold(name, fold).value for fold in read.tests] for name in METRICS},
        "epochs": _epochs(read),
        "parameters": max(fit.parameters for fit in read.fits),
        "fits": cost["fits_trained"],
        "compile_seconds": round(cost["compile_seconds"], 1),
        "train_seconds": round(cost["train_seconds"], 1),
    }


def _epochs(read: Any) -> dict[str, Any]:
    """Where search fits stopped, and what was refitted; a fit counts once for each fold that watched it."""
    curves = [curve for fit in read.fits for curve in fit.curves.values()]
    return {
        "stopped": [len(curve.loss) for curve in curves],
        "limit": sum(curve.end == "limit" for curve in curves),
        "nan": sum(curve.end == "nan" for curve in curves),
        "refits": [outcome.epochs for outcome in read.outcomes.values()],
    }
