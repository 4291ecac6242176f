"""How much work a training step is, counted from the architecture: operations, and bytes that must move.

A convolution takes 2 x pixels x window x inputs x outputs operations forward, and as many for each of its two
gradients; the first layer has no gradient of its input. Taps that lie in the padding are counted, as is
usual; norms, activations and the update are not.

Bytes are the least that a network with batch norm can move: the output of every convolution has to exist
before the norm can begin, so it is written once and read once forward, and its gradient is written once and
read once backward. The images are read once, as bytes. Each parameter is read forward and backward and
written, and its momentum is read and written. What stays in a cache moves for less, so on a processor whose
caches hold a layer's activations this term is no strict floor.
"""

from __future__ import annotations

from dataclasses import dataclass

WIDTHS_OF_STAGES = {"cnn": (1, 2, 4), "resnet18": (1, 2, 4, 8)}
PASSES_OF_AN_ACTIVATION, PASSES_OF_A_PARAMETER = 4, 5


@dataclass(frozen=True)
class Layer:
    """A convolution, or the linear layer at the end.

    Attributes:
        inputs: channels read.
        outputs: channels written.
        window: side of the kernel in pixels.
        side: side of the output in pixels.
        norm: whether a norm with two numbers a channel follows.
    """

    inputs: int
    outputs: int
    window: int
    side: int
    norm: bool = True

    @property
    def weights(self) -> int:
        """Numbers in the kernel."""
        return self.inputs * self.outputs * self.window**2

    @property
    def flops(self) -> int:
        """Operations of one image, forward."""
        return 2 * self.weights * self.side**2


def layers(model: str, width: int, pixels: int, channels: int = 1, classes: int = 2) -> list[Layer]:
    """The layers of `cnn` (three stages) or `resnet18` (3x3 stem) in the order in which they run."""
    found = _cnn(width, pixels, channels) if model == "cnn" else _resnet(width, pixels, channels)
    return [*found, Layer(found[-1].outputs, classes, 1, 1, norm=False)]


def _cnn(width: int, pixels: int, channels: int) -> list[Layer]:
    found, inputs = [], channels
    for stage, factor in enumerate(WIDTHS_OF_STAGES["cnn"]):
        found.append(Layer(inputs, width * factor, 3, pixels // 2**stage))
        inputs = width * factor
    return found


def _resnet(width: int, pixels: int, channels: int) -> list[Layer]:
    found, inputs, side = [Layer(channels, width, 3, pixels)], width, pixels
    for stage, factor in enumerate(WIDTHS_OF_STAGES["resnet18"]):
        outputs = width * factor
        for block in range(2):
            halved = bool(stage) and not block
            side = -(-side // 2) if halved else side
            if halved:
                found.append(Layer(inputs, outputs, 1, side))
            found += [Layer(inputs, outputs, 3, side), Layer(outputs, outputs, 3, side)]
            inputs = outputs
    # The shortcut is listed before its block's convolutions; the last layer is a 3x3 one in any case.
    return found


def step_flops(found: list[Layer], batch: int) -> int:
    """Floating-point operations of one training step on `batch` images."""
    return batch * (3 * sum(layer.flops for layer in found) - found[0].flops)


def step_bytes(found: list[Layer], batch: int, pixels: int, itemsize: int) -> int:
    """Bytes that one training step moves at least; itemsize is that of an activation."""
    activations = batch * sum(layer.side**2 * layer.outputs for layer in found)
    images = batch * pixels**2 * found[0].inputs
    return (
        PASSES_OF_AN_ACTIVATION * itemsize * activations
        + PASSES_OF_A_PARAMETER * 4 * parameters(found)
        + images
    )


def parameters(found: list[Layer]) -> int:
    """Trained numbers: kernels, two for each channel of a norm, and the bias of the linear layer."""
    return sum(layer.weights + (2 if layer.norm else 1) * layer.outputs for layer in found)
