"""Images through a frozen pretrained network: a linear model learns from its features, computed once.

    nachos evaluate --config=configs/pretrained.py --config.data.path=images.npz \
        --config.backbone.weights=efficientnet_lite0.safetensors --workdir=runs/pretrained

The weights are a file of torchvision or timm; nothing is downloaded, see docs/pretrained.md. The network is
efficientnet_lite0 unless another is named, and --config=configs/pretrained.py:mlp takes a multilayer
perceptron instead of logistic regression, whose C is searched.
"""

from typing import Any

from ml_collections import ConfigDict

from nachos_jax.configs import vectors


def get_config(network: str = "linear") -> ConfigDict:
    """Five outer folds of images; `network` is linear or mlp."""
    config: Any = vectors.get_config(network)
    config.data.source = "npz"
    config.data.path = "images.npz"
    config.backbone.name = "efficientnet_lite0"
    config.backbone.weights = "efficientnet_lite0.safetensors"
    return config
