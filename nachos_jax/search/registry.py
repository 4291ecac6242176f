"""The searchers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nachos_jax.core.errors import UsageError
from nachos_jax.search import ax_search, bohb_search
from nachos_jax.search.drawn_search import DrawnSearch, random, sobol
from nachos_jax.search.grid_search import grid_search
from nachos_jax.search.learned_search import LearnedSearch, Model
from nachos_jax.search.searcher import Searcher, SearchSetting

MODELS: Mapping[str, Model] = {"ax": ax_search.learned, "bohb": bohb_search.learned}
"""What proposes where scores are looked at, in rounds."""

DRAWN: Mapping[str, Callable[[SearchSetting], Searcher]] = {
    "sobol": lambda setting: DrawnSearch(setting, "sobol", sobol),
    "random": lambda setting: DrawnSearch(setting, "random", random),
    "grid": grid_search,
}
"""Searchers whose trials all studies share."""


def build(name: str, setting: SearchSetting) -> Searcher:
    """The searcher of one study, by its name in the config.

    Raises:
        UsageError: there is no searcher of this name, or it cannot search this space.
    """
    if name in MODELS:
        return LearnedSearch(setting, name, MODELS[name])
    if name in DRAWN:
        return DRAWN[name](setting)
    known = ", ".join(f'"{known}"' for known in (*MODELS, *DRAWN))
    raise UsageError(f"config.search.searcher = {name!r}: must be one of {known}.")


def prepare(name: str) -> None:
    """Imports what a searcher needs; for Ax that takes seconds, which fit beside training."""
    if name == "ax":
        ax_search.prepare()


def looks_at_scores(name: str) -> bool:
    """True when proposals depend on scores, so that trials must be asked for in rounds.

    Args:
        name: a searcher, or the origin of a trial.
    """
    return name in MODELS
