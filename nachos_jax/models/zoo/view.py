"""A view of images: an augmented copy of each, the same wherever and whenever it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nachos_jax.core import rng
from nachos_jax.data.content import pixel_digest


@dataclass(frozen=True)
class View:
    """One augmented copy of each image.

    Attributes:
        number: which of them, from 1.
        strengths: of each augmentation, in the units of `nachos_jax.core.hparams`; 1 SD of a pixel is that of
            the pretraining.
    """

    number: int
    strengths: Mapping[str, float]

    def keys(self, images: np.ndarray, count: int) -> np.ndarray:
        """[count, 2] uint32: a key that follows from each image and the number of the view, then zeros.

        So a case has the same views wherever it stands, and whatever stands beside it.
        """
        found = np.zeros((count, 2), np.uint32)
        for row, image in enumerate(images):
            found[row] = rng.named(f"view/{self.number}/{pixel_digest(image)}")
        return found
