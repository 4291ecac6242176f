"""Nested cross-validation with hyperparameter search for medical images, many trainings at once.

The public face; each name is loaded when it is first used, so that importing this costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nachos_jax.api import (
        cohort,
        cohort_from_arrays,
        default_config,
        deploy,
        evaluate,
        fit_lanes,
        load,
        with_columns,
        with_external,
    )
    from nachos_jax.core.errors import UsageError
    from nachos_jax.data.arrays import ArrayCases

__all__ = [
    "ArrayCases",
    "UsageError",
    "cohort",
    "cohort_from_arrays",
    "default_config",
    "deploy",
    "evaluate",
    "fit_lanes",
    "load",
    "with_columns",
    "with_external",
]
__version__ = "0.1.0"
_HOMES = {"ArrayCases": "nachos_jax.data.arrays", "UsageError": "nachos_jax.core.errors"}
"""Where names live that are not in nachos_jax/api.py."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nachos_jax' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "nachos_jax.api")), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
