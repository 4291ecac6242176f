"""The searchers by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nachos_jax.core.errors import UsageError
from nachos_jax.search.ax_search import AxSearch
from nachos_jax.search.random_search import DrawnSearch, random_points
from nachos_jax.search.searcher import Searcher, SearchSetting
from nachos_jax.search.sobol import sobol_points


@dataclass(frozen=True)
class Kind:
    """A searcher that can be named in a config."""

    build: Callable[[SearchSetting], Searcher]  # makes it for one study
    looks_at_scores: bool  # True when proposals depend on scores, so that trials are asked for in rounds


SEARCHERS = {
    "ax": Kind(AxSearch, looks_at_scores=True),
    "sobol": Kind(lambda setting: DrawnSearch(setting, "sobol", sobol_points), looks_at_scores=False),
    "random": Kind(lambda setting: DrawnSearch(setting, "random", random_points), looks_at_scores=False),
}


def build(name: str, setting: SearchSetting) -> Searcher:
    """The searcher of one study, by its name in the config.

    Raises:
        UsageError: there is no searcher of this name.
    """
    check(name)
    return SEARCHERS[name].build(setting)


def check(name: str) -> None:
    """Raises UsageError when there is no searcher of this name."""
    if name not in SEARCHERS:
        known = ", ".join(f'"{known}"' for known in SEARCHERS)
        raise UsageError(f"config.search.searcher = {name!r}: must be one of {known}.")


def looks_at_scores(name: str) -> bool:
    """True when proposals depend on scores, so that trials must be asked for in rounds."""
    return SEARCHERS[name].looks_at_scores
