"""By which method networks are solved that are: a run is finished by the one that it began with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.engine.solving import SOLVER
from nachos_jax.models import registry as models
from nachos_jax.records.store import RunDirectory

FIRST = 1
"""What solved the networks of runs that do not tell."""


def told(config: RunConfig) -> dict[str, Any]:
    """What the identity of a run says of it: nothing where all of its networks train in steps."""
    return {"solver": SOLVER} if _solves(config) else {}


def check(config: RunConfig, store: RunDirectory) -> None:
    """Refuses to train on in a run that another method has begun.

    Raises:
        UsageError: its networks were solved by another one.
    """
    known: Mapping[str, Any] | None = store.run()
    then = SOLVER if known is None else known.get("solver", FIRST)
    if then != SOLVER and _solves(config):
        raise UsageError(
            f"{store.path} began with method {then} of solving linear networks, and this version has method "
            f"{SOLVER}: the solutions are the same but for their last digits, which would depend on when a "
            "fit was trained. Finish it with the version of nachos_jax that began it, or use a new --workdir."
        )


def _solves(config: RunConfig) -> bool:
    return any(models.convex(str(name)) for name in config.candidates("architecture"))
