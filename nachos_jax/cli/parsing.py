"""Flags and config fields from the command line; every mistake becomes a UsageError."""

from __future__ import annotations

import difflib
import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from absl import flags

from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded

HELP = ("--help", "-h", "-help", "--helpfull", "--helpshort")
KINDS = {
    int: "a whole number, like 8",
    float: "a number, like 0.05",
    bool: "true or false",
    list: "texts in parentheses, like \"('a', 'b')\"",
}
NEAR_FIELD = 0.8
"""How alike a misspelt field and the one meant must be: names of fields share their long beginnings."""
FIELDS = """Every field of the config is a flag too, and wins over the file:
  --config.training.epochs=50 --config.search.trials=32
  --config.search.space.learning_rate="log(1e-4, 1e-1)"
`nachos config` lists all fields with their meaning."""


@dataclass(frozen=True)
class Flag:
    """A flag of a command.

    Attributes:
        name: without dashes; "config" brings the fields of the config file with it.
        value: what stands for its value in help, e.g. "DIR"; "" of a switch, which needs none.
        help: what it means.
        many: whether it takes several values with commas between.
        required: whether the command needs it.
        path: whether it names files or folders: then ~ is the home folder, which no shell makes of --name=~.
    """

    name: str
    value: str
    help: str
    many: bool = False
    required: bool = True
    path: bool = False

    @property
    def form(self) -> str:
        """As it is written, e.g. "--workdir=DIR"."""
        return f"--{self.name}={self.value}" if self.value else f"--{self.name}"


ALLOW = Flag(
    "allow",
    "duplicates,contradictions",
    "Leakage that you accept: equal images of different subjects in different folds, or with different "
    "targets. It is told in the report.",
    many=True,
    required=False,
)
"""Sets config.data.allow, for all commands that have it."""


def help_text(command: str, summary: str, known: Sequence[Flag]) -> str:
    """What `nachos COMMAND --help` shows."""
    forms = [flag.form for flag in known]
    usage = [form if flag.required else f"[{form}]" for form, flag in zip(forms, known, strict=True)]
    call, first = f"  nachos {command} ", " " * len(f"  nachos {command} ")
    shown = textwrap.wrap(" ".join(usage), 100 - len(call), break_on_hyphens=False)
    lines = [f"nachos {command}: {summary}", "", call + f"\n{first}".join(shown), ""]
    room = max(map(len, forms)) + 4
    for form, flag in zip(forms, known, strict=True):
        told = textwrap.wrap(flag.help, 100 - room)
        lines += [f"  {form}".ljust(room) + told[0], *(" " * room + line for line in told[1:])]
    if any(flag.name == "config" for flag in known):
        lines += ["", FIELDS]
    return "\n".join(lines)


def parse(command: str, known: Sequence[Flag], words: Sequence[str]) -> flags.FlagValues:
    """Parses the flags of a command.

    Args:
        command: e.g. "evaluate".
        known: its flags.
        words: what stands after the command.

    Returns:
        The values by name; `config` is the loaded ConfigDict, with the fields set on the command line.

    Raises:
        UsageError: a flag that is unknown, missing, given twice or without a value, a config file that
            cannot be loaded, a field that it does not have, or a value of the wrong type.
    """
    values = flags.FlagValues()
    cure = f"`nachos {command} --help` lists the flags"
    try:
        words = values.read_flags_from_files(list(words), force_gnu=False)
        _none_twice(words)
        if "undefok" in map(_name, words):  # absl would then ignore the flags that it names
            raise flags.UnrecognizedFlagError("undefok")
        words = _define(values, command, known, words)
        _none_without_value(known, words)
        rest = values([f"nachos {command}", *words])
    except flags.UnrecognizedFlagError as error:
        near = closest(error.flagname, [flag.name for flag in known])
        told = f"did you mean --{near}?" if near else f"{cure}."
        raise UsageError(f"--{error.flagname}: there is no such flag; {told}") from error
    except flags.IllegalFlagValueError as error:
        raise UsageError(_wrong_value(error, values)) from error
    except flags.Error as error:
        raise UsageError(f"{str(error).removeprefix('ERROR:: ')}; {cure}.") from error
    if len(rest) > 1:
        raise UsageError(f"{rest[1]!r}: flags are written --name=value; {cure}.")
    for flag in known:
        if flag.required and flag.name != "config" and not values[flag.name].value:
            raise _needed(command, flag)
        if flag is ALLOW and values.allow:
            values.config.data.allow = tuple(dict.fromkeys((*values.config.data.allow, *values.allow)))
        given = values[flag.name].value if flag.path else None
        if given:
            values[flag.name].value = _at_home(given)
    return values


def parse_some(known: Sequence[Flag], words: Sequence[str]) -> flags.FlagValues:
    """The values of these flags alone; whatever else stands there is left for `parse`.

    Raises:
        absl.flags.Error: a mistake, which `parse` will tell in words.
    """
    values = flags.FlagValues()
    for flag in known:
        define = flags.DEFINE_list if flag.many else flags.DEFINE_string
        define(flag.name, None, flag.help, flag_values=values)
    values(["nachos", *words], known_only=True)
    return values


def run_config(config: Any) -> Any:
    """The checked RunConfig of a config flag's value."""
    from nachos_jax.protocol.run.configure import checked

    return checked(config)


def whole_numbers(name: str, words: Sequence[str] | None) -> list[int] | None:
    """The whole numbers of a list flag, or None when it was not given.

    Raises:
        UsageError: a word that is no whole number, or a number twice.
    """
    if words is None:
        return None
    told = f"--{name}={','.join(words)}"
    if not words or not all(re.fullmatch(r"[0-9]{1,9}", word) for word in words):
        raise UsageError(f"{told}: must be whole numbers from 0 with commas between, like 0,3.")
    numbers = [int(word) for word in words]
    for number in numbers:
        if numbers.count(number) > 1:
            raise UsageError(f"{told}: {number} stands twice; name each one once.")
    return numbers


def whole_number(name: str, word: str | None) -> int | None:
    """The whole number of a flag, or None when it was not given.

    Raises:
        UsageError: no whole number from 0.
    """
    if word is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", word):
        raise UsageError(f"--{name}={word}: must be a whole number, like 4.")
    return int(word)


def closest(word: str, names: Iterable[str], likeness: float = 0.6) -> str:
    """The name that a misspelt word is most like, or "" when none is alike enough (1 = equal)."""
    return next(iter(difflib.get_close_matches(word, list(names), 1, likeness)), "")


def _at_home(value: str | list[str]) -> str | list[str]:
    return [expanded(path) for path in value] if isinstance(value, list) else expanded(value)


def _define(values: flags.FlagValues, command: str, known: Sequence[Flag], words: Sequence[str]) -> list[str]:
    """Defines the flags of the command and the config's fields; returns the words that are left to parse."""
    words = list(words)
    for flag in known:
        if flag.name == "config":
            words = _define_config(values, command, flag, words)
        else:
            one = flags.DEFINE_string if flag.value else flags.DEFINE_bool
            define = flags.DEFINE_list if flag.many else one
            define(flag.name, None, flag.help, flag_values=values)
    return words


def _define_config(values: flags.FlagValues, command: str, flag: Flag, words: list[str]) -> list[str]:
    from ml_collections import config_flags

    from nachos_jax.cli import config_file

    place = next((i for i, word in enumerate(words) if re.match(r"--?config(=|$)", word)), None)
    if place is None:
        raise _needed(command, flag)
    _none_without_value([flag], words)
    _, equals, text = words[place].partition("=")
    rest = words[:place] + words[place + (1 if equals else 2) :]
    text = text if equals else words[place + 1]
    if not text:
        raise _needed(command, flag)
    config = config_file.load(text)
    _only_fields(rest, dict(config_file.fields(config)))
    config_flags.DEFINE_config_dict("config", config, flag.help, flag_values=values, sys_argv=rest)
    return rest


def _only_fields(words: Sequence[str], known: Mapping[str, Any]) -> None:
    """Refuses --config.x.y that is no field of the config."""
    for name in filter(None, map(_name, words)):
        if not name.startswith("config.") or name in known:
            continue
        inside = next((field for field in known if field.startswith(f"{name}.")), "")
        near = _spelled_out(name, known) or closest(name, known, NEAR_FIELD)
        if inside:
            raise UsageError(f"--{name} is a section: set one of its fields, like --{inside}.")
        cure = f"did you mean --{near}?" if near else "`nachos config` lists all fields."
        raise UsageError(f"--{name}: there is no such field; {cure}")


def _spelled_out(name: str, known: Iterable[str]) -> str:
    """The field for the first letters of whose words a short one stands, as lr for learning_rate."""
    place, _, short = name.rpartition(".")

    def is_meant(field: str) -> bool:
        before, _, word = field.rpartition(".")
        return before == place and "_" in word and "".join(part[:1] for part in word.split("_")) == short

    return next(filter(is_meant, known), "")


def _none_twice(words: Sequence[str]) -> None:
    names = [name for name in map(_name, words) if name]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--{name} is given twice; keep one of them.")


def _none_without_value(known: Sequence[Flag], words: Sequence[str]) -> None:
    """Refuses `--workdir --config=...`, of which absl would make a folder called "--config=..."."""
    forms = {f"{dashes}{flag.name}": flag for flag in known if flag.value for dashes in ("-", "--")}
    for word, after in itertools.pairwise([*words, "--"]):
        if word in forms and after.startswith("--"):
            flag = forms[word]
            raise UsageError(f"--{flag.name} has no value; write --{flag.name}={flag.value}.")


def _name(word: str) -> str:
    """Name of the flag that a word sets, "" for other words; --noconfig.x sets config.x."""
    found = re.match(r"--?(?:no(?=config\.))?([A-Za-z_][\w.]*)", word)
    return found[1] if found else ""


def _needed(command: str, flag: Flag) -> UsageError:
    told = f"nachos {command} needs --{flag.name}={flag.value} ({flag.help.rstrip('.')})"
    return UsageError(f"{told}; `nachos {command} --help` shows all flags.")


def _wrong_value(error: flags.IllegalFlagValueError, values: flags.FlagValues) -> str:
    """absl says "flag --NAME=VALUE: the parser's own words"; people are told what the field takes."""
    found = re.match(r"flag --([\w.]+)=(.*?): ", str(error), re.DOTALL)
    kind = type(values[found[1]].default) if found and found[1] in values else None
    return f"--{found[1]}={found[2]}: must be {KINDS[kind]}." if found and kind in KINDS else f"{error}."
