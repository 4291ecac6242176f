"""Images through a frozen pretrained network: a linear model learns from its features, computed once.

    nachos evaluate --config=configs/pretrained.py --config.data.path=images.npz \
        --config.backbone.weights=efficientnet_lite0.safetensors --workdir=runs/pretrained

The weights are a file of torchvision or timm; nothing is downloaded, see docs/pretrained.md. The network is
efficientnet_lite0 unless another is named. --config=configs/pretrained.py:mlp takes a multilayer perceptron
instead of logistic regression, whose C is searched; --config=configs/pretrained.py:tune trains the last
stages of the network itself on, with a head, and searches their share of the learning rate.
"""

from typing import Any

from ml_collections import ConfigDict

from nachos_jax import default_config
from nachos_jax.configs import vectors
from nachos_jax.core import space


def get_config(network: str = "linear") -> ConfigDict:
    """Five outer folds of images; `network` is linear, mlp or tune."""
    config: Any = default_config() if network == "tune" else vectors.get_config(network)
    config.data.source = "npz"
    config.data.path = "images.npz"
    config.backbone.name = "efficientnet_lite0"
    config.backbone.weights = "efficientnet_lite0.safetensors"
    if network == "tune":
        _tuned(config)
    return config


def _tuned(config: Any) -> None:
    config.backbone.tune = "stage7"
    config.model.architecture = "tuned"
    config.training.batch_size = 32
    config.training.optimizer = "adamw"
    config.training.learning_rate = 1e-3
    config.search.space.update(
        {
            "learning_rate": space.log(1e-4, 1e-2),
            "momentum": "",
            "dropout": space.uniform(0.0, 0.7),
            "tuned": {"backbone_rate": space.log(0.01, 1.0)},
        }
    )
