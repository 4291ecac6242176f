"""Features of a pretrained network against pixels: the same nested cross-validation of the same cases.

    python -m benchmarks.statistics.features --data FOLDER --weights FILE.pth --keep RESULTS
    python -m benchmarks.statistics.features --keep RESULTS --merge

A linear model on cached features of EfficientNet-lite0, trained on ImageNet, beside the default network on
pixels and a stronger recipe for pixels; each seed names folds and initial weights, and all meet the same. The
score is the AUC of the outer folds, of several classes the mean over each against the rest. Flags as for
`defaults`.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.shared import measure
from benchmarks.statistics import jobs
from benchmarks.statistics.recipes import Trained

FEATURES = "features, linear"
PIXELS = ("default", "100 epochs")
SETS = ("brain_tumor_mri4", "kermany_cxr_pneumonia")
METRIC = "auc"


def wanted(given: argparse.Namespace) -> list[Trained]:
    """What to train: features first, all of a seed before the next."""
    if given.weights is None:
        raise SystemExit("--weights: the file of the backbone's weights is needed")
    ways, seeds = (FEATURES, *PIXELS), map(int, jobs.names(given.seeds))
    found = itertools.product(seeds, ways, jobs.names(given.sets))
    return [Trained(name, given.cases, seed, recipe) for seed, recipe, name in found]


def folds_of(results: Sequence[Mapping[str, Any]], name: str, recipe: str) -> dict[tuple[int, int], float]:
    """AUC of the outer folds of a set and recipe, by seed and fold."""
    own = [one for one in results if one["name"] == name and one["recipe"] == recipe]
    return {
        (one["seed"], fold): value
        for one in own
        for fold, value in enumerate(one["metrics"][METRIC])
        if value is not None
    }


def compared(results: Sequence[Mapping[str, Any]], name: str, pixels: str) -> dict[str, Any]:
    """Features minus pixels on the outer folds that both have: mean, and the corrected t interval over folds.

    Raises:
        ValueError: the results have different numbers of outer folds.
    """
    from nachos_jax.statistics.comparison import corrected_t

    features, others = (folds_of(results, name, recipe) for recipe in (FEATURES, pixels))
    differences = [features[key] - others[key] for key in sorted(features.keys() & others.keys())]
    counts = {one["folds"] for one in results}
    if len(counts) != 1:
        raise ValueError(f"results of {sorted(counts)} outer folds do not belong together")
    test = corrected_t(differences, counts.pop())
    mean = float(np.mean(differences)) if differences else None
    return {"mean": mean, "folds": len(differences), **asdict(test)}


def spread(results: Sequence[Mapping[str, Any]], name: str, recipe: str) -> dict[str, Any]:
    """Mean over outer folds by seed; their mean and SD."""
    found = folds_of(results, name, recipe)
    seeds = sorted({seed for seed, _ in found})
    means = [float(np.mean([value for key, value in found.items() if key[0] == seed])) for seed in seeds]
    return {
        "by_seed": dict(zip(map(str, seeds), means, strict=True)),
        "mean": float(np.mean(means)) if means else None,
        "sd": float(np.std(means, ddof=1)) if len(means) > 1 else None,
    }


def tell(results: Sequence[dict[str, Any]], given: argparse.Namespace) -> None:
    """Prints and stores the table."""
    lines, told = [], {}
    for name, recipe in itertools.product(sorted({one["name"] for one in results}), (*PIXELS, FEATURES)):
        own = spread(results, name, recipe)
        if own["mean"] is None:
            continue
        against = compared(results, name, recipe) if recipe != FEATURES else None
        told.setdefault(name, {})[recipe] = {**own, "features_minus_this": against}
        sd = "" if own["sd"] is None else f" ± {own['sd']:.3f}"
        cells = (f"{own['mean']:.3f}{sd}", _difference(against), _seconds(results, name, recipe))
        lines.append((name, recipe, f"{len(own['by_seed'])}", *cells))
    columns = ("set", "recipe", "seeds", "AUC of the outer folds", "features minus this", "seconds a run")
    sizes = " and ".join(f"{size:,}" for size in sorted({one["cases"] for one in results}))
    notes = [
        "Mean and SD over seeds of the mean over outer folds; differences on the "
        "same outer folds, with the corrected t interval of 95 %. Seconds count compilation and, once, the "
        "features; several processes shared the machine."
    ]
    table = measure.Table(columns, tuple(lines))
    kept = [{key: part for key, part in one.items() if key != "machine"} for one in results]
    names = (f"features_{given.cases}", f"Features of EfficientNet-lite0 against pixels, {sizes} cases")
    jobs.store(given, names, table, {"sets": told, "notes": notes, "results": kept}, results)


def _seconds(results: Sequence[Mapping[str, Any]], name: str, recipe: str) -> str:
    """Median of the runs of a set and recipe, where one kind of machine trained them."""
    own = [one for one in results if (one["name"], one["recipe"]) == (name, recipe)]
    alike = len({one["machine"]["devices"][0] for one in own}) == 1
    return f"{np.median([one['seconds'] for one in own]):.0f} s" if alike else "-"


def _difference(told: Mapping[str, Any] | None) -> str:
    if told is None or told["mean"] is None:
        return "-"
    ends = "" if told["low"] is None else f" ({told['low']:+.3f} to {told['high']:+.3f})"
    return f"{told['mean']:+.3f}{ends}"


def chosen(results: Sequence[dict[str, Any]], given: argparse.Namespace) -> list[dict[str, Any]]:
    """The results of the sets, size and seeds that the flags name."""
    seeds, sets = set(map(int, jobs.names(given.seeds))), jobs.names(given.sets)
    fitting = [one for one in results if one["size"] == given.cases and one["recipe"] in (FEATURES, *PIXELS)]
    return [one for one in fitting if one["name"] in sets and one["seed"] in seeds]


def main() -> None:
    """Trains, or tells what has been trained."""
    flags = jobs.parser(__doc__)
    flags.add_argument("--sets", default=";".join(SETS), help="parted by semicolons, like all lists")
    flags.add_argument("--cases", type=int, default=1000, help="of each set, at most")
    flags.add_argument("--seeds", default="0;1;2")
    jobs.run(jobs.given_of(flags), wanted, chosen, tell)


if __name__ == "__main__":
    main()
