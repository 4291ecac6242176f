"""Searchers and policies on real images, repeated: what they find for about the same epochs.

    python -m benchmarks.statistics.searchers --data FILE.npz --repeats 10

Whole runs of nested cross-validation over some cases of a real data set. A repeat is a seed: all ways share
its cases, folds and initial weights. Ways that train less of each trial are given more trials, so that all
spend about the same epochs; what each has spent is told. `nachos study` then says whether their scores differ
(Kruskal-Wallis), of the best inner score and of the outer folds. With --keep=FOLDER the runs stay, and the
same command goes on with them.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure

WAYS: dict[str, tuple[str, str, int]] = {
    "random": ("random", "full", 8),
    "ax": ("ax", "full", 8),
    "bohb": ("bohb", "hyperband", 16),
    "race + random": ("random", "race", 12),
    "race + ax": ("ax", "race", 12),
    "hyperband + random": ("random", "hyperband", 16),
}
"""Searcher, policy, trials."""
FIELDS = ("config.search.searcher", "config.search.policy")
FOLDS, EPOCHS, PATIENCE = 4, 10, 3


def cases(path: Path, count: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Cases drawn from all splits of a file, classes as frequent as there: images [n, P, P], labels [n]."""
    from PIL import Image

    with np.load(path) as file:
        parts = [name for name in ("train_", "val_", "test_", "") if f"{name}images" in file.files]
        images = np.concatenate([file[f"{part}images"] for part in parts])
        labels = np.concatenate([file[f"{part}labels"].reshape(-1) for part in parts])
    chosen = np.random.default_rng(0).permutation(len(images))[:count]
    small = [
        Image.fromarray(image).resize((pixels, pixels), Image.Resampling.BOX) for image in images[chosen]
    ]
    return np.stack([np.asarray(image) for image in small]), labels[chosen]


def run(way: str, seed: int, cohort: Any, folder: Path) -> None:
    """One whole run into a folder; one that has ended stays as it is."""
    import nachos_jax

    config = nachos_jax.default_config()
    config.search.searcher, config.search.policy, config.search.trials = WAYS[way]
    config.folds.count, config.training.epochs, config.training.patience = FOLDS, EPOCHS, PATIENCE
    config.training.batch_size, config.model.cnn.width, config.seed = 32, 8, seed
    config.data.allow = ("duplicates",)  # a few small pictures are equal
    config.engine.checkpoint_epochs = 0
    if not (folder / "summary.json").exists():
        nachos_jax.evaluate(config, folder, cohort)


def rows(studied: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A line for each way: epochs of a study, best inner score, score of the outer folds (mean and SD)."""
    lines: list[tuple[str, ...]] = []
    for way, (searcher, policy, trials) in WAYS.items():
        runs = [run for run in studied["runs"] if run["group"] == f"{searcher}, {policy}"]
        epochs = np.mean([run["epochs"] / run["studies"] for run in runs])
        spread = [_spread([run[score] for run in runs]) for score in ("inner", "outer")]
        lines.append((way, f"{trials}", f"{epochs:.0f}", *spread))
    return lines


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"


def notes(studied: Mapping[str, Any]) -> list[str]:
    """What the tests say."""
    told = []
    for score, words in (("inner", "best inner scores"), ("outer", "scores of the outer folds")):
        test = studied["repeated"]["tests"][score]
        verdict = "differ" if test["p"] < 0.05 else "no difference was found"
        told.append(
            f"{words}: {verdict} (Kruskal-Wallis H = {test['h']:.2f}, {test['df']} degrees of freedom, "
            f"p = {test['p']:.3f}, epsilon squared {test['epsilon_squared']:.3f})."
        )
    return told


@contextlib.contextmanager
def place(keep: str) -> Generator[Path]:
    """Where the runs lie."""
    if keep:
        yield Path(keep)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)


def study(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All runs, and what they teach together."""
    import nachos_jax
    from nachos_jax.report.numbers import lessons

    logging.getLogger("nachos_jax").setLevel(logging.WARNING)
    images, labels = cases(given.data, given.cases, given.pixels)
    cohort = nachos_jax.cohort_from_arrays(images, labels, one_case_per_subject=True)
    for seed in range(given.repeats):
        for way in WAYS:
            run(way, seed, cohort, folder / f"{way.replace(' ', '')}-{seed}")
            print(f"seed {seed}: {way}", flush=True)
    return lessons.of_runs([str(folder)], FIELDS)


def main() -> None:
    """Trains all, prints and stores the table."""
    flags = measure.parser(__doc__)
    flags.add_argument("--data", type=Path, required=True, help="npz with images and labels")
    flags.add_argument("--repeats", type=int, default=10)
    flags.add_argument("--cases", type=int, default=320)
    flags.add_argument("--pixels", type=int, default=28)
    flags.add_argument("--keep", default="", help="folder in which the runs stay")
    given = flags.parse_args()
    measure.start_jax()
    with place(given.keep) as folder:
        studied = study(given, folder)
    titles = ("way", "trials", "epochs of a study", "best inner score", "outer folds")
    value = {
        "metric": studied["metric_label"],
        "tests": studied["repeated"]["tests"],
        "runs": [
            {key: run[key] for key in ("name", "group", "epochs", "inner", "outer")}
            for run in studied["runs"]
        ],
        "best_so_far": studied["best_so_far"]["groups"],
        "notes": [
            *notes(studied),
            f"Scores are {studied['metric_label']}; mean and SD over {given.repeats} seeds.",
        ],
    }
    title = f"Searchers and policies on {given.cases} cases of {given.data.stem}, {FOLDS} outer folds"
    table = measure.Table(titles, tuple(rows(studied)))
    measure.store(given.out, f"searchers_{given.data.stem}", title, table, value, timed=False)


if __name__ == "__main__":
    main()
