"""Finds the tasks: adding one takes one file beside this one, and no other change.

The contract stands in `nachos_jax.tasks.task`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping

from nachos_jax import tasks
from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.tasks.task import Task

DEFAULT = "classification"


def names() -> tuple[str, ...]:
    """Names of the tasks, in alphabetical order."""
    return tuple(_found())


def of(name: str) -> Task:
    """The task of a name.

    Raises:
        KeyError: there is none.
    """
    return _found()[name]


def hyperparameters() -> tuple[Hyperparameter, ...]:
    """The rows of all tasks, each once: those of the default task first."""
    ordered = sorted(_found().values(), key=lambda task: (task.name != DEFAULT, task.name))
    return tuple(dict.fromkeys(row for task in ordered for row in task.hyperparameters))


@functools.cache
def _found() -> Mapping[str, Task]:
    """Tasks of this package by name."""
    found = {}
    for info in sorted(pkgutil.iter_modules(tasks.__path__), key=lambda info: info.name):
        # The registry lies in the folder that it searches.
        if f"{tasks.__name__}.{info.name}" != __name__:
            file = importlib.import_module(f"{tasks.__name__}.{info.name}")
            if hasattr(file, "TASK"):
                found[info.name] = _checked(info.name, file.TASK)
    return found


def _checked(name: str, task: Task) -> Task:
    """Refuses a file that breaks the contract at the moment it is found, not in the middle of a run."""
    where = f"nachos_jax/tasks/{name}.py"
    if task.name != name:
        raise TypeError(f"{where}: its TASK is called {task.name!r}: must be {name!r}.")
    if task.headline not in task.metrics:
        raise TypeError(f"{where}: its headline {task.headline!r} is none of its metrics.")
    for row in task.hyperparameters:
        if row.default is None or name not in row.tasks:
            raise TypeError(f"{where}: {row.name} must have a default and name the task in `tasks`.")
        row.check(row.default, f"default of {row.name}")
    return task
