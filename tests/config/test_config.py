"""From a config to a run: what is refused and in which words, and what a run knows of itself."""

from __future__ import annotations

import importlib
import json
import math
import os
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax import default_config
from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.field import KINDS
from nachos_jax.configs import base
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import AUGMENTATION, FLIP_DEPTH, Hyperparameter, active, of_task
from nachos_jax.models import registry
from nachos_jax.protocol.run.configure import checked
from tests.fields import leaves, plain, with_value
from tests.tiers import mostly_thorough

FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"
TABLE = base.table()
FIELDS = dict(leaves(plain()))
ROWS = {row.key: row for row in TABLE}
SOME = tuple({(key.rpartition(".")[0], type(value)): key for key, value in FIELDS.items()}.values())
"""A field of each type in each section; what is asked of all fields reads them by type and place alone."""


# --- every config that ships is accepted -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("smoke", None),
        ("medmnist", "pneumoniamnist"),
        ("folder", "images"),
        ("csv", "cases.csv"),
        ("csv", None),
    ],
)
def test_a_config_file_builds_and_is_accepted(name, argument):
    get_config = importlib.import_module(f"nachos_jax.configs.{name}").get_config
    config = get_config() if argument is None else get_config(argument)
    run = checked(config)
    assert run.data.source == {"smoke": "digits", "medmnist": "npz"}.get(name, name)
    if argument is not None:
        assert run.data.path == argument + (".npz" if name == "medmnist" else "")
    assert "learning_rate" in {dimension.name for dimension in run.search.space}


def test_the_default_config_lacks_only_a_path():
    with pytest.raises(UsageError, match="config.data.path is empty: name the file or folder"):
        checked(base.get_config())
    config = default_config()
    config.data.path = "x.npz"
    assert checked(config).data.source == "npz"


def test_a_config_dict_and_its_json_form_make_the_same_run():
    config = default_config()
    config.data.source = "digits"
    assert checked(config) == checked(plain())
    assert checked(json.loads(json.dumps(checked(config).raw))) == checked(config)


# --- keys and types ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "hint"),
    [
        ("training.learning_rat", 0.1, "Did you mean config.training.learning_rate?"),
        ("data.folder", "x", "config"),
        ("search.space.cnn.depth", "", "config"),
        ("zzzzzzzzzzzzzz", 1, "`nachos config` lists all fields"),
    ],
)
def test_an_unknown_key_is_refused_with_a_near_one(path, value, hint):
    with pytest.raises(UsageError) as refusal:
        checked(with_value(path, value))
    assert str(refusal.value).startswith(f"config.{path} = {value!r}: there is no such field.")
    assert hint in str(refusal.value)


@mostly_thorough("key", list(FIELDS), kept=SOME)
def test_a_missing_key_is_refused_with_the_cure(key):
    values = plain()
    *path, leaf = key.split(".")
    place = values
    for part in path:
        place = place[part]
    del place[leaf]
    with pytest.raises(UsageError, match="is missing: start your config from nachos_jax") as refusal:
        checked(values)
    assert f"config.{key} " in str(refusal.value)


@mostly_thorough("key", list(FIELDS), kept=SOME)
def test_a_value_of_another_type_is_refused_with_key_value_and_type(key):
    default = FIELDS[key]
    wrong: list[Any] = [None, {"bool": 1, "list": "a, b"}.get(type(default).__name__, True)]
    wrong.append(3 if isinstance(default, str) else "3")
    if isinstance(default, int):
        wrong.append(0.5)
    for value in wrong:
        with pytest.raises(UsageError) as refusal:
            checked(with_value(key, value))
        message = str(refusal.value)
        assert f"config.{key} = {value!r}" in message
        assert f": must be {KINDS[type(default)]}, like " in message


NO_REAL = {"report.level", *(key for key, row in ROWS.items() if row.choices)}
REAL = [key for key, value in FIELDS.items() if isinstance(value, float) and key not in NO_REAL]


@pytest.mark.parametrize("key", REAL)
def test_a_whole_number_serves_where_a_real_one_is_meant(key):
    low = ROWS[key].low if key in ROWS else 0
    least = 1 if key in ("engine.memory_fraction", "task.plan_memory", "data.subset") else 0
    assert checked(with_value(key, max(least, math.ceil(low)))) is not None


# --- ranges ------------------------------------------------------------------------------------------

RANGES = {
    "seed": (0, 2**31 - 1),
    "data.depth": (0, 8192),
    "data.height": (0, 8192),
    "data.width": (0, 8192),
    "data.window": (1, 10**9),
    "folds.count": (2, 1000),
    "folds.repeats": (1, 1000),
    **{"task.plan_memory": (0.01, 1000.0), "task.ensemble": (1, 20)},
    "training.epochs": (1, 100_000),
    "training.patience": (1, 100_000),
    "training.min_delta": (0.0, 1e6),
    "search.trials": (1, 100_000),
    "search.initial": (1, 100_000),
    "search.proposals": (0, 10_000),
    "search.lag": (0, 1000),
    "engine.lanes": (0, 65536),
    "engine.memory_fraction": (0.01, 1.0),
    "data.frame": (-1, 99_999),
    "engine.checkpoint_epochs": (0, 100_000),
    "engine.checkpoint_seconds": (0.0, 86_400.0),
    "report.level": (0.5, 0.999),
    "data.subset": (0.001, 1.0),
    "backbone.views": (1, 64),
    "report.replicates": (200, 100_000),
    "report.gallery": (0, 100),
    "report.price": (0.0, 1e6),
    "report.watts": (0.0, 1e6),
} | {key: (row.low, row.high) for key, row in ROWS.items() if row.kind in ("integer", "float")}

CHOICES = {
    "protocol": ("nested", "flat"),
    "task.name": ("classification",),
    "data.source": ("digits", "npz", "folder", "csv", "vectors", "arrays"),
    "data.impute": ("", "mean", "median"),
    "data.subject": ("", WAIVER),
    "data.spellings": ("refuse", "join", "apart"),
    "data.spacing": ("", "mean", "median"),
    "data.equal_images": ("refuse", "accept"),
    "data.aspect": ("stretch", "pad", "crop"),
    "data.on_error": ("stop", "skip"),
    "data.facing": ("", "left", "right"),
    "data.volume": ("", "whole", "middle", "mean", "max"),
    "data.channels": (0, 1, 3),
    "folds.scheme": ("stratified", "predefined", "site"),
    "training.precision": ("float32", "bfloat16"),
    "search.rule": ("best", "one-se"),
    "data.residency": ("auto", "resident", "stream"),
    "engine.packing": ("auto", "vmap", "map", "blocks"),
    "engine.convolution": ("auto", "lax", "custom", "split", "shift", "im2col"),
    "engine.compilation": ("full", "quick"),
    "deploy.members": ("one", "folds"),
    "report.pool": ("mean", "max", "learned"),
    "report.headline": ("case", "unit"),
} | {key: row.choices for key, row in ROWS.items() if row.kind == "choice"}

FREE = {
    *(f"backbone.{name}" for name in ("name", "weights", "layer", "tune", "licence", "pretrained_on")),
    "data.path",
    "data.allow",
    "data.cache",
    "data.classes",
    "data.include",
    "data.exclude",
    *("data.external", "data.external_path"),
    "data.features",
    "data.voi",
    "search.searcher",
    "search.policy",
    "search.metric",
    "search.priors",
}
FREE |= {"data.target_keys", "report.subgroups", "report.positive", "report.threshold", "report.currency"}
FREE |= {"report.unit"}
FREE |= {key for key in FIELDS if key.startswith("data.") and key.endswith("_key")}
"""Texts that only the data, or the door, can judge."""


def test_every_field_is_a_range_a_choice_a_switch_a_space_or_free():
    spaces = {key for key in FIELDS if key.startswith("search.space.")}
    switches = {key for key, value in FIELDS.items() if isinstance(value, bool)}
    assert set(FIELDS) == spaces | switches | set(RANGES) | set(CHOICES) | FREE


@pytest.mark.parametrize("key", RANGES)
def test_a_number_out_of_range_is_refused_with_the_range(key):
    low, high = RANGES[key]
    whole = isinstance(FIELDS[key], int)
    outside: list[Any] = [low - 1, high + 1]
    if FULLY or key in SOME:
        outside += [-(10**400), 10**400, *([] if whole else [math.nan, math.inf, -math.inf])]
    plans = ROWS[key].planned if key in ROWS else None  # the one value below the range that has a meaning
    for value in [value for value in outside if value != plans]:
        with pytest.raises(UsageError) as refusal:
            checked(with_value(key, value))
        noun = "a whole number" if whole else "a number"
        message = str(refusal.value).replace(f"from {low} to", f"from {low:g} to")
        assert f"config.{key} = {value!r}: must be {noun} from {low:g} to " in message


@pytest.mark.parametrize("key", RANGES)
def test_both_ends_of_a_range_are_allowed(key):
    for value in RANGES[key]:
        values = with_value(key, value)
        if key in ("data.depth", "data.height", "data.width"):
            values["data"] |= dict.fromkeys(("depth", "height", "width"), value) | {"volume": "whole"}
        if key == "backbone.views":
            values["backbone"] |= {"name": "small", "weights": "somewhere"}
            values["model"] |= {"architecture": "mlp"}
        assert checked(values).raw == values


@pytest.mark.parametrize("key", CHOICES)
def test_a_value_that_is_no_choice_is_refused_with_the_choices(key):
    value = {int: 7, float: 99.5}.get(type(FIELDS[key]), "nonsense")
    with pytest.raises(UsageError) as refusal:
        checked(with_value(key, value))
    message = str(refusal.value)
    assert f"config.{key} = {value!r}: must be " in message
    assert all(repr(choice) in message for choice in CHOICES[key] if choice != 0)
    for choice in CHOICES[key]:
        values = with_value(key, choice)
        values["data"] |= {"path": "somewhere"} | ({"source": "vectors"} if key == "data.impute" else {})
        assert checked(values).raw == values


def test_height_and_width_are_set_together():
    with pytest.raises(
        UsageError, match="config.data.height = 32 with config.data.width = 0: set both, or neither"
    ):
        checked(plain(data__height=32))
    with pytest.raises(
        UsageError, match="depth = 8 does nothing for config.data.volume = 'max': set it to 0"
    ):
        checked(plain(data__volume="max", data__depth=8))
    with pytest.raises(UsageError, match="depth = 8 with config.data.height = 0 .*: set all three, or none"):
        checked(plain(data__volume="whole", data__depth=8))


def test_class_names_are_texts():
    with pytest.raises(UsageError, match=r"config.data.classes = \[0, 1\]: must be texts, like \('0', '1'\)"):
        checked(plain(data__classes=[0, 1]))


@pytest.mark.parametrize("source", ["npz", "folder", "csv", "vectors"])
def test_a_source_that_reads_files_needs_a_path(source):
    with pytest.raises(UsageError, match=f"config.data.path is empty: .* source '{source}' reads"):
        checked(plain(data__source=source))


# --- what a run knows --------------------------------------------------------------------------------


def test_without_early_stopping_patience_can_never_run_out():
    run = checked(plain(training__early_stopping=False, training__epochs=7, training__patience=2))
    assert (run.limit.epochs, run.limit.patience) == (7, 7)
    run = checked(plain(training__epochs=7, training__patience=2, training__min_delta=0.5))
    assert (run.limit.epochs, run.limit.patience, run.limit.min_delta) == (7, 2, 0.5)


def test_values_come_back_in_the_type_of_their_row():
    run = checked(plain(training__learning_rate=1, augmentation__rotation=10))
    assert [type(run.defaults[name]) for name in ("learning_rate", "rotation", "batch_size")] == [
        float,
        float,
        int,
    ]
    assert list(run.defaults) == [row.name for row in of_task(TABLE, "classification")]


def space_text(row: Hyperparameter) -> tuple[str, tuple]:
    """A space for a row, and the values that the run must know as its ends or choices."""
    if row.kind == "boolean":
        return "choice(True, False)", (True, False)
    if row.kind == "choice":
        return f"choice({', '.join(map(repr, row.choices))})", row.choices
    low, high = (int(row.low), int(row.high)) if row.kind == "integer" else (row.low, row.high)
    return f"{'integer' if row.kind == 'integer' else 'uniform'}({low}, {high})", (low, high)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_hyperparameter_can_be_searched(row):
    text, expected = space_text(row)
    values = with_value(f"search.space.{row.name}", text)
    values["search"]["space"] |= dict.fromkeys(("learning_rate", "momentum", "weight_decay"), "")
    if row.name in values["search"]["space"]:
        values["search"]["space"][row.name] = text
    run = checked(values)
    assert [dimension.name for dimension in run.search.space] == [row.name]
    found = run.candidates(row.name)
    assert found == (run.defaults[row.name], *expected)
    assert {type(value) for value in found} == {type(run.defaults[row.name])}
    assert run.uses(row.name)
    assert run.augmentations == ({row.name} & {*AUGMENTATION, FLIP_DEPTH.name})


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_space_that_is_none_is_refused_with_its_key(row):
    with pytest.raises(UsageError, match="is no search space; write uniform") as refusal:
        checked(with_value(f"search.space.{row.name}", "from 1 to 2"))
    assert f"config.search.space.{row.name} = 'from 1 to 2'" in str(refusal.value)


def test_what_is_not_searched_has_one_candidate():
    run = checked(plain())
    assert run.candidates("batch_size") == (64,)
    assert run.candidates("learning_rate") == (0.02, 1e-3, 1e-1)
    assert run.augmentations == frozenset()
    assert not run.uses("dropout")
    run = checked(plain(augmentation__noise=0.1, training__dropout=0.5))
    assert run.augmentations == {"noise"}
    assert run.uses("dropout")


@pytest.mark.parametrize("architecture", registry.names())
def test_inactive_hyperparameters_are_dropped(architecture):
    run = checked(plain(model__architecture=architecture, training__optimizer="adam"))
    kept = active(run.defaults, run.table)
    assert {name.partition(".")[0] for name in kept if "." in name} == {architecture}
    assert not {"momentum", "nesterov", "decay"} & set(kept)
    assert ({"beta1", "beta2", "norm", "architecture"} <= set(kept)) != registry.solved([architecture])


# --- rows of the table, whatever is given to them ----------------------------------------------------

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.sampled_from([10**400, -(10**400), 18, 18.0, "sgd", math.nan, math.inf, 1e300]),
)
KINDS_OF_ROWS = {(row.kind, row.planned is None, *map(type, row.choices[:1])): row for row in TABLE}


@mostly_thorough("row", TABLE, kept=tuple(KINDS_OF_ROWS.values()), ids=lambda row: row.name)
@given(value=ANYTHING)
def test_a_row_returns_an_allowed_value_in_its_own_type_or_refuses(row, value):
    try:
        found = row.check(value, "here")
    except UsageError:
        with pytest.raises(UsageError, match=re.escape(f"here = {value!r}: must be ")):
            row.check(value, "here")
        return
    assert found == value
    if row.kind == "choice":
        assert any(found is choice for choice in row.choices)
    else:
        assert type(found) is {"integer": int, "float": float, "boolean": bool}[row.kind]
        assert row.kind == "boolean" or found == row.planned or row.low <= found <= row.high


def test_a_choice_is_returned_as_the_table_has_it():
    row = Hyperparameter("depth", "choice", choices=(18, 34))
    assert type(row.check(18.0, "depth")) is int


def test_a_number_too_large_for_a_float_is_refused_even_without_bounds():
    with pytest.raises(UsageError, match="x = 1000000.*: must be a number from -inf to inf"):
        Hyperparameter("x", "float").check(10**400, "x")
    assert Hyperparameter("n", "integer").check(10**400, "n") == 10**400


def test_an_unknown_task_is_refused_with_the_tasks():
    with pytest.raises(UsageError, match=r"config\.task\.name = 'x': must be one of 'classif"):
        checked(plain(task__name="x"))
