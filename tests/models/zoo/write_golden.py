"""Writes tests/golden/zoo.json anew: `python -m tests.models.zoo.write_golden`, with torchvision and timm.

For each network: the size of two images, and the first logits of both by torchvision or timm, of weights that
`tests.models.zoo.drawing` draws by name.
"""

from __future__ import annotations

import json
from pathlib import Path

from nachos_jax.models.zoo import registry
from tests.models.zoo.drawing import images
from tests.models.zoo.torch_side import MAKERS, filled, logits

GOLDEN = Path(__file__).parents[2] / "golden" / "zoo.json"
LEFT_OUT = (
    "resnet34",
    "resnet101",
    "resnet152",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "vgg16",
    "vit_base_patch16",
)
"""Large ones, or those whose siblings are there."""
KEPT = 6
"""Logits of each image."""


def main() -> None:
    """Writes the file."""
    found = {}
    for name in sorted(set(MAKERS) - set(LEFT_OUT) - {"vit_base_patch14_dinov2", "vit_b_16"}):
        network = registry.network(name)
        size = 3 * network.multiple if network.multiple > 1 else 40  # even, where paddings differ
        theirs = logits(filled(name, network, size), images(size, size))
        classes = theirs.shape[1]
        found[name] = {
            "size": size,
            "classes": classes,
            "largest": float(abs(theirs).max()),
            "logits": theirs[:, :KEPT].tolist(),
        }
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
