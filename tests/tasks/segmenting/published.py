"""Writes tests/golden/segmentation.json: the examples by MONAI, surface-distance and nnU-Net's formulas.

None of the three is needed to run the tests. To write the file anew, in an environment of your own:

    pip install monai==1.6.1 surface-distance==0.1 torch scipy
    PYTHONPATH=. python tests/tasks/segmenting/published.py > tests/golden/segmentation.json
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import numpy as np

from tests.metrics.masks import MASKS
from tests.tasks.segmenting.examples import EXAMPLES, summary


def top_k(outputs: Any, labels: Any) -> Any:
    """nnU-Net 2.8.1, loss/robust_ce_loss.py: mean of the largest tenth of the voxels' cross-entropies."""
    torch = importlib.import_module("torch")
    voxels = torch.nn.functional.cross_entropy(outputs, labels[:, 0].long(), reduction="none").view(-1)
    return torch.topk(voxels, int(voxels.numel() * 10 / 100), sorted=False)[0].mean()


def nnunet_dice(outputs: Any, labels: Any) -> Any:
    """nnU-Net 2.8.1, loss/dice.py: mean over items and classes but the background, smooth 1e-5; 1 less it."""
    torch = importlib.import_module("torch")
    chances = torch.softmax(outputs, 1)[:, 1:]
    there = torch.nn.functional.one_hot(labels[:, 0].long(), outputs.shape[1]).movedim(-1, 1)[:, 1:]
    axes = tuple(range(2, outputs.ndim))
    common, both = (chances * there).sum(axes), chances.sum(axes) + there.sum(axes)
    return 1 - ((2 * common + 1e-5) / (both + 1e-5).clip(1e-8)).mean()


def losses() -> dict[str, Any]:
    """Value and summary of the gradient of every loss by example."""
    torch, monai = importlib.import_module("torch"), importlib.import_module("monai.losses")
    told = {"softmax": True, "to_onehot_y": True}
    functions = {
        "dice": monai.DiceLoss(**told),
        "dice without background": nnunet_dice,
        "generalised_dice": monai.GeneralizedDiceLoss(**told),
        "cross_entropy": lambda x, y: torch.nn.functional.cross_entropy(x, y[:, 0].long()),
        "focal": monai.FocalLoss(to_onehot_y=True),
        "top_k": top_k,
        "hausdorff": monai.LogHausdorffDTLoss(**told),
        "dice_ce": monai.DiceCELoss(**told),
        "dice_focal": monai.DiceFocalLoss(**told),
    }
    found: dict[str, Any] = {}
    for name, (outputs, labels) in EXAMPLES.items():
        for loss, function in functions.items():
            # MONAI has no double precision in some losses: float32, as here.
            x = torch.tensor(np.moveaxis(outputs, -1, 1), requires_grad=True)
            value = function(x, torch.tensor(labels[:, None]))
            value.backward()
            gradient = np.moveaxis(x.grad.numpy(), 1, -1)
            found.setdefault(name, {})[loss] = {"value": float(value), "gradient": summary(gradient)}
    return found


def surfaces() -> dict[str, Any]:
    """HD95 and NSD within 1 mm by surface-distance and by MONAI."""
    torch, monai = importlib.import_module("torch"), importlib.import_module("monai.metrics")
    package = importlib.import_module("surface_distance")
    found = {}
    for name, (reference, predicted, spacing) in MASKS.items():
        away = package.compute_surface_distances(reference, predicted, spacing)
        pair = [torch.tensor(mask[None, None]) for mask in (predicted, reference)]
        given = {"include_background": True, "spacing": spacing}
        found[name] = {
            "hd95": float(package.compute_robust_hausdorff(away, 95)),
            "nsd": float(package.compute_surface_dice_at_tolerance(away, 1.0)),
            "areas": [float(away[f"surfel_areas_{side}"].sum()) for side in ("gt", "pred")],
            "monai hd95": float(monai.compute_hausdorff_distance(*pair, percentile=95, **given)),
            "monai nsd": float(monai.compute_surface_dice(*pair, class_thresholds=[1.0], **given)),
        }
    return found


if __name__ == "__main__":
    json.dump({"losses": losses(), "surfaces": surfaces()}, sys.stdout, indent=1)
    sys.stdout.write("\n")
