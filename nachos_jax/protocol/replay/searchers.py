"""Plays searchers on a finished grid: all that they can propose has been trained, so repeats are cheap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nachos_jax.config.run_config import RunConfig
from nachos_jax.configs import base
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import TrialScore
from nachos_jax.protocol.design.selection import select
from nachos_jax.protocol.replay import recorded as recordings
from nachos_jax.protocol.replay.recorded import Recorded
from nachos_jax.protocol.replay.replay import full_scores, play, recorded_epochs
from nachos_jax.protocol.run.configure import checked
from nachos_jax.records.store import RunDirectory
from nachos_jax.search.searcher import SearchSetting, identity
from nachos_jax.statistics.ranks import kruskal_wallis

Way = tuple[str, str]
"""Searcher and policy."""


Ends = Mapping[int, int]
"""Of each outer fold the configuration that was selected, by its number in the grid."""


def compare(workdir: str, ways: Sequence[Way], trials: int, repeats: int) -> dict[str, Any]:
    """What searchers would have found in the grid of a finished run.

    A repeat is a seed; each study stands alone. What a way has found is the full inner score of the
    configuration that it selects, however far its policy has trained that one.

    Args:
        workdir: run directory of an `evaluate` that trained every configuration of its space in full.
        ways: what to compare.
        trials: of each study, at most; fewer where the space ends.
        repeats: seeds, from 0.

    Returns:
        trials, repeats: as given; configurations: G, size of the grid; best: score of the best one, like all
        scores a mean over outer folds. ways: of each "searcher, policy" the mean epochs of a study, their
        share of those of the whole grid (`fraction`), mean and SD over repeats of the score, mean regret, and
        how often the best configuration was selected (`best_found`). test: `GroupTest` of Kruskal and Wallis
        over the scores of all repeats; None of one way.

    Raises:
        UsageError: the run cannot be replayed, its space is no grid, not all of it was trained, or a searcher
            or policy is not known.
    """
    ways = tuple(dict.fromkeys(ways))
    grid = _Grid(workdir, recordings.run(workdir))
    best = {t: grid.best(t) for t in grid.found.trials}
    played = {", ".join(way): [grid.played(way, trials, seed) for seed in range(repeats)] for way in ways}
    scores = {name: [grid.score(ends) for _, ends in runs] for name, runs in played.items()}
    top = grid.score(best)
    told = {}
    for name, runs in played.items():
        epochs = float(np.mean([spent for spent, _ in runs]))
        told[name] = {
            "epochs": epochs / len(best),
            "fraction": epochs / grid.epochs,
            "score": float(np.mean(scores[name])),
            "score_sd": float(np.std(scores[name], ddof=1)) if repeats > 1 else None,
            "regret": top - float(np.mean(scores[name])),
            "best_found": float(np.mean([ends[t] == best[t] for _, ends in runs for t in best])),
        }
    return {
        "trials": trials,
        "repeats": repeats,
        "configurations": grid.size,
        "best": top,
        "ways": told,
        "test": asdict(kruskal_wallis(scores)) if len(ways) > 1 else None,
    }


@dataclass(frozen=True)
class _Grid:
    """A finished grid and what is known of all its configurations."""

    workdir: str
    found: Recorded

    @cached_property
    def whole(self) -> Mapping[int, Sequence[TrialScore]]:
        """Of each outer fold the full scores of all configurations."""
        return {t: full_scores(self.found, t) for t in self.found.trials}

    @property
    def epochs(self) -> int:
        """Of all studies, each alone, with every configuration trained in full."""
        return recorded_epochs(self.found)

    @cached_property
    def size(self) -> int:
        """Number of configurations, every one of which is recorded.

        Raises:
            UsageError: one is not.
        """
        setting = SearchSetting.of(self.run({}), 0)
        for dimension in setting.searched:
            if dimension.kind in ("uniform", "log"):
                raise UsageError(
                    f"--curves={self.workdir}: config.search.space.{dimension.name} is a range, so what a "
                    "searcher proposes was not trained; name a run under config.search.searcher = 'grid'."
                )
        wanted = {identity(one.hparams) for one in setting.given}
        wanted |= {identity(hparams) for hparams in setting.grid()}
        for t, known in self.found.trials.items():
            missing = wanted - set(map(identity, known))
            if missing:
                raise UsageError(
                    f"--curves={self.workdir}: outer fold {t} has trained {len(wanted) - len(missing)} of "
                    f"{len(wanted)} configurations, and a searcher may propose any; name a run under "
                    f"config.search.searcher = 'grid' with config.search.trials = {len(wanted)}."
                )
        return len(wanted)

    def run(self, search: Mapping[str, Any], seed: int = 0) -> RunConfig:
        """The config of the run with another search; what it left open stands as it was trained."""
        told = RunDirectory(self.workdir, "evaluate").run()
        assert told is not None
        values: Any = base.get_config()
        with values.unlocked():
            values.update(told["config"])
            values.search.update(search)
            values.seed = seed
        run = checked(values)
        searched = {dimension.name for dimension in run.search.space}
        trained = next(iter(self.found.trials.values()))[0]
        fixed = {name: value for name, value in trained.items() if name not in searched}
        return replace(run, defaults={**run.defaults, **fixed})

    def played(self, way: Way, trials: int, seed: int) -> tuple[int, Ends]:
        """Epochs of all studies, each alone, and what each has selected."""
        searcher, policy = way
        run = self.run({"searcher": searcher, "policy": policy, "trials": min(trials, self.size)}, seed)
        spent, ends = 0, {}
        for t, known in self.found.trials.items():
            epochs, memory = play(self.found, run, [t], t)
            outcome = memory.outcomes[t]
            wanted = identity(outcome.trials[outcome.selected].hparams)
            ends[t] = next(n for n, hparams in enumerate(known) if identity(hparams) == wanted)
            spent += epochs
        return spent, ends

    def best(self, outer: int) -> int:
        """Number of the best configuration.

        Raises:
            UsageError: all have failed.
        """
        number = select(self.whole[outer])
        if number is None:
            raise UsageError(f"--curves={self.workdir}: every trial of outer fold {outer} has failed.")
        return number

    def score(self, ends: Ends) -> float:
        """Mean over outer folds of the full scores of what was selected."""
        found = [self.whole[t][number].score for t, number in ends.items()]
        return float(np.mean([math.nan if score is None else score for score in found]))
