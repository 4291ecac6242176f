"""The training job that is timed: a network, its images and its batch; and our lanes at work on it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

MODELS = ("cnn", "resnet18")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Workload:
    """What every candidate trains; `steps` are those of one call, in each lane.

    Attributes:
        model: "cnn" (three stages, batch norm) or "resnet18" (3x3 stem).
        width: channels of the first stage.
        pixels: side of the square gray images.
        batch: cases a step.
        steps: training steps a call.
        precision: "float32" or "bfloat16".
    """

    model: str
    width: int
    pixels: int
    batch: int
    steps: int
    precision: str

    @property
    def name(self) -> str:
        """For file names."""
        usual = "" if self.precision == "float32" else f"_{self.precision}"
        return f"{self.model}_w{self.width}_p{self.pixels}{usual}"

    @property
    def words(self) -> str:
        """For people."""
        return (
            f"{self.model} of width {self.width}, {self.pixels} x {self.pixels} pixels, batch {self.batch}, "
            f"{self.precision}"
        )

    @property
    def flags(self) -> list[str]:
        """The command line that `from_flags` reads."""
        return [f"--{name}={value}" for name, value in vars(self).items()]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a workload."""
    parser.add_argument("--model", choices=MODELS, default="cnn")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--pixels", type=int, default=28, help="side of the images")
    parser.add_argument("--batch", type=int, default=64, help="cases a training step")
    parser.add_argument("--steps", type=int, default=12, help="training steps a call")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")


def from_flags(given: argparse.Namespace) -> Workload:
    """The workload that the flags of `add_flags` name."""
    return Workload(given.model, given.width, given.pixels, given.batch, given.steps, given.precision)


def images_and_labels(cases: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Synthetic cases: [N, P, P] uint8 noise, brighter in the left half for class 1, and labels [N]."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 200, (cases, pixels, pixels), dtype=np.uint8)
    labels = np.arange(cases) % 2
    images[labels == 1, :, : pixels // 2] += 20
    return images, labels


def config_of(work: Workload, lanes: int, candidate: str = "auto") -> Any:
    """The config in which `lanes` lanes a device train the workload.

    Args:
        work: the workload.
        lanes: lanes a device.
        candidate: "LOWERING/PACKING", or "auto".
    """
    import nachos_jax

    config = nachos_jax.default_config()
    config.data.source, config.search.searcher = "arrays", "random"
    config.model.architecture = "cnn" if work.model == "cnn" else "resnet"
    config.model.cnn.width = config.model.resnet.width = work.width
    config.training.batch_size, config.training.precision = work.batch, work.precision
    lowering, _, packing = candidate.partition("/")
    config.engine.convolution, config.engine.packing = lowering, packing or "auto"
    config.engine.lanes = lanes
    return config


def endless_pool(work: Workload, lanes: int, candidate: str, cases: int) -> Any:
    """A lane pool whose lanes all train for ever, after a first epoch; `step()` is an epoch of all lanes.

    Args:
        work: the workload.
        lanes: lanes a device.
        candidate: "LOWERING/PACKING", or "auto".
        cases: training cases, of which none is left out.
    """
    import jax

    import nachos_jax
    from nachos_jax.core.hparams import active
    from nachos_jax.core.types import EpochLimit, Fit
    from nachos_jax.engine.pool import LanePool
    from nachos_jax.protocol.run.configure import checked
    from nachos_jax.splits.folds import Folds

    run = checked(config_of(work, lanes, candidate))
    images, labels = images_and_labels(cases, work.pixels)
    cohort = nachos_jax.cohort_from_arrays(images, labels, one_case_per_subject=True)
    pool = LanePool(cohort, Folds(np.zeros((1, cases), np.int32), 1), run)
    total = lanes * len(jax.local_devices())
    hparams = active(run.defaults, run.table)
    pool.submit([Fit(hparams, (), seed, EpochLimit(10**6), "bench") for seed in range(total)])
    pool.step()
    return pool


def table_of_auto(platform: str) -> tuple[str, ...]:
    """The candidates "LOWERING/PACKING" that `auto` times on a platform."""
    from nachos_jax.engine import tuning

    return tuple(f"{c.convolution}/{c.packing}" for c in tuning.candidates(platform, "auto", "auto"))


@contextlib.contextmanager
def choices_noted() -> Generator[list[str]]:
    """Notes what `auto` takes, "LOWERING/PACKING", whenever it chooses."""
    from nachos_jax.engine import tuning

    noted: list[str] = []
    real: Callable[..., Any] = tuning.choose

    def choose(*args: Any, **more: Any) -> Any:
        choice = real(*args, **more)
        noted.append(f"{choice.convolution}/{choice.packing}")
        return choice

    tuning.choose = choose
    try:
        yield noted
    finally:
        tuning.choose = real


def taken_by_auto(work: Workload, lanes: int, cases: int) -> tuple[Any, str]:
    """An endless pool in which `auto` has chosen, and what it chose."""
    with choices_noted() as noted:
        pool = endless_pool(work, lanes, "auto", cases)
    return pool, noted[-1]
