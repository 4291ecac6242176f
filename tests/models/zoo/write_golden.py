"""Writes tests/golden/zoo.json anew: `python -m tests.models.zoo.write_golden`, with torchvision and timm.

For each network: height and width of two images, one of them odd where the network takes it, and the first
logits of both by torchvision or timm, of weights that `tests.models.zoo.drawing` draws by name.
"""

from __future__ import annotations

import json
from pathlib import Path

from nachos_jax.models.zoo import registry
from tests.models.zoo.drawing import images
from tests.models.zoo.torch_side import MAKERS, filled, fitting, logits

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
        # One side even, where paddings differ, one odd; positions of a transformer are those of its weights.
        size = fitting(network, 40, 45)
        theirs = logits(filled(name, network, network.expected.size), images(*size))
        if abs(theirs[0] - theirs[1]).max() < 1e-3 * abs(theirs).max():
            raise SystemExit(f"{name}: the images hardly matter; draw its weights otherwise")
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
