"""AutoMONAI's experiments: BOHB over a U-Net and its pipeline, here inside nested cross-validation, e.g.

    nachos evaluate --config=configs/automonai.py:space --config.data.path=cases.npz \
        --config.data.subject_key=patient --workdir=runs/automonai
    nachos evaluate --config=configs/automonai.py:grid-small --config.data.path=cases.npz \
        --config.data.subject_key=patient --workdir=runs/grid
    nachos study --workdir=runs/grid
    nachos replay --curves=runs/grid

After the colon stands which of its experiments:

- space: its Table 3.1 by BOHB in Hyperband brackets; whatever it tried that trials here can hold. Its
  ranges of width and multiplier are searched in few steps, because every architecture is compiled anew.
- one_at_a_time: the default, then every other value of every hyperparameter alone, as priors; nothing is
  drawn.
- grid: 50 configurations, all trained on all inner folds, so that `nachos study` and `nachos replay` can
  say what few epochs, or a policy, would have told. Which fifty AutoMONAI took is not at hand: depth, loss
  and learning rate are ours.

With "-small" behind the name networks and patches suit two CPU cores. Cases that are too small for so many
levels are refused with the number that they allow: set config.search.space.unet.depth. The plateau watches
the training loss, not that of a held fold as AutoMONAI's does, which would let a test fold into its own
search. Left out is what trials cannot hold: resampling, which config.data.spacing sets for a run.
"""

import itertools
from typing import Any

from ml_collections import ConfigDict

from nachos_jax.config.field import nested
from nachos_jax.configs import base, segmentation
from nachos_jax.core import space
from nachos_jax.core.errors import UsageError

EXPERIMENTS = ("space", "one_at_a_time", "grid")
DEFAULT = {
    "unet.depth": 4,
    "unet.width": 32,
    "unet.multiplier": 2.0,
    "unet.convolutions": 2,
    "norm": "instance",
    "segmentation.dimensions": 3,
    "segmentation.normalisation": "z_score",
    "segmentation.loss": "dice_ce",
    "optimizer": "adam",
    "learning_rate": 3e-3,
    "schedule": "cosine",
}
CHOICES: dict[str, tuple[Any, ...]] = {
    "unet.depth": (2, 3, 4, 5, 6),
    "unet.width": (8, 16, 32, 64, 128),
    "unet.multiplier": (0.5, 1.0, 1.5, 2.0, 3.0),
    "unet.convolutions": (0, 1, 2, 3),
    "norm": ("instance", "group", "batch"),
    "segmentation.dimensions": (2, 3),
    "segmentation.normalisation": ("z_score", "percentiles", "min_max", "none"),
    "segmentation.loss": (
        *("dice_ce", "dice", "generalised_dice", "dice_hausdorff", "dice_top_k", "dice_focal"),
    ),
    "optimizer": ("adam", "sgd"),
    "learning_rate": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    "schedule": ("cosine", "plateau", "poly"),
}
"""Each hyperparameter of Table 3.1 and the values that are tried; "space" draws the learning rate between its
ends."""
GRID = {
    "unet.depth": (3, 4),
    "segmentation.loss": ("dice_ce", "dice", "generalised_dice", "dice_top_k", "dice_focal"),
    "learning_rate": CHOICES["learning_rate"],
}
SMALL = {
    "unet.depth": (2, 3),
    "unet.width": (8, 16),
    "unet.multiplier": (1.0, 2.0),
    "unet.convolutions": (0, 2),
}
"""What takes the place of those choices with "-small"."""


def get_config(experiment: str = "space") -> ConfigDict:
    """One of EXPERIMENTS, or one with "-small" behind it."""
    name, _, size = experiment.partition("-")
    if name not in EXPERIMENTS or size not in ("", "small"):
        known = ", ".join((*EXPERIMENTS, *(f"{one}-small" for one in EXPERIMENTS)))
        raise UsageError(
            f"configs/automonai.py:{experiment}: there is no such experiment; take one of {known}."
        )
    small = bool(size)
    config = _pipeline(small)
    choices = {**CHOICES, **SMALL} if small else CHOICES
    if name == "grid":
        chosen = {**GRID, "unet.depth": SMALL["unet.depth"]} if small else GRID
        _search(config, chosen, "grid", len(list(itertools.product(*chosen.values()))))
    elif name == "one_at_a_time":
        default = _default(small)
        alone = [{row: one} for row, of in choices.items() for one in of if one != default[row]]
        _search(config, choices, "random", 1 + len(alone))
        config.search.priors = tuple(alone)
    else:
        rates = choices["learning_rate"]
        _search(config, choices, "bohb", 16 if small else 100)
        config.search.policy = "hyperband"
        config.search.space.learning_rate = space.log(rates[0], rates[-1])
    return config


def _default(small: bool) -> dict:
    return {**DEFAULT, "unet.depth": 3, "unet.width": 8} if small else DEFAULT


def _pipeline(small: bool) -> Any:
    """The default configuration and the limits of a fit."""
    config: Any = segmentation.get_config()
    config.model.unet.residual = True
    config.training.epochs, config.training.patience = (12, 12) if small else (300, 30)
    if small:
        config.task.plan_memory = 0.1
    table = {row.name: row.key for row in base.table()}
    with config.unlocked():
        config.update(nested({table[name]: value for name, value in _default(small).items()}))
    return config


def _search(config: Any, choices: dict, searcher: str, trials: int) -> None:
    config.search.searcher, config.search.trials, config.search.policy = searcher, trials, "full"
    config.search.space.momentum = ""
    config.search.space.weight_decay = ""
    config.search.space.learning_rate = ""
    config.search.space.update(nested({name: space.choice(*values) for name, values in choices.items()}))
