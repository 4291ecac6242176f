"""What to begin with: recipes of training compared on public sets and cohorts of several sizes.

    python -m benchmarks.statistics.defaults --data FOLDER --keep RESULTS [--weights FILE.pth]
    python -m benchmarks.statistics.defaults --keep RESULTS --merge

Each result is a whole nested cross-validation of so many cases of a set, drawn by a seed: few trials, whose
learning rate, momentum and weight decay (or C) are searched inside, tested once on the outer folds. All
recipes meet the same cases, folds and seeds. Several processes may share a folder and so the work; with
--budget each begins nothing that it cannot expect to end, and what is finished stays. --merge tells and
stores what a folder holds: mean ranks, and differences to one recipe over the sets.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.shared import measure
from benchmarks.statistics import cohorts, jobs
from benchmarks.statistics.recipes import METRICS, RECIPES, Trained

FIRST = next(iter(RECIPES))
BETTER = {"balanced_accuracy": 1, "auc": 1, "log_loss": -1}

Block = tuple[str, int, int]
"""Set, cases, seed: what recipes are compared on."""


def wanted(given: argparse.Namespace) -> list[Trained]:
    """What to train: all of a seed before the next, so that early ends lose seeds and no recipe."""
    chosen = jobs.names(given.recipes) or list(RECIPES)
    unknown = sorted(set(chosen) - set(RECIPES))
    if unknown:
        raise SystemExit(f"--recipes: {', '.join(unknown)} is none of {'; '.join(RECIPES)}")
    seeds, sizes = map(int, jobs.names(given.seeds)), [*map(int, jobs.names(given.sizes))]
    trainable = [one for one in chosen if given.weights is not None or not RECIPES[one].features]
    there = {name: len(cohorts.read(given.data, name).labels) for name in jobs.names(given.sets)}
    found = itertools.product(seeds, trainable, sizes, there)
    return [Trained(name, size, seed, one) for seed, one, size, name in found if there[name] >= size]


def scores(results: Sequence[Mapping[str, Any]], metric: str) -> dict[str, dict[Block, float]]:
    """Mean over outer folds by recipe and block; a result with an undefined fold has none."""
    found: dict[str, dict[Block, float]] = {name: {} for name in RECIPES}
    for one in results:
        values = one["metrics"][metric]
        if None not in values:
            found[one["recipe"]][one["name"], one["size"], one["seed"]] = float(np.mean(values))
    return {recipe: blocks for recipe, blocks in found.items() if blocks}


def differences(found: Mapping[str, Mapping[Block, float]], recipe: str, base: str) -> dict[Block, float]:
    """A recipe minus another one, on the blocks that both have."""
    return {
        block: value - found[base][block] for block, value in found[recipe].items() if block in found[base]
    }


def over_sets(found: Mapping[Block, float]) -> dict[str, Any]:
    """Mean of differences with two intervals.

    Returns:
        `mean`, over sets, of each set's mean; `sets` and `blocks`, how many; `by_set`; `low` and `high`, a
        t interval whose unit is the set: for a further set like these; `low_here` and `high_here`, whose
        unit is the block: for other draws of these sets. None where there are fewer than two.
    """
    by_set = {
        name: float(np.mean([value for block, value in found.items() if block[0] == name]))
        for name in sorted({block[0] for block in found})
    }
    low, high = _interval([*by_set.values()])
    low_here, high_here = _interval([*found.values()])
    return {
        "mean": float(np.mean([*by_set.values()])) if by_set else None,
        "sets": len(by_set),
        "blocks": len(found),
        "by_set": by_set,
        "low": low,
        "high": high,
        "low_here": low_here,
        "high_here": high_here,
    }


def _interval(values: Sequence[float], level: float = 0.95) -> tuple[float | None, float | None]:
    """Of a mean of independent values, by Student's t."""
    if len(values) < 2:
        return None, None
    from scipy import stats

    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def mean_ranks(found: Mapping[str, Mapping[Block, float]], sign: int) -> dict[str, float]:
    """Mean rank of each recipe (1 is best) over the blocks that all recipes have; {} where there is none."""
    from scipy import stats

    blocks = sorted(set.intersection(*(set(values) for values in found.values()))) if found else []
    if not blocks:
        return {}
    ranks = [stats.rankdata([-sign * values[block] for values in found.values()]) for block in blocks]
    return dict(zip(found, np.mean(ranks, axis=0).tolist(), strict=True))


def stopping(results: Sequence[Mapping[str, Any]], recipe: str) -> dict[str, Any]:
    """Where a recipe's search fits stopped: median epochs, share of those that met the limit, refits."""
    own = [one["epochs"] for one in results if one["recipe"] == recipe]
    stopped = [epochs for one in own for epochs in one["stopped"]]
    return {
        "median": float(np.median(stopped)) if stopped else None,
        "limit_share": sum(one["limit"] for one in own) / len(stopped) if stopped else None,
        "nan_share": sum(one["nan"] for one in own) / len(stopped) if stopped else None,
        "refit_median": float(np.median([epochs for one in own for epochs in one["refits"]])),
    }


def rows(results: Sequence[Mapping[str, Any]], told: Mapping[str, Any], base: str) -> list[tuple[str, ...]]:
    """A line for each recipe."""
    found: list[tuple[str, ...]] = []
    for recipe in told["recipes"]:
        stop, own = told["stopping"][recipe], [one for one in results if one["recipe"] == recipe]
        solved = stop["median"] == 1
        cells = [_difference(told["differences"][metric].get(recipe), recipe == base) for metric in METRICS]
        rank = told["mean_ranks"]["balanced_accuracy"].get(recipe)
        found.append(
            (
                recipe,
                f"{len(own)}",
                "-" if rank is None else f"{rank:.1f}",
                *cells,
                "-" if solved else f"{stop['median']:.0f}",
                "-" if solved else f"{100 * stop['limit_share']:.0f} %",
                f"{np.median([one['seconds'] for one in own]):.0f} s",
            )
        )
    return found


def _difference(told: Mapping[str, Any] | None, base: bool) -> str:
    if base:
        return "0"
    if told is None or told["mean"] is None:
        return "-"
    ends = "" if told["low"] is None else f" ({told['low']:+.3f} to {told['high']:+.3f})"
    return f"{told['mean']:+.3f}{ends}"


def merged(results: Sequence[Mapping[str, Any]], base: str) -> dict[str, Any]:
    """What some results say together; see the functions that are called here."""
    by_metric = {metric: scores(results, metric) for metric in METRICS}
    present = [recipe for recipe in RECIPES if any(one["recipe"] == recipe for one in results)]
    return {
        "recipes": present,
        "mean_ranks": {metric: mean_ranks(found, BETTER[metric]) for metric, found in by_metric.items()},
        "differences": {
            metric: {
                recipe: over_sets(differences(found, recipe, base))
                for recipe in found
                if recipe != base and base in found
            }
            for metric, found in by_metric.items()
        },
        "stopping": {recipe: stopping(results, recipe) for recipe in present},
    }


COLUMNS = (
    "recipe",
    "runs",
    "mean rank",
    "balanced accuracy",
    "AUC",
    "log-loss",
    "epochs",
    "at the limit",
    "seconds a run",
)


def tell(results: Sequence[dict[str, Any]], given: argparse.Namespace) -> None:
    """Prints and stores a table of each cohort size, and one of all."""
    sizes = sorted({one["size"] for one in results})
    for size in sizes:
        own = [one for one in results if one["size"] == size]
        kept = [{key: part for key, part in one.items() if key != "machine"} for one in own]
        names = (f"defaults_{size}", f"Recipes of training on {size:,} cases")
        _store(own, given, names, {"results": kept})
    if len(sizes) > 1:
        several = " and ".join(f"{one:,}" for one in sizes)
        _store(results, given, ("defaults_all", f"Recipes of training on {several} cases together"), {})


def _store(
    own: Sequence[dict[str, Any]], given: argparse.Namespace, names: tuple[str, str], more: dict[str, Any]
) -> None:
    told = merged(own, given.against)
    sets, seeds = sorted({one["name"] for one in own}), sorted({one["seed"] for one in own})
    notes = [
        f"Differences to {given.against!r}: mean over {len(sets)} sets ({', '.join(sets)}) of seed "
        f"{', '.join(map(str, seeds))}, with a 95 % interval whose unit is the set. Ranks are those of "
        "balanced accuracy where all recipes were trained.",
        "Epochs: median of where search fits stopped; at the limit: share of them that met it. Seconds count "
        "compilation, and several processes shared the machine.",
    ]
    table = measure.Table(COLUMNS, tuple(rows(own, told, given.against)))
    jobs.store(given, names, table, {**told, "notes": notes, **more}, own)


def chosen(results: Sequence[dict[str, Any]], given: argparse.Namespace) -> list[dict[str, Any]]:
    """The results of the sets, sizes, seeds and recipes that the flags name."""
    recipes = jobs.names(given.recipes) or list(RECIPES)
    sizes, seeds = (set(map(int, jobs.names(text))) for text in (given.sizes, given.seeds))
    return [
        one
        for one in results
        if one["recipe"] in recipes
        and one["name"] in jobs.names(given.sets)
        and one["size"] in sizes
        and one["seed"] in seeds
    ]


def main() -> None:
    """Trains, or tells what has been trained."""
    flags = jobs.parser(__doc__)
    flags.add_argument(
        "--sets", default=";".join(cohorts.SUBJECTS), help="parted by semicolons, like all lists"
    )
    flags.add_argument("--sizes", default="300;1000;150", help="cases; a set with fewer is left out")
    flags.add_argument("--recipes", default="", help="all by default; those of features need --weights")
    flags.add_argument("--seeds", default="0;1;2")
    flags.add_argument("--against", default=FIRST, help="recipe that differences are taken to")
    jobs.run(jobs.given_of(flags), wanted, chosen, tell)


if __name__ == "__main__":
    main()
