"""The searchers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nachos_jax.core.errors import UsageError
from nachos_jax.search.ax_search import AxSearch
from nachos_jax.search.random_search import DrawnSearch, random_points, sobol_points
from nachos_jax.search.searcher import Searcher, SearchSetting

SEARCHERS: Mapping[str, Callable[[SearchSetting], Searcher]] = {
    "ax": AxSearch,
    "sobol": lambda setting: DrawnSearch(setting, "sobol", sobol_points),
    "random": lambda setting: DrawnSearch(setting, "random", random_points),
}


def build(name: str, setting: SearchSetting) -> Searcher:
    """The searcher of one study, by its name in the config.

    Raises:
        UsageError: there is no searcher of this name.
    """
    check(name)
    return SEARCHERS[name](setting)


def check(name: str) -> None:
    """Raises UsageError when there is no searcher of this name."""
    if name not in SEARCHERS:
        known = ", ".join(f'"{known}"' for known in SEARCHERS)
        raise UsageError(f"config.search.searcher = {name!r}: must be one of {known}.")


def looks_at_scores(name: str) -> bool:
    """True when proposals depend on scores, so that trials must be asked for in rounds."""
    return name == "ax"
