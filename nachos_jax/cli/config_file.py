"""Config files: Python programs of the user, so whatever goes wrong in one is told with its file and line."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.runtime.stopping import StoppedError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

_DATA = {".csv": "csv", ".npz": "base"}
"""Endings of data that are taken for a config, and the config that reads them."""


def load(text: str) -> ConfigDict:
    """The config that a file's `get_config()` returns.

    Args:
        text: path of the file, or the name of one that ships, like "csv"; path:word calls get_config("word").

    Returns:
        The config as the file made it, not checked yet.

    Raises:
        UsageError: no such file, an exception in it, no get_config, or another thing than a config returned.
    """
    from ml_collections import ConfigDict

    name, colon, word = text.partition(":")
    path = _shipped(name) or Path(expanded(name))
    get_config = _attempt(text, path, lambda: _function(text, path))
    arguments = (word,) if colon else ()
    _callable_with(text, get_config, arguments)
    config = _attempt(text, path, lambda: get_config(*arguments))
    if isinstance(config, ConfigDict):
        return config
    if isinstance(config, Mapping):
        return ConfigDict(config)
    raise UsageError(
        f"--config={text}: get_config() returned {_shown(config)}, not a config: start with "
        "config = nachos_jax.default_config(), change it, and end with `return config`."
    )


def shipped() -> list[str]:
    """Names of the configs that ship."""
    from nachos_jax import configs

    return sorted(info.name for info in pkgutil.iter_modules(configs.__path__))


def fields(config: Any, prefix: str = "config.") -> Iterator[tuple[str, Any]]:
    """(name, value) of every field of a config, e.g. ("config.training.epochs", 30)."""
    for key, value in config.items():
        if hasattr(value, "items"):
            yield from fields(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shipped(name: str) -> Path | None:
    """The config that ships as "csv" or "configs/csv.py", where no file of the user is called so."""
    from nachos_jax import configs

    path = Path(name)
    ours = str(path.parent) in (".", "configs") and path.suffix in ("", ".py") and path.stem in shipped()
    return Path(configs.__path__[0]) / f"{path.stem}.py" if ours and not path.is_file() else None


def _function(text: str, path: Path) -> Callable[..., Any]:
    """Runs the file and returns its get_config."""
    if not os.path.exists(path):
        raise UsageError(
            f"--config={text}: there is no such file; name a config file, or one that ships: "
            f"{', '.join(shipped())}."
        )
    if not path.is_file():
        raise UsageError(f"--config={text} is a folder; name a config file in it.")
    if path.suffix.lower() in _DATA:
        raise UsageError(
            f"--config={text} is no config, which is a Python file with get_config(): name one, or one that "
            f"ships and the data in it, like --config={_DATA[path.suffix.lower()]} --config.data.path={text}."
        )
    module = ModuleType("config")
    module.__file__ = str(path)
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UsageError(
            f"--config={text}: the file has no function get_config; write `def get_config():` and return "
            "a changed nachos_jax.default_config() from it."
        )
    return get_config


def _callable_with(text: str, get_config: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    try:
        inspect.signature(get_config).bind(*arguments)
    except TypeError as error:
        cure = "leave out the colon and what follows" if arguments else "give its parameters default values"
        raise UsageError(f"--config={text}: get_config() does not take this ({error}); {cure}.") from error


def _attempt(text: str, path: Path, step: Callable[[], Any]) -> Any:
    """Calls into the user's file; what it raises, sys.exit included, becomes one sentence."""
    try:
        return step()
    except (UsageError, StoppedError, KeyboardInterrupt):
        raise
    except BaseException as error:
        told = f"--config={text}: {type(error).__name__}: {_one_line(error)}{_place(error, path)}"
        raise UsageError(f"{told}; mend the file.") from error


def _one_line(error: BaseException) -> str:
    text = str(error.msg if isinstance(error, SyntaxError) else error)
    if isinstance(error, (KeyError, AttributeError)):
        # A locked ConfigDict tells all its fields, quoted twice; the closest one, named last, is enough.
        text = text.replace("\\n", " ").replace("\\'", "'")
        text = re.sub(r"Other fields present: \".*?}\"", "", text, flags=re.DOTALL)
        text = text[1:-1] if text[:1] == text[-1:] == "'" else text
    return " ".join(text.split()).rstrip(".")


def _place(error: BaseException, path: Path) -> str:
    """Where in the user's file it happened: the deepest frame there."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" ({path}, line {line})" if line else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"
