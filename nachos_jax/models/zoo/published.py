"""Files of weights that torchvision publishes: their names end in the first digits of their SHA-256."""

from __future__ import annotations

from nachos_jax.core.errors import UsageError
from nachos_jax.models.zoo.files import Contents

FILES = {
    "convnext_tiny": ("convnext_tiny-983f1562.pth",),
    "densenet121": ("densenet121-a639ec97.pth",),
    "efficientnet_b0": ("efficientnet_b0_rwightman-7f5810bc.pth",),
    "efficientnet_b1": ("efficientnet_b1_rwightman-bac287d4.pth", "efficientnet_b1-c27df63c.pth"),
    "efficientnet_b2": ("efficientnet_b2_rwightman-c35c1473.pth",),
    "efficientnet_b3": ("efficientnet_b3_rwightman-b3899882.pth",),
    "efficientnet_v2_s": ("efficientnet_v2_s-dd5fe13b.pth",),
    "inception_v3": ("inception_v3_google-0cc3c7bd.pth",),
    "mobilenet_v3_large": ("mobilenet_v3_large-8738ca79.pth", "mobilenet_v3_large-5c1a4163.pth"),
    "resnet18": ("resnet18-f37072fd.pth",),
    "resnet34": ("resnet34-b627a593.pth",),
    "resnet50": ("resnet50-0676ba61.pth", "resnet50-11ad3fa6.pth"),
    "resnet101": ("resnet101-63fe2227.pth", "resnet101-cd907fc2.pth"),
    "resnet152": ("resnet152-394f9c45.pth", "resnet152-f82ba261.pth"),
    "vgg16": ("vgg16-397923af.pth",),
    "vit_b_16": ("vit_b_16-c867db91.pth",),
}
"""By network: those that expect the images that the network names, weights of torchvision 0.29."""


def source(name: str, library: str) -> str:
    """Where the field finds the weights of a network, and the digits by which its file is known."""
    files = FILES.get(name, ())
    digits = ", ".join(f"{file}, SHA-256 {_digits(file)}..." for file in files)
    return f"{library}: {digits}" if files else library


def check(name: str, contents: Contents) -> None:
    """Raises UsageError where a file bears a published name and does not hold what was published."""
    file = contents.path.name
    if file in FILES.get(name, ()) and not contents.sha256.startswith(_digits(file)):
        raise UsageError(
            f"{contents.path} is not what was published under this name: its SHA-256 begins with "
            f"{contents.sha256[:8]}. Fetch it again, or give weights of your own another name."
        )


def _digits(file: str) -> str:
    return file.rpartition("-")[2].removesuffix(".pth")
