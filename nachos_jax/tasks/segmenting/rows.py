"""The hyperparameters that only a segmentation has."""

from __future__ import annotations

import functools

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.tasks.normalisation import CHOICES as NORMALISATIONS
from nachos_jax.tasks.segmenting import losses

_row = functools.partial(Hyperparameter, tasks=("segmentation",))
_AXES = ("depth", "height", "width")
LOSS = _row(
    "segmentation.loss",
    "choice",
    choices=tuple(losses.MIXTURES),
    default="dice_ce",
    meaning="training loss, terms in equal parts",
)
NORMALISATION = _row(
    "segmentation.normalisation",
    "choice",
    choices=NORMALISATIONS,
    default=NORMALISATIONS[0],
    meaning="of intensities: by the case, by the training cases, by their foreground, or none",
)
HYPERPARAMETERS = (
    _row(
        "segmentation.dimensions",
        "integer",
        2,
        3,
        static=True,
        default=3,
        meaning="of a patch of a volume; 2 = slices across the widest spacing",
    ),
    *(
        _row(
            f"segmentation.patch_{axis}",
            "integer",
            0,
            4096,
            static=True,
            default=0,
            meaning=f"{axis} of a patch in voxels; 0 = planned from the sizes of the cases",
        )
        for axis in _AXES
    ),
    _row(
        "segmentation.patches",
        "integer",
        1,
        64,
        static=True,
        default=0,
        planned=0,
        meaning="of each case of a batch; 0 = planned",
    ),
    _row(
        "segmentation.foreground",
        "float",
        0.0,
        1.0,
        default=0.33,
        meaning="probability that a patch is made to hold a class, all classes alike",
    ),
    NORMALISATION,
    LOSS,
    _row(
        "segmentation.flip_depth",
        "float",
        0.0,
        1.0,
        default=0.0,
        meaning="probability of a flip of the depth",
    ),
)
