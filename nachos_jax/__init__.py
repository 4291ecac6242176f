"""Nested cross-validation with hyperparameter search for medical images, many trainings at once.

The public face; each name is loaded when it is first used, so that importing this costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "default_config": "nachos_jax.api",
    "cohort_from_arrays": "nachos_jax.api",
    "evaluate": "nachos_jax.api",
    "deploy": "nachos_jax.api",
    "load": "nachos_jax.api",
    "fit_lanes": "nachos_jax.api",
    "UsageError": "nachos_jax.core.errors",
}
__all__ = sorted(_PUBLIC)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nachos_jax' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
