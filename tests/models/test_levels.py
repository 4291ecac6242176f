"""The levels of a U-Net: those of nnU-Net 2.8.1 in a table of its answers, and what holds of all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.models.levels import flat_levels, levels

# (patch, spacing, strides, kernels): the second and third of what nnU-Net's own function returns, i.e.
# network_topology.get_pool_and_conv_props(spacing, patch, 4, 999999) of nnunetv2 2.8.1, in short:
# "2" is 2 along every axis, "122" is (1, 2, 2). 20,000 random patches and spacings gave the same too.
NNUNET = [
    ((128, 128, 128), (1, 1, 1), "1 2 2 2 2 2", "3 3 3 3 3 3"),
    ((40, 56, 40), (1, 1, 1), "1 2 2 2", "3 3 3 3"),
    ((14, 256, 224), (10, 1.25, 1.25), "1 122 122 122 2 122", "133 133 133 3 3 3"),
    ((20, 320, 256), (3.6, 0.62, 0.62), "1 122 122 2 2 122 122", "133 133 3 3 3 3 3"),
    ((48, 192, 192), (2.5, 0.8, 0.8), "1 122 2 2 2 122", "133 3 3 3 3 3"),
    ((6, 160, 128), (5, 1, 1), "1 122 122 122 122 122", "133 133 3 3 3 3"),
    ((128, 16, 16), (1, 1, 1), "1 2 2 211 211", "3 3 3 3 3"),
    ((9, 9, 200), (1, 1, 1.9), "1 2 112 112 112 112", "3 3 3 3 3 3"),
    ((16, 16, 16), (2, 1, 4), "1 121 221 212", "131 331 3 3"),
    ((512, 512), (1, 1), "1 2 2 2 2 2 2 2", "3 3 3 3 3 3 3 3"),
    ((28, 28), (1, 1), "1 2 2", "3 3 3"),
    ((64, 12), (1, 1), "1 2 21 21", "3 3 3 3"),
]


def spelled(text: str, axes: int) -> list[tuple[int, ...]]:
    return [tuple(map(int, word * axes if len(word) == 1 else word)) for word in text.split()]


@pytest.mark.parametrize(("patch", "spacing", "strides", "kernels"), NNUNET)
def test_levels_are_those_of_nnunet(patch, spacing, strides, kernels):
    found = levels(patch, spacing)
    assert [level.stride for level in found] == spelled(strides, len(patch))
    assert [level.kernel for level in found] == spelled(kernels, len(patch))


def patches(axes: int):
    sides = st.lists(st.integers(1, 300), min_size=axes, max_size=axes)
    return st.tuples(sides, st.lists(st.floats(0.2, 10.0), min_size=axes, max_size=axes))


@given(given=st.one_of(patches(2), patches(3)), least=st.integers(1, 4), most=st.integers(1, 9))
def test_what_holds_of_all_levels(given, least, most):
    patch, spacing = given
    found = levels(patch, spacing, least=least)
    assert set(found[0].stride) == {1}
    assert set(found[-1].kernel) == {3}
    for level in found[1:]:
        assert 2 in level.stride
    for axis, side in enumerate(patch):
        halvings = [level.stride[axis] for level in found[1:]].count(2)
        assert halvings == 0 or side / 2**halvings > least - 1
    # Fewer levels are the first of them, and the lowest has whole kernels.
    fewer = levels(patch, spacing, most, least)
    assert len(fewer) == min(most, len(found))
    assert [level.stride for level in fewer] == [level.stride for level in found[: len(fewer)]]
    assert [level.kernel for level in fewer[:-1]] == [level.kernel for level in found[: len(fewer) - 1]]
    # Deeper levels than nnU-Net's come after those that it plans.
    assert [level.stride for level in levels(patch, spacing)] == [
        level.stride for level in found[: len(levels(patch, spacing))]
    ]


@pytest.mark.parametrize(
    ("ratio", "flat"), [(0.5, 0), (1.0, 0), (1.99, 0), (2.0, 1), (3.9, 1), (4.0, 2), (8.0, 3)]
)
def test_flat_levels_stand_for_the_spacing(ratio, flat):
    assert flat_levels((ratio, 1.0, 1.0)) == flat
    whole = levels((64, 128, 128), (max(ratio, 1.0), 1.0, 1.0))
    assert levels((64, 128, 128), (2.0**flat, 1.0, 1.0)) == whole
