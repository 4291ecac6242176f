"""The config files: what their docstrings tell to type exists, and every field is explained."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from absl import flags
from ml_collections import ConfigDict, config_flags

from nachos_jax.cli import commands
from nachos_jax.config.field import flat
from nachos_jax.config.fields import FIELDS
from nachos_jax.config.listing import listing
from nachos_jax.configs import automonai, base
from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.run import door
from nachos_jax.protocol.run.configure import checked
from nachos_jax.search.searcher import SearchSetting

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for path in (ROOT / "configs").glob("*.py") if path.name != "__init__.py")
FLAGS = {"--config", "--workdir", "--outer_folds", "--curves"}


def commands_in(text: str) -> list[list[str]]:
    """The indented `nachos ...` commands of a docstring as lists of words, lines that end in \\ joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [shlex.split(line) for line in joined.splitlines() if line.startswith("    nachos ")]


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or ""


def texts(path: Path) -> list[str]:
    """Every docstring of the file: flags may be named in any of them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]
    return [ast.get_docstring(node, clean=False) or "" for node in nodes]


def has_field(config: ConfigDict, key: str) -> bool:
    place = config
    for part in key.split("."):
        if not isinstance(place, ConfigDict) or part not in place:
            return False
        place = place[part]
    return True


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_flags_that_docstrings_name_are_fields(path):
    named = re.findall(r"--config\.([a-z_0-9.]*[a-z_0-9])", " ".join(texts(path)))
    assert [key for key in named if not has_field(base.get_config(), key)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_that_docstrings_show_are_commands_on_files_that_exist(path):
    for program, command, *rest in commands_in(docstring(path)):
        assert program == "nachos"
        assert command in commands.NAMES
        for word in rest:
            flag, _, value = word.partition("=")
            assert flag in FLAGS or has_field(base.get_config(), flag.removeprefix("--config."))
            assert value, f"{word}: flags are written --name=value"
            if flag == "--config":
                assert (ROOT / value.partition(":")[0]) == path, "a config shows how to run itself"


# ml_collections loads config files by a method that Python is to drop; it is not ours to change.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
@pytest.mark.parametrize("name", ["csv", "folder", "medmnist", "pretrained", "vectors"])
def test_a_config_that_needs_data_shows_a_command_whose_flags_make_a_run(name, monkeypatch):
    shown = commands_in(docstring(ROOT / "configs" / f"{name}.py"))
    assert len(shown) == 1
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values)
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    words = [word.replace("--config=", f"--config={ROOT}/") for word in shown[0][1:]]
    monkeypatch.setattr(sys, "argv", words)  # where ml_collections looks for the fields that are set
    values(words)
    run = checked(values.config)
    assert values.workdir
    assert run.data.path
    assert run.data.source == {"medmnist": "npz", "pretrained": "npz"}.get(name, name)


AUTOMONAI = {"space": 100, "one_at_a_time": 34, "grid": 50}


@pytest.mark.parametrize("size", ["", "-small"])
@pytest.mark.parametrize("experiment", AUTOMONAI)
def test_the_experiments_of_automonai_are_runs(experiment, size):
    config: Any = automonai.get_config(experiment + size)
    config.data.path = "cases.npz"
    run = checked(config)
    door.check_config(run)
    tried = {dimension.name for dimension in run.search.space}
    setting = SearchSetting.of(run, None)
    if experiment == "grid":
        assert tried == set(automonai.GRID)
        assert run.search.trials == 50 == len(list(setting.grid()))
    else:
        assert tried == set(automonai.CHOICES)
        assert size or run.search.trials == AUTOMONAI[experiment]
    if experiment == "one_at_a_time":
        assert len(setting.given) == run.search.trials
        assert all(len(prior) == 1 for prior in run.search.priors)
    else:
        assert run.search.priors == ()
    table = {row.name: row for row in run.table}
    for name, values in automonai.CHOICES.items():
        assert table[name].kind != "choice" or set(values) <= set(table[name].choices)


def test_an_unknown_experiment_is_refused():
    with pytest.raises(UsageError, match=r"automonai.py:table: .* take one of space, one_at_a_time, grid"):
        automonai.get_config("table")


def test_every_field_has_its_meaning_and_a_default_that_it_may_hold():
    for key, field in FIELDS.items():
        assert len(field.meaning) >= len("of the price"), f"{key} is not explained"
        assert field.check(field.default) == field.default
    rows = base.table()
    for row in rows:
        assert row.meaning, f"{row.name} is not explained"
        assert row.check(row.default, row.key) == row.default
    expected = {*FIELDS, *(row.key for row in rows), *(row.space_key for row in rows)}
    assert set(flat(base.get_config().to_dict())) == expected


def test_the_listing_names_every_field_and_stands_in_the_docs_as_it_is():
    shown = listing(base.get_config().to_dict(), base.table())
    for key in (*FIELDS, *(row.key for row in base.table())):
        section, _, name = key.rpartition(".") if key in FIELDS else key.partition(".")
        part = next(part for part in shown.split("\n\n") if re.match(rf"config\.?{section}:", part))
        assert f"\n  {name} = " in part, key
    stored = (ROOT / "docs" / "config.txt").read_text(encoding="utf-8")
    assert stored == shown + "\n", "write it again: nachos config > docs/config.txt"


def test_configs_start_from_a_fresh_default_each_time():
    first = importlib.import_module("nachos_jax.configs.smoke").get_config()
    first.training.epochs = 999
    assert importlib.import_module("nachos_jax.configs.smoke").get_config().training.epochs == 12
    default: Any = base.get_config()
    assert default.training.epochs == 30
    with pytest.raises((AttributeError, KeyError)):
        first.training.epoch = 3
