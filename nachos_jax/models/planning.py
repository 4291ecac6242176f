"""Patch, levels, channels and batch of a U-Net by nnU-Net's rules, from the shapes and spacings of the cases.

The rules are those of nnU-Net 2 (Isensee et al. 2021, Methods; `ExperimentPlanner` of version 2.8.1): the
patch begins as large as the median case, at most 256^3 (2-D: 2048^2) voxels of its aspect in mm; an axis is
halved while it keeps 4 voxels; as long as the feature maps of two patches are more than what fits into the
memory, the side that is longest beside the median case shrinks; what is left of the memory goes to the batch,
which sees at most a twentieth of all voxels. What differs is said at `plan`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.models.levels import LEAST, Level, channels, flat_levels, levels

WIDEST, NARROWEST = 32, 8
"""Channels of the first level: nnU-Net's, and the fewest that are planned."""
DEEPEST = 8
"""Levels at most; nnU-Net has no limit, and needs more for sides of 1024 pixels and more only."""
_VOXELS = {2: 2048**2, 3: 256**3}
"""Of the largest first patch, by dimensions."""
_FEATURES, _BATCH, _GB = {2: 85e6, 3: 560e6}, {2: 12, 3: 2}, 8.0
"""So many numbers in the feature maps of so many patches fill so many GB, by nnU-Net's reckoning."""
_FEWEST, _SHARE = 2, 0.05
"""Patches of a batch at least; part of all voxels that a batch may hold."""


@dataclass(frozen=True)
class Fingerprint:
    """What the headers of N cases say; nothing of their masks or intensities.

    Attributes:
        sides: [N, 3] voxels along each axis, that of the widest spacing first; (1, H, W) of images.
        spacing: [N, 3] mm.
        outputs: classes, the background included.
    """

    sides: np.ndarray
    spacing: np.ndarray
    outputs: int

    @property
    def shape(self) -> tuple[float, ...]:
        """Median sides."""
        return tuple(np.median(self.sides, axis=0).tolist())

    @property
    def step(self) -> tuple[float, ...]:
        """Median spacing, mm."""
        return tuple(np.median(self.spacing, axis=0).tolist())


@dataclass(frozen=True)
class Wanted:
    """What is planned for, and what is given already: 0 where the plan is to say.

    Attributes:
        memory: GB of a fit, by nnU-Net's reckoning.
        dimensions: 2 for slices across the first axis, or 3.
        patch: sides (D, H, W).
        depth: levels.
        width: channels of the first level.
        multiplier: channels of a level over those of the level above.
        convolutions: of a level.
        cases: of a batch.
        patches: of each of them.
    """

    memory: float
    dimensions: int = 3
    patch: tuple[int, ...] = (0, 0, 0)
    depth: int = 0
    width: int = 0
    multiplier: float = 2.0
    convolutions: int = 2
    cases: int = 0
    patches: int = 0


@dataclass(frozen=True)
class Plan:
    """What the rules give.

    Attributes:
        patch: sides (D, H, W).
        depth: levels.
        flat: levels before the first axis is halved with the others.
        width: channels of the first level.
        batch: patches of a step, for the given memory.
        cases: of a batch, at most a twentieth of all.
        patches: of each of them, so that a step sees about as many patches as `batch`.
    """

    patch: tuple[int, ...]
    depth: int
    flat: int
    width: int
    batch: int
    cases: int
    patches: int


def plan(found: Fingerprint, wanted: Wanted) -> Plan:
    """Plans a U-Net.

    It differs from nnU-Net where our fits do: cases are not cropped or resampled, so that their median shape
    and spacing are planned for; within a slice both axes are halved alike; there are at most 8 levels. Memory
    below 8 GB also narrows the network: to 16 channels below 8 GB, to 8 below 2 GB. The cases of a batch are
    at most a twentieth of all, and more patches of each make up for it.
    """
    flat = wanted.dimensions == 2 or found.shape[0] == 1
    axes = (1, 2) if flat else (0, 1, 2)
    rank = len(axes)
    shape, step = ([values[axis] for axis in axes] for values in (found.shape, found.step))
    isotropic = 0 if flat else flat_levels(found.step)
    network = _Network(
        steps=(2.0**isotropic, 1.0, 1.0)[-rank:],
        depth=wanted.depth or DEEPEST,
        width=wanted.width or _width(wanted.memory),
        wanted=wanted,
        outputs=found.outputs,
    )
    given = [wanted.patch[axis] for axis in axes]
    patch = network.shrunk(_first(shape, step, given), shape, given, _FEATURES[rank], _BATCH[rank])
    room = _FEATURES[rank] * wanted.memory / _GB
    batch = round(room / network.features(patch) * _BATCH[rank])
    voxels = math.prod(found.shape) * len(found.sides)
    batch = max(_FEWEST, min(batch, round(voxels * _SHARE / math.prod(patch))))
    fitting = round(batch / wanted.patches) if wanted.patches else batch
    cases = wanted.cases or max(_FEWEST, min(fitting, round(len(found.sides) * _SHARE)))
    patches = wanted.patches or max(1, round(batch / cases))
    whole = (1, *patch) if flat else tuple(patch)
    depth = len(network.levels(patch))
    return Plan(whole, depth, isotropic, network.width, batch, cases, patches)


@dataclass(frozen=True)
class _Network:
    """A U-Net without its patch."""

    steps: tuple[float, ...]  # spacing along each axis, up to what the levels ask of it
    depth: int
    width: int
    wanted: Wanted
    outputs: int

    def levels(self, patch: Sequence[float]) -> tuple[Level, ...]:
        return levels(patch, self.steps, self.depth)

    def features(self, patch: Sequence[int]) -> int:
        """Numbers in all that the convolutions of one patch give, as nnU-Net counts them."""
        found, sides, total = self.levels(patch), list(patch), 0
        many = channels(self.width, self.wanted.multiplier, len(found), len(patch))
        layers = max(1, self.wanted.convolutions)
        for place, (level, width) in enumerate(zip(found, many, strict=True)):
            sides = [side // stride for side, stride in zip(sides, level.stride, strict=True)]
            # Down, and but for the lowest level up again: a transposed convolution before as many layers.
            made = layers if place == len(found) - 1 else 2 * layers + 1
            total += made * width * math.prod(sides)
        return total + self.outputs * math.prod(patch)

    def multiples(self, patch: Sequence[float]) -> list[int]:
        """What each side must be a multiple of."""
        found = self.levels(patch)
        return [math.prod(level.stride[axis] for level in found) for axis in range(len(patch))]

    def shrunk(
        self,
        first: Sequence[float],
        shape: Sequence[float],
        given: Sequence[int],
        features: float,
        batch: int,
    ) -> list[int]:
        """The patch, whose free sides shrink until the feature maps of two patches fit."""
        free = [axis for axis, side in enumerate(given) if not side]

        def padded(sides: Sequence[float]) -> list[int]:
            return [
                given[axis] or math.ceil(side / step) * step
                for axis, (side, step) in enumerate(zip(sides, self.multiples(sides), strict=True))
            ]

        patch = padded(first)
        while self.features(patch) / batch * _FEWEST > features * self.wanted.memory / _GB:
            longer = [axis for axis in free if patch[axis] - self.multiples(patch)[axis] >= LEAST]
            if not longer:
                break
            # The longest beside the median case, the last of equals.
            axis = max(longer, key=lambda axis: (patch[axis] / shape[axis], axis))
            tried = list(patch)
            tried[axis] -= self.multiples(patch)[axis]
            # Fewer halvings may allow a longer side: 256 is followed by 224, not by 192.
            patch[axis] -= self.multiples(tried)[axis]
            patch = padded(patch)
        return patch


def _first(shape: Sequence[float], step: Sequence[float], given: Sequence[int]) -> list[float]:
    """The patch to begin with: of the median case, as far as a cube in mm reaches."""
    rank = len(shape)
    scale = (_VOXELS[rank] * math.prod(step)) ** (1 / rank)
    return [side or min(round(scale / one), most) for side, one, most in zip(given, step, shape, strict=True)]


def _width(memory: float) -> int:
    """Channels of the first level: a quarter of the memory halves them."""
    width = WIDEST
    while width > NARROWEST and memory < _GB * (width / WIDEST) ** 2:
        width //= 2
    return width
