"""What a network of the zoo is: its stages, the images that its weights expect, the names in files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax

from nachos_jax.core.errors import UsageError
from nachos_jax.models.zoo.layers import average, linear
from nachos_jax.models.zoo.place import Place

Stage = Callable[[Place, jax.Array], jax.Array]
Rename = Callable[[str], str]

ALL = "all"
"""Name that stands for the first stage, where a network is trained whole."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Expected:
    """The images that weights were trained on.

    Attributes:
        mean_sd: of red, green and blue, once the values lie in [0, 1].
        size: pixels along each side.
        interpolation: by which images are resized, "bilinear" or "bicubic".
    """

    mean_sd: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
    size: int = 224
    interpolation: str = "bicubic"


def as_it_is(name: str) -> str:
    """The name itself."""
    return name


@dataclass(frozen=True)
class Network:
    """A network that weights of a file fill.

    Attributes:
        stages: (name, function) in their order; each can be the layer that features are taken from, the last
            one gives [B, D].
        head: the module of the linear classifier, e.g. "fc"; its weights may be missing.
        expected: of its images.
        renames: from the names in files to those that the stages read, one for each library or port.
        multiple: of which the sides of an image must be multiples.
        source: where the field finds such weights, for people who look for the file.
        least: pixels that a side of an image must have.
    """

    stages: tuple[tuple[str, Stage], ...]
    head: str
    expected: Expected = Expected()
    renames: tuple[Rename, ...] = (as_it_is,)
    multiple: int = 1
    source: str = "torchvision, or timm on the Hugging Face hub"
    least: int = 32

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that features can be taken from; the last one is the usual one."""
        return tuple(name for name, _ in self.stages)

    def features(self, w: Place, x: jax.Array, layer: str) -> jax.Array:
        """[B, H, W, 3] normalised -> [B, D]: a layer's output, averaged over pixels; of tokens the first."""
        for stage in self.until(layer).values():
            x = stage(w, x)
        if x.ndim == 3:
            return x[:, 0]
        return x.mean((1, 2)) if x.ndim == 4 else x

    def until(self, layer: str) -> dict[str, Stage]:
        """The stages up to a layer and with it, by name."""
        return dict(self.stages[: self.layers.index(layer) + 1])

    def split(self, start: str, layer: str) -> tuple[dict[str, Stage], dict[str, Stage]]:
        """The stages in front of one, and those from it to a layer, without an average over pixels there.

        `start` is the name of a stage, or "all", which has none in front of it.
        """
        stages = self.until(layer)
        first = 0 if start == ALL else list(stages).index(start)
        front, tail = (dict(part) for part in (list(stages.items())[:first], list(stages.items())[first:]))
        return front, {name: stage for name, stage in tail.items() if stage is not average}

    def logits(self, w: Place, x: jax.Array, classes: int) -> jax.Array:
        """[B, H, W, 3] normalised -> [B, classes]."""
        place = w
        for part in self.head.split("."):
            place = place / part
        return linear(place, self.features(w, x, self.layers[-1]), classes)

    def check_size(self, height: int, width: int) -> None:
        """Raises UsageError where images of this size do not suit the network."""
        if height % self.multiple or width % self.multiple or min(height, width) < self.least:
            size = self.expected.size
            raise UsageError(
                f"images of {height} x {width} pixels: this backbone takes sides of at least {self.least}"
                + (f" that are multiples of {self.multiple}" if self.multiple > 1 else "")
                + f"; set config.data.height and config.data.width to 0 for its own {size} x {size}."
            )
