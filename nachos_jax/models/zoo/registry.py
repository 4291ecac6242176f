"""Finds the networks of the zoo: each file beside this one with NETWORKS, by name, is a family."""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Mapping

from nachos_jax.core.errors import UsageError
from nachos_jax.models import zoo
from nachos_jax.models.zoo.network import Network


def names() -> tuple[str, ...]:
    """Names of the networks, in alphabetical order."""
    return tuple(sorted(_networks()))


def network(name: str) -> Network:
    """The network of that name.

    Raises:
        UsageError: there is none.
    """
    found = _networks().get(name)
    if found is None:
        near = difflib.get_close_matches(name, names(), 1)
        raise UsageError(
            f"config.backbone.name = {name!r}: "
            + (f"did you mean {near[0]!r}? There are " if near else "there are ")
            + f"{', '.join(names())}."
        )
    return found


@functools.cache
def _networks() -> Mapping[str, Network]:
    found: dict[str, Network] = {}
    for info in pkgutil.iter_modules(zoo.__path__):
        if f"{zoo.__name__}.{info.name}" != __name__:
            file = importlib.import_module(f"{zoo.__name__}.{info.name}")
            found |= getattr(file, "NETWORKS", {})
    return found
