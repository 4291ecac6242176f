"""Masks of images or volumes in an npz file, e.g.

    nachos evaluate --config=configs/segmentation.py --config.data.path=cases.npz \
        --config.data.subject_key=patient_id --workdir=runs/masks

The file holds `images` and `masks`, and if known `shape`, `spacing` and `label_names`. The network is a U-Net
whose patch, depth, width and batch are planned from shapes and spacings of the cases by nnU-Net's rules, for
config.task.plan_memory GB; `nachos plan` shows the plan, and what the config names is taken instead. On a CPU
take 0.1. Volumes are segmented in three dimensions, or slice by slice with
config.task.segmentation.dimensions = 2.
"""

from ml_collections import ConfigDict

from nachos_jax import default_config
from nachos_jax.core import space


def get_config() -> ConfigDict:
    """Adam with a falling rate, instance normalisation, mirrored and turned patches."""
    config = default_config()
    config.task.name = "segmentation"
    config.data.source = "npz"
    config.model.architecture = "unet"
    config.model.norm = "instance"
    config.training.batch_size = 0
    config.training.optimizer = "adam"
    config.training.learning_rate = 3e-3
    config.training.schedule = "cosine"
    config.augmentation.rotation = 15.0
    config.augmentation.scale = 0.2
    config.augmentation.contrast = 0.2
    config.augmentation.gamma = 0.3
    config.search.space.momentum = ""
    config.search.space.learning_rate = space.log(3e-4, 1e-2)
    return config
