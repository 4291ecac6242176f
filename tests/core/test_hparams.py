"""The table of hyperparameters: values in their own type, refusals, and what is active."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import (
    AUGMENTATION,
    GEOMETRIC,
    PREPARED,
    Hyperparameter,
    active,
    by_name,
    of_task,
    whole_table,
    with_absent,
)
from nachos_jax.tasks import registry

TABLE = whole_table(registry.hyperparameters(), ())
ROWS = by_name(TABLE)


def test_names_are_unique_and_conditions_refer_back_to_possible_values():
    assert len(ROWS) == len(TABLE)
    seen: set[str] = set()
    for row in TABLE:
        if row.when is not None:
            parent, values = row.when
            assert parent in seen
            assert all(ROWS[parent].check(value, parent) == value for value in values)
        seen.add(row.name)
    assert set(GEOMETRIC) < set(AUGMENTATION) < seen


@given(st.integers(-10, 110))
def test_whole_numbers_come_back_as_int_and_real_ones_as_float(value):
    whole, real = Hyperparameter("n", "integer", 0, 100), Hyperparameter("x", "float", 0, 100)
    for given_value in (value, float(value)):
        if 0 <= value <= 100:
            assert (type(whole.check(given_value, "n")), whole.check(given_value, "n")) == (int, value)
            assert (type(real.check(given_value, "x")), real.check(given_value, "x")) == (float, value)
        else:
            with pytest.raises(UsageError, match="n = .* a whole number from 0 to 100"):
                whole.check(given_value, "n")
            with pytest.raises(UsageError, match="x = .* a number from 0 to 100"):
                real.check(given_value, "x")


@pytest.mark.parametrize("value", [1.5, "3", True, None, [1], float("inf")])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(UsageError, match="must be a whole number from 1 to 65536"):
        ROWS["batch_size"].check(value, "config.training.batch_size")


@pytest.mark.parametrize("value", ["0.1", True, None, float("nan"), float("inf"), 0.0, 1e6])
def test_what_is_no_learning_rate_is_refused(value):
    with pytest.raises(
        UsageError, match=r"config\.training\.learning_rate = .*: must be a number from 1e-08 to 100"
    ):
        ROWS["learning_rate"].check(value, "config.training.learning_rate")


@pytest.mark.parametrize("value", ["SGD", "", None, 1, True])
def test_an_unknown_choice_is_refused_with_the_list(value):
    with pytest.raises(UsageError, match="must be one of 'sgd', 'adam', 'adamw'"):
        ROWS["optimizer"].check(value, "config.training.optimizer")


@pytest.mark.parametrize("value", [0, 1, "True", None])
def test_a_boolean_is_true_or_false(value):
    with pytest.raises(UsageError, match="must be True or False"):
        ROWS["nesterov"].check(value, "nesterov")
    assert ROWS["nesterov"].check(True, "nesterov") is True


OF_SCHEDULES = {
    "constant": set(),
    "inverse_time": {"decay"},
    "cosine": set(),
    "poly": {"poly_power"},
    "plateau": {"plateau_factor", "plateau_patience"},
}


@given(st.sampled_from(["sgd", "adam", "adamw"]), st.sampled_from(list(OF_SCHEDULES)))
def test_active_keeps_what_matters_in_the_order_of_the_table(optimizer, schedule):
    values = {row.name: 0.5 for row in TABLE} | {"optimizer": optimizer, "schedule": schedule}
    kept = active(dict(sorted(values.items())), TABLE)
    assert list(kept) == [row.name for row in TABLE if row.name in kept]
    dropped = set(values) - set(kept)
    expected = {"beta1", "beta2"} if optimizer == "sgd" else {"momentum", "nesterov"}
    assert dropped == expected | set().union(*OF_SCHEDULES.values()) - OF_SCHEDULES[schedule]


def test_what_hangs_on_something_inactive_is_inactive():
    table = (
        Hyperparameter("a", "choice", choices=("x", "y")),
        Hyperparameter("b", "choice", choices=("p", "q"), when=("a", ("x",))),
        Hyperparameter("c", "float", when=("b", ("p",))),
    )
    assert active({"a": "x", "b": "p", "c": 1.0}, table) == {"a": "x", "b": "p", "c": 1.0}
    assert active({"a": "y", "b": "p", "c": 1.0}, table) == {"a": "y"}


ABSENT = (
    Hyperparameter("kind", "choice", choices=("x", "y"), absent="x"),
    Hyperparameter("rate", "float", 0.0, 1.0, when=("kind", ("x",)), absent=0.0),
    Hyperparameter("power", "float", 0.0, 1.0),
)


@given(kind=st.sampled_from(["x", "y"]), rate=st.sampled_from([0.0, 0.5]), power=st.sampled_from([0.0, 0.5]))
def test_a_row_at_its_absent_value_is_left_out_and_can_be_put_back(kind, rate, power):
    """So a row that is added later changes no hash of the fits that do what was done before it."""
    values = {"kind": kind, "rate": rate, "power": power}
    kept = active(values, ABSENT)
    matter = {name: value for name, value in values.items() if name != "rate" or kind == "x"}
    left_out = {"kind": "x", "rate": 0.0}
    assert kept == {name: value for name, value in matter.items() if left_out.get(name) != value}
    assert with_absent(kept, ABSENT) == matter
    assert active(values, ABSENT[2:]) == {"power": power}


def test_the_place_of_a_value_in_the_config_follows_from_its_row():
    rows = by_name((*TABLE, Hyperparameter("cnn.width", "integer")))
    found = {name: rows[name].key for name in ("learning_rate", "label_smoothing", "rotation", "cnn.width")}
    assert found == {
        "learning_rate": "training.learning_rate",
        "label_smoothing": "training.label_smoothing",
        "rotation": "augmentation.rotation",
        "cnn.width": "model.cnn.width",
    }
    row = Hyperparameter("regression.loss", "choice", choices=("l1", "l2"), tasks=("regression",))
    assert (row.key, row.space_key) == ("task.regression.loss", "search.space.regression.loss")


def test_a_task_has_its_own_rows_and_those_of_all():
    others = {row.name for row in TABLE} - {row.name for row in of_task(TABLE, "regression")}
    masks = {row.name for row in TABLE if row.name.startswith("segmentation.")}
    of_classes = {"label_smoothing", "class_weight_exponent", "balanced_sampling", "classification.loss"}
    assert others == {*of_classes, *masks}
    missing = {row.name for row in TABLE} - {row.name for row in of_task(TABLE, "classification")}
    assert missing == {"regression.loss", *masks}


def test_the_order_of_the_table_is_that_of_the_dimensions_of_a_search():
    """Sobol points follow it: another order would change what old runs propose."""
    # Rows that came later than these have a value that is left out, and are no dimension unless searched.
    names = [row.name for row in of_task(TABLE, "classification") if row.absent is None]
    assert names[10:14] == ["warmup_epochs", "label_smoothing", "class_weight_exponent", "dropout"]
    assert names[:3] == ["batch_size", "optimizer", "learning_rate"]
    assert names[14:] == [*AUGMENTATION, *PREPARED], "what came later stands last"
