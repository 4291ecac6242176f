"""Nested cross-validation with hyperparameter search for medical images, many trainings at once.

The public face; each name is loaded when it is first used, so that importing this costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nachos_jax.api import (
        cohort_from_arrays,
        default_config,
        deploy,
        evaluate,
        fit_lanes,
        load,
        with_columns,
    )
    from nachos_jax.core.errors import UsageError

__all__ = [
    "UsageError",
    "cohort_from_arrays",
    "default_config",
    "deploy",
    "evaluate",
    "fit_lanes",
    "load",
    "with_columns",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nachos_jax' has no attribute {name!r}")
    home = "nachos_jax.core.errors" if name == "UsageError" else "nachos_jax.api"
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
