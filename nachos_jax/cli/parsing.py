"""Flags and configs from the command line; every mistake becomes a UsageError."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from nachos_jax.core.errors import UsageError


def workdir_flag(values: flags.FlagValues) -> None:
    """Defines --workdir."""
    flags.DEFINE_string("workdir", None, "Run directory; the same command again resumes.", flag_values=values)


def config_flag(values: flags.FlagValues) -> None:
    """Defines --config, a Python file with get_config()."""
    from ml_collections import config_flags

    config_flags.DEFINE_config_file("config", None, "Config file, e.g. configs/smoke.py.", flag_values=values)


def parse(values: flags.FlagValues, argv: Sequence[str], required: Sequence[str]) -> bool:
    """Parses the flags of a command.

    Args:
        values: the flags defined.
        argv: "nachos COMMAND" and the flags.
        required: flags that must be given.

    Returns:
        True when only help was asked for, and shown.

    Raises:
        UsageError: an unknown flag, a missing one, a config that cannot be loaded or has no such field.
    """
    if any(word in ("--help", "-h", "--helpfull", "--helpshort") for word in argv[1:]):
        print(f"{argv[0]}: flags\n{values.main_module_help() or values.get_help()}")
        return True
    try:
        rest = _with_config_errors(values, argv)
    except flags.UnrecognizedFlagError as error:
        close = difflib.get_close_matches(error.flagname, list(values), 1)
        hint = f"did you mean --{close[0]}?" if close else f"`{argv[0]} --help` lists the flags."
        raise UsageError(f"--{error.flagname}: there is no such flag; {hint}") from error
    except flags.Error as error:
        raise UsageError(f"{_one_line(error)}; `{argv[0]} --help` lists the flags.") from error
    if len(rest) > 1:
        raise UsageError(f"{rest[1]!r}: flags are written --name=value; `{argv[0]} --help` lists them.")
    missing = [name for name in required if not values[name].value]
    if missing:
        raise UsageError(f"{argv[0]} needs --{missing[0]}=...; `{argv[0]} --help` shows what it takes.")
    return False


def run_config(config: Any) -> Any:
    """The checked RunConfig of a config flag's value."""
    from nachos_jax.protocol.configure import checked

    return checked(config)


def whole_numbers(name: str, words: Sequence[str] | None) -> list[int] | None:
    """The whole numbers of a list flag, or None when it was not given.

    Raises:
        UsageError: a word that is no whole number.
    """
    if words is None:
        return None
    strange = [word for word in words if not re.fullmatch(r"\d+", word.strip())]
    if strange or not words:
        raise UsageError(f"--{name}={','.join(words)}: must be whole numbers with commas between, like 0,3.")
    return [int(word) for word in words]


def _with_config_errors(values: flags.FlagValues, argv: Sequence[str]) -> Sequence[str]:
    """Parses; whatever a config file does wrong is told as one sentence with its file and line."""
    try:
        return values(list(argv))
    except (flags.Error, UsageError):
        raise
    except FileNotFoundError as error:
        raise UsageError(f"--config: {_one_line(error)}; name a config file that exists.") from error
    except (AttributeError, KeyError) as error:
        raise UsageError(f"--config: {_one_line(error)}; configs/base.py lists all fields.") from error
    except Exception as error:  # a config is a program: anything can come out of it
        raise UsageError(f"--config: {type(error).__name__}: {_one_line(error)}{_place(error)}.") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).strip("\"'").split())


def _place(error: BaseException) -> str:
    """Where in the user's file it happened: the deepest frame outside installed packages and this one."""
    trace, place, own = error.__traceback__, "", Path(__file__).parents[1]
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if own not in file.parents and not {"site-packages", "importlib"} & set(file.parts):
            place = f" ({file.name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place
