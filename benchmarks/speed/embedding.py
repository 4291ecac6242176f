"""How many images a second does a frozen backbone embed here, beside PyTorch with the same weights?

    python -m benchmarks.speed.embedding --networks resnet18 --images 128 --batches 16,64
    python -m benchmarks.speed.embedding --device cuda

Ours is what `nachos embed` runs: 8-bit images on the host, 16 a device and call, to float16 features on the
host. PyTorch does the same with the same layers (torch_zoo.py), in evaluation and inference mode, channels
last, in a process of its own. Both read one file of weights; before anything is timed, features in full
float32 must agree to 1e-4 of the largest. Candidates take turns, and compilation is told apart; ratios are
medians of those within rounds. Networks with depthwise convolutions are timed in both ways of computing
these, and so are these layers alone; what the shipped program takes is counted in its text. Of networks that
torch_zoo.py does not have, PyTorch's rows are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.shared import measure, served
from benchmarks.speed import torch_embedding, tuned

AGREE = 1e-4
"""Of the largest feature."""
WAYS = {"shift": "shifted sums", "lax": "XLA's grouped convolution"}
"""Of computing a depthwise convolution, by the lowering that takes it."""
OURS = "ours"
ALONE = "depthwise layers alone, on one device"


@dataclass(frozen=True)
class Shape:
    """A depthwise layer: of its input [B, H, W, C], its kernel, its strides and padding."""

    x: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Work:
    """What is embedded by what.

    Attributes:
        name: of the network.
        images: [N, H, W, 3] uint8.
        folder: of temporary files.
        given: the flags.
    """

    name: str
    images: np.ndarray
    folder: Path
    given: argparse.Namespace

    @property
    def side(self) -> int:
        """Pixels along each side."""
        return self.images.shape[1]


class Workers:
    """PyTorch, in a process for each size of batch."""

    def __init__(self, work: Work, device: str):
        from nachos_jax.models.zoo import registry

        self._exact = work.folder / f"{work.name}_exact.npy"
        mean, sd = registry.network(work.name).expected.mean_sd
        self.turns: dict[str, served.Served] = {}
        self.facts: dict[str, Any] = {}
        for batch in map(int, work.given.batches.split(",")):
            command = [*measure.script("speed.torch_embedding"), "--network", work.name, "--batch", batch]
            command += ["--device", device, "--images", work.folder / "images.npy", "--exact", self._exact]
            command += ["--weights", weights_file(work), "--count", exact_count(work)]
            command += [f"--mean={_listed(mean)}", f"--sd={_listed(sd)}"]
            worker = served.Served(command)
            self.facts = worker.ready()  # the first has written the weights that the others read
            self.turns[f"PyTorch, batches of {batch}"] = worker

    def exact(self) -> np.ndarray:
        """Features of the first images in full float32."""
        return np.load(self._exact)

    def close(self) -> None:
        """Ends the processes."""
        for worker in self.turns.values():
            worker.close()


def weights_file(work: Work) -> Path:
    """The file that both sides read."""
    return work.folder / f"{work.name}_drawn.safetensors"


def exact_count(work: Work) -> int:
    """Images whose features are compared."""
    return min(16, len(work.images))


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(map(str, values))


def loaded(work: Work) -> Any:
    """Our backbone of these weights."""
    from nachos_jax.config.run_config import BackboneConfig
    from nachos_jax.models.zoo import backbone

    config = BackboneConfig(work.name, str(weights_file(work)), "", "", "")
    return backbone.load(config, work.side, work.side)


def exact(backbone: Any, images: np.ndarray) -> np.ndarray:
    """[B, D] float32 of the same network and lowering, without TF32 and without rounding to float16."""
    import jax

    from nachos_jax.models.convolution import default_lowering
    from nachos_jax.models.zoo.backbone import normalised
    from nachos_jax.models.zoo.place import reading

    lowering = default_lowering(jax.default_backend())
    with jax.default_matmul_precision("highest"):
        call = jax.jit(lambda w, x: backbone.call(reading(w, lowering), normalised(x, backbone.network)))
        return np.asarray(call(dict(backbone.arrays), images))


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, of the largest feature of theirs."""
    difference = ours.astype(np.float64) - theirs
    return float(np.abs(difference).max() / np.abs(theirs).max())


def checked(work: Work, backbone: Any, workers: Workers) -> float:
    """How far exact features are apart.

    Raises:
        RuntimeError: farther than they may be, or they do not depend on the image.
    """
    theirs = workers.exact()
    found = apart(exact(backbone, work.images[: len(theirs)]), theirs)
    if not found < AGREE:
        raise RuntimeError(f"{work.name}: features are {found:.2g} of the largest apart, above {AGREE:g}")
    if apart(theirs[:1], theirs[1:2]) < 100 * AGREE:
        raise RuntimeError(f"{work.name}: features hardly depend on the image, so that they say nothing")
    return found


@contextmanager
def depthwise_by(lowering: str) -> Generator[list[Shape]]:
    """Depthwise layers of the zoo are computed in this way inside; gives those that were met."""
    from nachos_jax.models.depthwise import depthwise
    from nachos_jax.models.zoo import layers

    met: list[Shape] = []

    def computed(x: Any, kernel: Any, strides: Any, padding: Any, _: str) -> Any:
        met.append(Shape(x.shape, kernel.shape, tuple(strides), tuple(padding)))
        return depthwise(x, kernel, strides, padding, lowering)

    with mock.patch.object(layers, "depthwise", computed):
        yield met


def grouped(backbone: Any, images: np.ndarray) -> int:
    """Grouped convolutions of XLA in the program that embeds."""
    apply, weights, batch = backbone._compiled
    room = np.zeros((batch, *images.shape[1:]), images.dtype)
    counts = re.findall(r"feature_group_count = (\d+)", apply.lower(weights, room).as_text())
    return sum(int(count) > 1 for count in counts)


def embedders(work: Work, backbone: Any) -> tuple[dict[str, Any], dict[str, float], dict[str, Any]]:
    """Our candidates, warm; seconds of their first batch, with compilation; facts of depthwise layers."""
    first, turns, depthwise = {}, {}, {}
    turns[OURS], first[OURS] = _warm(work, backbone)
    with depthwise_by("lax") as met:
        other = dataclasses.replace(backbone)
        layers = grouped(other, work.images)
    if layers:
        taken = "lax" if grouped(backbone, work.images) else "shift"
        way = ({*WAYS} - {taken}).pop()
        with depthwise_by(way):
            label = f"{OURS}, depthwise by {WAYS[way]}"
            turns[label], first[label] = _warm(work, dataclasses.replace(backbone))
        shapes = list(met[:layers])
        depthwise = {"layers": layers, "taken": taken, "shapes": [dataclasses.asdict(s) for s in shapes]}
        turns |= {_alone(layers, way): alone(shapes, way) for way in WAYS}
    return turns, first, depthwise


def _alone(layers: int, way: str) -> str:
    return f"the {layers} {ALONE}, {WAYS[way]}"


def _warm(work: Work, backbone: Any) -> tuple[Callable[[], Any], float]:
    began = time.perf_counter()
    backbone.features(work.images[:1])
    return lambda: backbone.features(work.images), time.perf_counter() - began


def alone(shapes: list[Shape], lowering: str) -> Callable[[], Any]:
    """All depthwise layers of one device's batch, one after the other, in one program."""
    import jax

    from nachos_jax.models.depthwise import depthwise

    draw = np.random.default_rng(0)
    given = [[draw.standard_normal(part, np.float32) for part in (s.x, s.kernel)] for s in shapes]
    kept = jax.device_put(given)

    @jax.jit
    def layers(arrays: Any) -> Any:
        pairs = zip(arrays, shapes, strict=True)
        return [depthwise(x, k, s.strides, s.padding, lowering).sum() for (x, k), s in pairs]

    return lambda: jax.block_until_ready(layers(kept))


def one(work: Work) -> None:
    """Measures one network and stores benchmarks/results/embedding_*.json."""
    import jax

    platform = jax.local_devices()[0].platform
    workers = None
    if torch_embedding.known(work.name):
        workers = Workers(work, "cpu" if platform == "cpu" else "cuda")
    else:
        print(f"{work.name} is not in torch_zoo.py, or PyTorch is not here: its rows are left out.")
        tuned.weights(work.name, work.side, weights_file(work))
    backbone = loaded(work)
    difference = checked(work, backbone, workers) if workers else None
    ours, first, depthwise = embedders(work, backbone)
    theirs = workers.turns if workers else {}
    seconds = measure.in_turn({**theirs, **ours}, work.given.rounds, work.given.budget)
    if workers:
        workers.close()
    value = {
        "seconds": seconds,
        "ratios": beside(seconds, theirs),
        "images": len(work.images),
        "side": work.side,
        "first_batch_seconds": first,
        "apart": difference,
        "pytorch": workers.facts if workers else {},
        "depthwise": depthwise,
        "notes": notes(first, difference, depthwise),
    }
    rates = images_a_second(seconds, len(work.images))
    title = f"Embedding {len(work.images)} images of {work.side} x {work.side} by {work.name}, {platform}"
    measure.store(
        work.given.out, f"embedding_{work.name}{measure.suffix()}", title, rows(rates, value["ratios"]), value
    )


def images_a_second(seconds: dict[str, list[float]], count: int) -> dict[str, float]:
    """Rates by candidate; of layers alone a call is one device's batch."""
    from nachos_jax.models.zoo.backbone import PER_DEVICE

    done = {name: PER_DEVICE if ALONE in name else count for name in seconds}
    return {name: done[name] / measure.median(times) for name, times in seconds.items()}


def beside(seconds: dict[str, list[float]], theirs: Any) -> dict[str, float]:
    """Rates of whole networks over PyTorch's best one: medians of the ratios within rounds."""
    best = min(theirs, key=lambda name: measure.median(seconds[name]), default=None)
    if best is None:
        return {}
    return {
        name: measure.median([b / a for a, b in zip(times, seconds[best], strict=True)])
        for name, times in seconds.items()
        if ALONE not in name
    }


def rows(rates: dict[str, float], ratios: dict[str, float]) -> measure.Table:
    """The table, as the candidates came; the best of PyTorch's rates is 1."""
    lines = []
    for name, rate in rates.items():
        ratio = f"{ratios[name]:.2f} x" if name in ratios else "-"
        lines.append((name, f"{rate:,.4g}", f"{1e3 / rate:.3g} ms", ratio))
    titles = ("candidate", "images a second", "an image", "of PyTorch's best rate")
    return measure.Table(titles, tuple(lines))


def notes(first: dict[str, float], difference: float | None, depthwise: dict[str, Any]) -> list[str]:
    """What the table cannot say."""
    told = [f"Our first batch, compilation included, took {first[OURS]:.3g} s."]
    if difference is not None:
        told.append(f"Features in full float32 are {difference:.1e} of the largest apart.")
    if depthwise:
        taken = WAYS[depthwise["taken"]]
        told.append(f"What ships computes its {depthwise['layers']} depthwise layers by {taken}.")
    return told


def drawn_images(count: int, side: int) -> np.ndarray:
    """[N, side, side, 3] uint8: smooth blobs of another place, size and colour in each, and noise."""
    draw, grid = np.random.default_rng(0), np.linspace(0, 1, side, dtype=np.float32)
    out = np.empty((count, side, side, 3), np.uint8)
    for image in out:
        y, x, width = draw.uniform(0.1, 0.9, 3)
        away = (grid[:, None] - y) ** 2 + (grid[None] - x) ** 2
        blob = np.exp(-away / (0.3 * width) ** 2)[..., None] * draw.uniform(50, 200, 3)
        image[...] = (blob + draw.integers(0, 50, (side, side, 3))).clip(0, 255)
    return out


def start(device: str) -> None:
    """Lets JAX see the device that is asked for; "" for what it sees by itself."""
    # JAX would take most of a GPU's memory at once, and PyTorch's processes need some too.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    measure.start_jax()
    import jax

    if device == "cuda" and jax.local_devices()[0].platform != "gpu":
        sys.exit("--device cuda: JAX sees no GPU here.")


def main() -> None:
    """Each network in turn."""
    flags = measure.parser(__doc__)
    flags.add_argument("--networks", default=",".join(torch_embedding.NAMES))
    flags.add_argument("--device", choices=("", "cpu", "cuda"), default="", help="what JAX sees by default")
    flags.add_argument("--images", type=int, default=256)
    flags.add_argument("--side", type=int, default=224, help="pixels along each side")
    flags.add_argument("--batches", default="16,64", help="sizes of PyTorch's batches; ours is 16 a device")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--budget", type=float, default=300.0, help="seconds a network, then no round begins")
    given = flags.parse_args()
    start(given.device)
    with tempfile.TemporaryDirectory() as temporary:
        images = drawn_images(given.images, given.side)
        np.save(Path(temporary) / "images.npy", images)
        for name in given.networks.split(","):
            one(Work(name, images, Path(temporary), given))


if __name__ == "__main__":
    main()
