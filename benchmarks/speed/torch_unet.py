"""The U-Net of `nachos_jax.models.unet` in PyTorch, and its training steps.

    python -m benchmarks.speed.torch_unet [--axes 2|3] [--layout default|channels_last] [--device cpu|cuda]

Prints milliseconds a step. With --serve it is a worker of unet_steps.py, which calls it in its turn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from benchmarks.shared import measure, served
from benchmarks.speed import unet_work
from benchmarks.speed.unet_work import UNetWork

LAYOUTS = ("default", "channels_last")


def torch_unet(axes: int, widths: tuple[int, ...], channels: int, classes: int) -> Any:
    """A U-Net of two convolutions a level, instance norm and leaky ReLU, halving every axis.

    Args:
        axes: 2 or 3.
        widths: channels of the levels.
        channels: of the input.
        classes: outputs for each pixel.
    """
    import torch
    from torch import nn

    convolution, norm, pool, up = (
        getattr(nn, f"{kind}{axes}d") for kind in ("Conv", "InstanceNorm", "MaxPool", "ConvTranspose")
    )

    def stage(inputs: int, outputs: int) -> nn.Module:
        layers: list[nn.Module] = []
        for source in (inputs, outputs):
            layers += [convolution(source, outputs, 3, padding=1, bias=False), norm(outputs, affine=True)]
            layers.append(nn.LeakyReLU(0.01, inplace=True))
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pairs = list(zip(widths, widths[1:], strict=False))
            self.down = nn.ModuleList(
                [stage(a, b) for a, b in zip((channels, *widths), widths, strict=False)]
            )
            self.ups = nn.ModuleList([up(b, a, 2, 2, bias=False) for a, b in pairs])
            self.merged = nn.ModuleList([stage(2 * a, a) for a, _ in pairs])
            self.last = convolution(widths[0], classes, 1)
            self.pool = pool(2)

        def forward(self, x: Any) -> Any:
            passed = []
            for level, down in enumerate(self.down):
                x = down(self.pool(x) if level else x)
                passed.append(x)
            for level in reversed(range(len(self.ups))):
                x = self.merged[level](torch.cat([passed[level], self.ups[level](x)], 1))
            return self.last(x)

    return UNet()


def torch_steps(work: UNetWork, layout: str, device: str = "cpu") -> Callable[[], None]:
    """Runs the workload's steps of one fit when called, on "cpu" or "cuda"."""
    import torch

    images, masks = unet_work.images_and_masks(work)
    inputs = torch.from_numpy(images).movedim(-1, 1).contiguous().to(device)
    targets = torch.from_numpy(masks).long().to(device)
    network = torch_unet(work.axes, work.widths, 1, 2).train().to(device)
    if layout == "channels_last":
        order: Any = torch.channels_last if work.axes == 2 else torch.channels_last_3d
        inputs, network = inputs.to(memory_format=order), network.to(memory_format=order)
    optimizer = torch.optim.SGD(network.parameters(), 0.02, momentum=0.9, nesterov=True, weight_decay=1e-4)
    loss = torch.nn.CrossEntropyLoss()

    def steps() -> None:
        for start in range(0, len(inputs), work.batch):
            rows = slice(start, start + work.batch)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=work.precision == "bfloat16"):
                outputs = network(inputs[rows])
            loss(outputs.float(), targets[rows]).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return steps


def worker(work: UNetWork, layout: str, device: str) -> served.Served:
    """A process of its own that runs the steps when called."""
    chosen = [f"--layout={layout}", f"--device={device}"]
    command = [*measure.script("speed.torch_unet"), "--serve", *chosen, *work.flags]
    return served.Served(command)


def main() -> None:
    """Times the steps, or serves them."""
    flags = measure.parser(__doc__)
    unet_work.add_flags(flags)
    flags.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0])
    flags.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument(
        "--serve", action="store_true", help="work for unet_steps.py, a call for each line read"
    )
    given: argparse.Namespace = flags.parse_args()
    work = unet_work.from_flags(given)
    steps = torch_steps(work, given.layout, given.device)
    if given.serve:
        steps()
        served.serve({}, steps)
        return
    seconds = measure.in_turn({"pytorch": steps}, given.rounds)["pytorch"]
    print(f"PyTorch, {work.words}: {1e3 * measure.median(seconds) / work.steps:.1f} ms a step")


if __name__ == "__main__":
    main()
