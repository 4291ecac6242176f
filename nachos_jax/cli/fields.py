"""`nachos config`: every field of the config with its default and its meaning."""

from __future__ import annotations

from typing import Any

from nachos_jax.cli.parsing import Flag, closest
from nachos_jax.core.errors import UsageError

FLAGS = (
    Flag("section", "NAME", "One section, like training; all when left out.", many=True, required=False),
)


def fields(values: Any, _words: list[str]) -> None:
    """Prints the listing.

    Raises:
        UsageError: a section that does not exist.
    """
    from nachos_jax.config.fields import SECTIONS
    from nachos_jax.config.listing import listing
    from nachos_jax.configs import base

    names = [section.name for section in SECTIONS if section.name]
    for name in values.section or ():
        if name not in names:
            near = closest(name, names)
            cure = f"did you mean {near}?" if near else f"there are {', '.join(names)}."
            raise UsageError(f"--section={name}: there is no such section; {cure}")
    print(listing(base.get_config().to_dict(), base.table(), values.section or ()))
