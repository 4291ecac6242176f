"""The policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nachos_jax.core.errors import UsageError
from nachos_jax.search.policies.full import Full
from nachos_jax.search.policies.halving import Halving
from nachos_jax.search.policies.hyperband import Hyperband
from nachos_jax.search.policies.policy import Policy
from nachos_jax.search.policies.race import Race
from nachos_jax.search.policies.race_fitted import RaceFitted
from nachos_jax.search.policies.race_halving import RaceHalving
from nachos_jax.search.policies.race_short import RaceShort
from nachos_jax.search.policies.top import Top

POLICIES: Mapping[str, Callable[[], Policy]] = {
    "full": Full,
    "race": Race,
    "race-fitted": RaceFitted,
    "race-short": RaceShort,
    "race-halving": RaceHalving,
    "halving": Halving,
    "hyperband": Hyperband,
    "top": Top,
}
"""By their names in config.search.policy."""


def build(name: str) -> Policy:
    """The policy of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in POLICIES:
        known = ", ".join(f'"{known}"' for known in POLICIES)
        raise UsageError(f"config.search.policy = {name!r}: must be one of {known}.")
    return POLICIES[name]()
