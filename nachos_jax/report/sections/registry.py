"""Finds the section of a task: adding one takes a file or a folder beside this one, and no other change."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

from nachos_jax.report import sections

if TYPE_CHECKING:
    from nachos_jax.report.sections.section import Section


@functools.cache
def of(task: str) -> Section:
    """The section of the task of a run.json; for one that has none, what the task measured itself."""
    for info in pkgutil.iter_modules(sections.__path__):
        if info.name == task:
            file = importlib.import_module(f"{sections.__name__}.{task}{'.section' if info.ispkg else ''}")
            if hasattr(file, "SECTION"):
                return file.SECTION
    return importlib.import_module(f"{sections.__name__}.section").Section()
