"""The plan of a U-Net: published plans of nnU-Net, its rules told plainly, and what holds of all plans."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.models.levels import levels
from nachos_jax.models.planning import Fingerprint, Plan, Wanted, plan

MM = (1.0, 1.0, 1.0)
# (cases, median shape, spacing, labels with the background, dimensions) -> patch, batch, levels: plans that
# nnU-Net made with its default of 8 GB, as published. The batch of 2-D plans of volumes is in slices.
PUBLISHED = {
    "hippocampus (nnUNet#148)": (260, (36, 50, 35), MM, 3, 3, (40, 56, 40), 9, 4),
    "liver, low resolution (nnUNet#2227)": (131, (177, 217, 217), (2.3566, 1.8411, 1.8411), 3, 3, 128, 2, 6),
    "lung, patch of Lifelong-nnUNet": (
        63,
        (252, 512, 512),
        (1.245, 0.785, 0.785),
        2,
        3,
        (80, 192, 160),
        2,
        6,
    ),
    "NIH pancreas (nnUNet#1081)": (80, (215.5, 512, 512), (1, 0.8594, 0.8594), 2, 3, (80, 192, 160), 2, 6),
    "prostate158, three labels": (139, (25, 270, 270), (3, 0.4018, 0.4018), 3, 2, (1, 320, 320), 32, 7),
    "prostate158, four labels": (139, (25, 270, 270), (3, 0.4018, 0.4018), 4, 2, (1, 320, 320), 31, 7),
    "microaneurysms (nnUNet#2251)": (54, (1, 2848, 4288), MM, 2, 2, (1, 1024, 1536), 2, 8),
}


def of(cases, shape, spacing, outputs) -> Fingerprint:
    return Fingerprint(
        np.tile(np.float64(shape), (cases, 1)), np.tile(np.float64(spacing), (cases, 1)), outputs
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_plans_are_met(name: str) -> None:
    cases, shape, spacing, outputs, dimensions, patch, batch, depth = PUBLISHED[name]
    found = plan(of(cases, shape, spacing, outputs), Wanted(8.0, dimensions))
    assert found.patch == (patch if isinstance(patch, tuple) else (patch,) * 3)
    assert (found.batch, found.depth, found.width) == (batch, depth, 32)


def plainly(found: Fingerprint, axes: tuple[int, ...]) -> tuple[list[int], int]:
    """Patch and batch as nnU-Net's documentation tells them, step by step, at 8 GB."""
    rank = len(axes)
    shape = np.median(found.sides, axis=0)[list(axes)]
    spacing = np.median(found.spacing, axis=0)[list(axes)]
    limit, reference, size = {2: (2048, 85e6, 12), 3: (256, 560e6, 2)}[rank]

    def halvings(patch):
        # An axis is halved while it keeps 4 voxels, others no more than twice as coarse.
        return np.prod([level.stride for level in levels(list(patch), list(spacing))], axis=0)

    def up(patch):
        return np.ceil(np.asarray(patch) / halvings(patch)) * halvings(patch)

    def numbers(patch):
        total, sides, found = 0.0, np.array(patch), levels(list(patch), list(spacing))
        for place, level in enumerate(found):
            sides = sides // np.array(level.stride)
            width = min(32 * 2**place, 320 if rank == 3 else 512)
            down, again = 2, 0 if place == len(found) - 1 else 3
            total += (down + again) * width * sides.prod()
        return total + outputs * np.prod(patch)

    outputs = found.outputs
    aspect = 1 / spacing
    first = np.round(aspect * (limit**rank / aspect.prod()) ** (1 / rank))
    patch = up(np.minimum(first, shape))
    while numbers(patch) * 2 / size > reference:
        ratios = list(patch / shape)
        axis = rank - 1 - ratios[::-1].index(max(ratios))
        shorter = patch.copy()
        shorter[axis] -= halvings(patch)[axis]
        patch[axis] -= halvings(shorter)[axis]
        patch = up(patch)
    most = round(np.median(found.sides, axis=0).prod() * len(found.sides) * 0.05 / patch.prod())
    return patch.astype(int).tolist(), max(2, min(round(reference / numbers(patch) * size), most))


@st.composite
def fingerprints(draw) -> Fingerprint:
    """Volumes whose slices are as fine along one axis as along the other, and images."""
    flat = draw(st.booleans())
    depth = 1 if flat else draw(st.integers(2, 400))
    shape = [depth, *draw(st.tuples(*[st.integers(8, 700)] * 2))]
    fine, ratio = draw(st.floats(0.3, 2.0)), draw(st.floats(1.0, 12.0))
    return of(draw(st.integers(2, 500)), shape, (fine * ratio, fine, fine), draw(st.integers(2, 9)))


@given(found=fingerprints())
@settings(max_examples=60, deadline=None)
def test_plans_are_those_of_the_rules_told_plainly(found: Fingerprint) -> None:
    flat = found.shape[0] == 1
    planned = plan(found, Wanted(8.0))
    patch, batch = plainly(found, (1, 2) if flat else (0, 1, 2))
    assert list(planned.patch)[-len(patch) :] == patch
    assert planned.batch == batch


wanted = st.builds(
    Wanted,
    memory=st.sampled_from([0.02, 0.1, 0.5, 1.0, 2.0, 8.0, 24.0]),
    dimensions=st.sampled_from([2, 3]),
    patch=st.tuples(*[st.sampled_from([0, 0, 12, 32])] * 3),
    depth=st.sampled_from([0, 0, 2, 3]),
    width=st.sampled_from([0, 0, 16]),
)


@given(found=fingerprints(), asked=wanted)
@settings(max_examples=60, deadline=None)
def test_what_holds_of_all_plans(found: Fingerprint, asked: Wanted) -> None:
    planned = plan(found, asked)
    flat = asked.dimensions == 2 or found.shape[0] == 1
    assert not flat or planned.patch[0] == 1
    for axis in (1, 2) if flat else (0, 1, 2):
        if asked.patch[axis]:
            assert planned.patch[axis] == asked.patch[axis], "what is given stays"
        else:
            assert 0 < planned.patch[axis] < 2 * max(found.shape[axis], 4) + 2**7
    assert planned.width == asked.width or (not asked.width and planned.width in (8, 16, 32))
    assert 1 <= planned.depth <= (asked.depth or 8)
    assert planned.cases <= max(2, round(len(found.sides) * 0.05))
    assert abs(planned.cases * planned.patches - planned.batch) <= planned.cases / 2
    # The order of the cases does not matter, and the same cases give the same plan.
    turned = Fingerprint(found.sides[::-1], found.spacing[::-1], found.outputs)
    assert plan(turned, asked) == planned


@given(found=fingerprints(), asked=wanted)
@settings(max_examples=30, deadline=None)
def test_more_memory_never_plans_less(found: Fingerprint, asked: Wanted) -> None:
    def voxels(memory: float) -> tuple[int, Plan]:
        made = plan(found, Wanted(memory, asked.dimensions, asked.patch, asked.depth, width=16))
        return math.prod(made.patch), made

    (little, small), (much, large) = voxels(0.25), voxels(4.0)
    assert little <= much
    assert (small.batch <= large.batch) or little < much
