"""Whether a table can be divided as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import check_folds, class_order, hint, listed
from nachos_jax.data.table import CaseTable


def cases(subjects: str, labels: str, sites: str | None = None, folds: list[int] | None = None) -> CaseTable:
    classes = tuple(sorted(set(labels)))
    return CaseTable(
        names=np.array([f"row-{row}" for row in range(len(subjects))]),
        labels=np.array([classes.index(label) for label in labels], np.int32),
        classes=classes,
        subjects=np.array(list(subjects)),
        sites=None if sites is None else np.array(list(sites)),
        folds=None if folds is None else np.array(folds, np.int32),
    )


REFUSED = {
    "too few folds": (cases("pqrs", "abab"), 2, "stratified", ["config.folds.count = 2", "at least 3"]),
    "subjects": (cases("ppqq", "abab"), 3, "stratified", ["count = 3", "2 subjects", "2 or less"]),
    "class": (cases("pqrst", "aaaab"), 3, "stratified", ["class 'b' has 1 subject(s)", "count = 3"]),
    "no sites": (cases("pqrs", "abab"), 3, "site", ["no site column", "config.data.site_key"]),
    "two sites": (cases("pqrs", "abab", "xxyy"), 3, "site", ["2 site(s) ('x', 'y')", "3 are needed"]),
    "wandering": (cases("pqrp", "abab", "xyzz"), 3, "site", ["subject 'p'", "'z'", "'x'", "row-3"]),
    "no folds": (cases("pqrs", "abab"), 3, "predefined", ["no fold column", "config.data.fold_key"]),
    "two folds": (cases("pqrs", "abab", None, [0, 0, 1, 1]), 3, "predefined", ["2 fold(s)", "3 are needed"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal(name: str):
    table, count, scheme, parts = REFUSED[name]
    with pytest.raises(UsageError) as caught:
        check_folds(table, count, scheme, minimum=3)
    for part in parts:
        assert part in str(caught.value)


def test_what_can_be_divided_passes():
    table = cases("ppqrst", "ababab", "xxyyzz", [0, 0, 1, 1, 2, 2])
    for scheme in ("stratified", "site", "predefined"):
        check_folds(table, 3, scheme, minimum=3)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=4), st.integers(2, 5))
def test_stratified_agrees_with_counting(rows: list[tuple[int, int]], count: int):
    subjects = "".join(str(subject) for subject, _ in rows)
    labels = "".join("ab"[label] for _, label in rows)
    per_class = [len({s for s, label in rows if label == c}) for c in {label for _, label in rows}]
    table = cases(subjects, labels)
    if min(per_class) >= count:
        check_folds(table, count, "stratified")
    else:
        with pytest.raises(UsageError):
            check_folds(table, count, "stratified")


def test_class_order_sorts_numbers_by_value_and_text_by_text():
    where = "row {}".format
    assert class_order(["10", "9", "-1"], (), (), where, "x") == ("-1", "9", "10")
    assert class_order(["b10", "b9"], (), (), where, "x") == ("b10", "b9")
    assert class_order(["2", "--1"], (), (), where, "x") == ("--1", "2"), "no number"
    assert class_order(["a", "b"], ("b", "a"), (), where, "x") == ("b", "a")
    assert class_order(["a", "b"], ("b", "a"), ("a", "b"), where, "x") == ("a", "b")


def test_words():
    assert hint("labl", ["label", "path"]) == " Did you mean 'label'?"
    assert hint("zzz", ["label", "path"]) == ""
    assert listed([1, 2, 3], limit=2) == "1, 2 and 1 more"
