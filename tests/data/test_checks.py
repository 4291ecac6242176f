"""The order of classes, and the words of messages."""

from __future__ import annotations

from nachos_jax.data.checks import class_order, hint, listed


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
