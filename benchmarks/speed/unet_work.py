"""The segmentation job that is timed: a U-Net, its patches and its batch, and our lanes at work on it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

SIZES = {
    2: {"side": 128, "batch": 8, "width": 16, "depth": 4},
    3: {"side": 32, "batch": 2, "width": 8, "depth": 3},
}
"""What is timed unless flags say otherwise, by the number of spatial axes: 482k and 85k parameters."""


@dataclass(frozen=True)
class UNetWork:
    """What every candidate trains; `steps` are those of one call, in each lane.

    Attributes:
        axes: spatial axes, 2 or 3.
        side: of the square or cubic patches of one channel, in pixels.
        batch: patches a step.
        width: channels of the first level; they double from level to level.
        depth: levels, of two convolutions with instance norm and leaky ReLU each.
        steps: training steps a call.
        precision: of the arithmetic, "float32" or "bfloat16".
    """

    axes: int
    side: int
    batch: int
    width: int
    depth: int
    steps: int
    precision: str = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a patch, (H, W, 1) or (D, H, W, 1)."""
        return (*[self.side] * self.axes, 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the levels."""
        return tuple(self.width * 2**level for level in range(self.depth))

    @property
    def name(self) -> str:
        """For file names."""
        short = "" if self.precision == "float32" else f"_{self.precision}"
        return f"unet_{self.axes}d_w{self.width}_p{self.side}{short}"

    @property
    def words(self) -> str:
        """For people."""
        sides = " x ".join([str(self.side)] * self.axes)
        text = f"U-Net of {self.depth} levels and width {self.width}, patches of {sides}, batch {self.batch}"
        return text if self.precision == "float32" else f"{text}, {self.precision}"

    @property
    def flags(self) -> list[str]:
        """The command line that `from_flags` reads."""
        return [f"--{name}={value}" for name, value in vars(self).items()]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a workload."""
    parser.add_argument("--axes", type=int, choices=tuple(SIZES), default=2, help="spatial axes")
    for name, meaning in (
        ("side", "of the patches, in pixels"),
        ("batch", "patches a training step"),
        ("width", "channels of the first level"),
        ("depth", "levels"),
    ):
        parser.add_argument(f"--{name}", type=int, default=0, help=f"{meaning}; 0 = as is usual for --axes")
    parser.add_argument("--steps", type=int, default=2, help="training steps a call")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")


def from_flags(given: argparse.Namespace) -> UNetWork:
    """The workload that the flags of `add_flags` name."""
    sizes = {name: getattr(given, name) or usual for name, usual in SIZES[given.axes].items()}
    return UNetWork(given.axes, steps=given.steps, precision=given.precision, **sizes)


def images_and_masks(work: UNetWork) -> tuple[np.ndarray, np.ndarray]:
    """Noise [N, *S, 1] float32 with a brighter half, and masks [N, *S] uint8 that are 1 there."""
    draw = np.random.default_rng(0)
    images = draw.normal(size=(work.batch * work.steps, *work.shape)).astype(np.float32)
    masks = np.zeros(images.shape[:-1], np.uint8)
    masks[:, : work.side // 2] = 1
    images[masks == 1] += 1.0
    return images, masks


class Pixels:
    """The device side of a task: cross-entropy over all pixels of two classes, nothing else."""

    outputs, seen = 2, 1

    def batch(self, cases: Any, rows: Any, *_: Any) -> tuple[Any, Any]:
        """Patches and masks as they are."""
        return cases.inputs[rows], cases.targets[rows]

    def loss(self, outputs: Any, targets: Any, told: Any) -> Any:
        """Mean cross-entropy."""
        import jax
        import jax.numpy as jnp

        del told
        own = jax.nn.one_hot(targets, self.outputs)
        return -jnp.mean(jnp.sum(own * jax.nn.log_softmax(outputs), -1))

    def observe(self, apply: Any, cases: Any, rows: Any, told: Any) -> Any:
        """Nothing is looked at."""
        import jax.numpy as jnp

        del apply, cases, told
        return jnp.zeros((rows.shape[0], 1))


def hparams_of(work: UNetWork) -> dict[str, Any]:
    """Static hyperparameters of the network."""
    return {
        "architecture": "unet",
        "norm": "instance",
        "unet.depth": work.depth,
        "unet.width": work.width,
        "unet.multiplier": 2.0,
        "unet.convolutions": 2,
        "unet.residual": False,
        "unet.flat_levels": 0,
    }


def lane_steps(work: UNetWork, lanes: int, candidate: str) -> Callable[[], None]:
    """Compiles the engine's epoch over the workload; a call is an epoch of all lanes of all devices.

    Args:
        work: the workload.
        lanes: lanes a device.
        candidate: "LOWERING/PACKING".
    """
    import functools

    import jax
    import jax.numpy as jnp

    from nachos_jax.core.rng import Purpose
    from nachos_jax.engine import program
    from nachos_jax.engine.lane import LaneInput, LaneSpec
    from nachos_jax.engine.resident import Resident
    from nachos_jax.engine.windows import Windows
    from nachos_jax.models import registry
    from nachos_jax.runtime import mesh as meshes

    lowering, _, packing = candidate.partition("/")
    images, masks = images_and_masks(work)
    store = SimpleNamespace(rows=lambda members: images[members])
    cohort: Any = SimpleNamespace(store=store, targets=SimpleNamespace(on_device=masks))
    rows = len(images)
    precision = jnp.dtype(work.precision)
    build = functools.partial(registry.build, hparams_of(work), work.shape, 2, precision, lowering)
    task: Any = Pixels()
    spec = LaneSpec(build, task, work.batch, "sgd", frozenset(), False, 1, 1, rows, {})
    traced = {"learning_rate": 0.02, "momentum": 0.9, "nesterov": 1.0, "weight_decay": 1e-4}
    traced |= dict.fromkeys(("schedule", "decay", "poly_power", "warmup_epochs", "decoupled"), 0.0)
    told = LaneInput(
        streams=np.ones((len(Purpose), 2), np.uint32),
        epoch=np.int32(0),
        training=np.ones(rows, bool),
        steps=np.int32(work.steps),
        mean=np.zeros(1, np.float32),
        sd=np.ones(1, np.float32),
        task={},
        held=np.zeros(1, np.int32),
        n_held=np.int32(0),
        traced={name: np.float32(value) for name, value in traced.items()},
    )
    mesh = meshes.lane_mesh(jax.local_devices())
    source = Resident(cohort, Windows(np.arange(rows), rows), mesh)
    compiled, _ = source.compile(spec, told, lanes, packing)
    many = program.place([told] * compiled.lanes, mesh)
    state = compiled.start(
        program.empty_state(spec, compiled.lanes, mesh), many, jnp.ones(compiled.lanes, bool)
    )

    def steps() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(compiled.epoch(state, many))

    return steps
