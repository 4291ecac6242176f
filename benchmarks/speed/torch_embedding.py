"""PyTorch's side of embedding.py: a network of torch_zoo.py embeds all images for each line read.

    python -m benchmarks.speed.torch_embedding --network resnet18 --batch 16 --images images.npy \\
        --weights w.safetensors
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure, served

NAMES = ("efficientnet_lite0", "resnet18", "resnet50", "vit_small_patch16")
"""Networks that torch_zoo.py has; told here too, so that nobody loads PyTorch to ask."""


def known(name: str) -> bool:
    """Whether PyTorch can compute the network on this machine."""
    return name in NAMES and importlib.util.find_spec("torch") is not None


def network(name: str, side: int) -> Any:
    """The network that gives features, with random weights, for images of side x side pixels."""
    import torch

    from benchmarks.speed import torch_zoo

    torch.manual_seed(0)
    return torch_zoo.NETWORKS[name](side)


def settle(model: Any, batch: Any) -> None:
    """Gives the norms an affine step of their own, and as running statistics those of a batch [B, 3, H, W].

    So that features are of the order of 1, and depend on each of these weights.
    """
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0.0, 0.2)
            module.momentum = None  # which averages all batches seen
    with torch.no_grad():
        model.train()(batch)


class Side:
    """A network on a device, and the images.

    Args:
        given: the flags.
    """

    def __init__(self, given: argparse.Namespace):
        import torch
        from safetensors.torch import load_file, save_file

        self._torch, self._batch, self.threads = torch, given.batch, torch.get_num_threads()
        self._device = torch.device(given.device)
        torch.backends.cudnn.benchmark = True
        self._images = np.load(given.images)
        mean, sd = (torch.tensor(list(map(float, text.split(",")))) for text in (given.mean, given.sd))
        self._mean, self._sd = (one[:, None, None].to(self._device) for one in (mean, sd))
        model = network(given.network, self._images.shape[1]).to(self._device)
        if given.weights.exists():
            model.load_state_dict(load_file(given.weights, str(self._device)))
        else:
            with torch.no_grad():
                settle(model, self._normalised(self._images[: given.count]))
            save_file({name: value.cpu() for name, value in model.state_dict().items()}, given.weights)
        self._model = model.eval().to(memory_format=torch.channels_last)

    def features(self) -> np.ndarray:
        """[N, D] float16 of all images, batch by batch, in the device's usual arithmetic (TF32 on a GPU)."""
        self._exact(False)
        with self._torch.inference_mode():
            return np.concatenate([self._of(part).half().cpu().numpy() for part in self._parts()])

    def exact(self, count: int) -> np.ndarray:
        """[count, D] float32 of the first images, without TF32."""
        self._exact(True)
        with self._torch.inference_mode():
            return self._of(self._images[:count]).float().cpu().numpy()

    def _exact(self, wanted: bool) -> None:
        # JAX's products of float32 are TF32 where a GPU has it; PyTorch's are so only in convolutions.
        self._torch.backends.cuda.matmul.allow_tf32 = not wanted
        self._torch.backends.cudnn.allow_tf32 = not wanted

    def _parts(self) -> list[np.ndarray]:
        return [self._images[s : s + self._batch] for s in range(0, len(self._images), self._batch)]

    def _of(self, part: np.ndarray) -> Any:
        return self._model(self._normalised(part))

    def _normalised(self, part: np.ndarray) -> Any:
        """[B, H, W, 3] 8-bit on the host -> [B, 3, H, W] on the device, channels last in memory."""
        x = self._torch.from_numpy(part).to(self._device).permute(0, 3, 1, 2)
        return (x.float() / 255 - self._mean) / self._sd


def main() -> None:
    """Writes the weights if there are none, and features of the first images; then waits for its turns."""
    flags = measure.parser(__doc__)
    flags.add_argument("--network", default="resnet18")
    flags.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    flags.add_argument("--batch", type=int, default=16)
    flags.add_argument("--images", type=Path, required=True, help="NPY file [N, H, W, 3] uint8")
    flags.add_argument("--weights", type=Path, required=True, help="to read, or to write if it is not there")
    flags.add_argument("--mean", default="0.485,0.456,0.406", help="of the pixels, 0 to 1")
    flags.add_argument("--sd", default="0.229,0.224,0.225")
    flags.add_argument("--exact", type=Path, required=True, help="NPY file for exact features, to write")
    flags.add_argument("--count", type=int, default=16, help="images of these, and that the norms have seen")
    given = flags.parse_args()
    side = Side(given)
    np.save(given.exact, side.exact(given.count))

    def work() -> None:
        side.features()

    served.serve({"version": measure.version("torch"), "threads": side.threads}, work)


if __name__ == "__main__":
    main()
