"""Segmentation of public data by the whole procedure: what nested cross-validation with its search reaches.

    python -m benchmarks.statistics.masks --run hippocampus_3d --data msd_hippocampus_3d.npz
    python -m benchmarks.statistics.masks --run dsb2018 --data dsb2018_nuclei.npz --set training.epochs=20

Each run is a config of nachos_jax/configs and what is set beside it, in RUNS; --set changes more, which the
stored command tells. With --keep=FOLDER the run directory stays, and the same command goes on with it.
"""

from __future__ import annotations

import argparse
import ast
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.shared import measure

HIPPOCAMPUS = {"data.subject_key": "patient_id", "folds.count": 3, "search.space.weight_decay": ""}
NUCLEI = {
    "data.subject": "one_case_per_subject",
    "data.site_key": "site",
    "data.allow": ("duplicates",),
    "folds.count": 3,
    "search.space.weight_decay": "",
    "augmentation.flip_horizontal": 0.5,
    "augmentation.flip_vertical": 0.5,
}
FULL = {"search.searcher": "random", "search.policy": "full"}
SMALL = {"task.plan_memory": 0.1, "engine.lanes": 1}
WHOLE = {"task.segmentation.patch_depth": 48, "task.segmentation.patch_height": 64}
WIDE_NUCLEI = {
    **(NUCLEI | FULL),
    "model.unet.depth": 5,
    "model.unet.width": 32,
    "task.segmentation.patch_height": 128,
    "task.segmentation.patch_width": 128,
    "task.segmentation.patches": 1,
    "training.batch_size": 8,
    "training.epochs": 40,
    "training.patience": 40,
    "search.trials": 2,
}
SMALL_NUCLEI = {
    **(WIDE_NUCLEI | SMALL),
    "data.subset": 0.3,
    "model.unet.depth": 4,
    "model.unet.width": 8,
    "training.batch_size": 4,
    "training.epochs": 12,
    "training.patience": 12,
    "search.trials": 1,
}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "hippocampus_2d": (
        "segmentation",
        {
            **(HIPPOCAMPUS | FULL | SMALL),
            "task.segmentation.dimensions": 2,
            "task.segmentation.patches": 16,
            "training.batch_size": 2,
            "training.epochs": 7,
            "training.patience": 7,
            "search.trials": 2,
        },
    ),
    "hippocampus_3d": (
        "segmentation",
        {
            **(HIPPOCAMPUS | FULL | SMALL),
            "model.unet.depth": 3,
            "model.unet.width": 8,
            "task.segmentation.patch_depth": 32,
            "task.segmentation.patch_height": 48,
            "task.segmentation.patch_width": 32,
            "task.segmentation.patches": 2,
            "training.batch_size": 1,
            "training.epochs": 9,
            "training.patience": 9,
            "search.trials": 3,
        },
    ),
    "hippocampus_3d_wide": (
        "segmentation",
        {
            **(HIPPOCAMPUS | FULL | WHOLE),
            "model.unet.depth": 4,
            "model.unet.width": 32,
            "task.segmentation.patch_width": 48,
            "task.segmentation.patches": 2,
            "training.batch_size": 3,
            "training.epochs": 40,
            "training.patience": 40,
            "search.trials": 2,
        },
    ),
    "dsb2018": (
        "segmentation",
        {
            **(NUCLEI | FULL | SMALL),
            "model.unet.depth": 5,
            "model.unet.width": 16,
            "task.segmentation.patch_height": 128,
            "task.segmentation.patch_width": 128,
            "task.segmentation.patches": 1,
            "training.batch_size": 4,
            "training.epochs": 6,
            "training.patience": 6,
            "search.trials": 2,
        },
    ),
    "dsb2018_small": ("segmentation", SMALL_NUCLEI),
    "dsb2018_small_supervised": ("segmentation", {**SMALL_NUCLEI, "model.unet.deep_supervision": True}),
    "dsb2018_wide": ("segmentation", WIDE_NUCLEI),
    "dsb2018_wide_supervised": ("segmentation", {**WIDE_NUCLEI, "model.unet.deep_supervision": True}),
    "automonai_grid": (
        "automonai:grid-small",
        {
            "data.subject_key": "patient_id",
            "data.subset": 0.25,
            "folds.count": 3,
            "task.segmentation.dimensions": 2,
            "task.segmentation.patch_height": 64,
            "task.segmentation.patch_width": 48,
            "task.segmentation.patches": 8,
            "training.batch_size": 2,
            "training.epochs": 10,
            "training.patience": 10,
        },
    ),
}
"""Of each run the config, and what is set beside it."""


def config_of(run: str, path: Path, given: Mapping[str, Any]) -> Any:
    """The config of a run on the cases of a file."""
    import importlib

    named, settings = RUNS[run]
    module, _, experiment = named.partition(":")
    config = importlib.import_module(f"nachos_jax.configs.{module}").get_config(*filter(None, [experiment]))
    config.data.path = str(path)
    config.update_from_flattened_dict({**settings, **given})
    return config


def read(texts: list[str]) -> dict[str, Any]:
    """FIELD=VALUE as on the command line of `nachos`, without the leading config."""
    found = {}
    for text in texts:
        field, _, value = text.partition("=")
        try:
            found[field] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[field] = value
    return found


def rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What is told of the whole, of each outer fold, each class and each site: (what, mean Dice, remarks)."""
    found = summary["metrics"]["mean_dice"]
    interval = found["intervals"][0]
    lines = [
        ("all cases", f"{found['estimate']:.3f}", f"{summary['data']['cases']} cases"),
        ("", f"{interval['low']:.3f} to {interval['high']:.3f}", interval["label"]),
    ]
    for name, fold in sorted(found["folds"].items()):
        lines.append((f"outer fold {name}", f"{fold['value']:.3f}", ""))
    for name, one in summary["per_class"]["classes"].items():
        lines.append((f"class {name}", f"{one['dice']['mean']:.3f}", f"{one['cases']} cases"))
    for one in summary["subgroups"]:
        value = one["metrics"]["mean_dice"]["value"]
        told = "-" if value is None else f"{value:.3f}"
        lines.append((f"{one['column']} {one['group']}", told, f"{one['cases']} cases"))
    return lines


def main() -> None:
    """Runs one, prints and stores what it found."""
    import nachos_jax

    flags = measure.parser(__doc__)
    flags.add_argument("--run", choices=tuple(RUNS), required=True)
    flags.add_argument("--data", type=Path, required=True)
    flags.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    flags.add_argument("--keep", default="", help="folder of the run directory")
    given: argparse.Namespace = flags.parse_args()
    measure.start_jax()
    logging.basicConfig(level=logging.INFO)
    config = config_of(given.run, given.data, read(given.set))
    with tempfile.TemporaryDirectory() as temporary:
        summary = nachos_jax.evaluate(config, Path(given.keep or temporary), quiet=False)
    spent = summary["spent"]
    note = (
        f"{spent['seconds']:.0f} s in all, {spent['compile_seconds']:.0f} s of them compiling; "
        f"{spent['fits_trained']} fits of {spent['epochs']} epochs together. {summary['sentence']}"
    )
    kept = ("sentence", "metrics", "per_class", "subgroups", "spent", "outer_folds", "trials", "data")
    value = {"notes": [note], **{name: summary[name] for name in kept}}
    table = measure.Table(("what", "mean Dice", ""), tuple(rows(summary)))
    title = f"Segmentation, {given.run.replace('_', ' ')}: {given.data.stem}"
    measure.store(given.out, f"masks_{given.run}{measure.suffix()}", title, table, value, timed=False)


if __name__ == "__main__":
    main()
