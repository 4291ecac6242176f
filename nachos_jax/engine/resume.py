"""Running lanes to and from a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nachos_jax.core.types import Fit
from nachos_jax.engine.lane import LaneState
from nachos_jax.engine.watch import FitProgress
from nachos_jax.records import checkpoint
from nachos_jax.records.schema import Curve

BEST = "best_logits"
"""Name of the array that stands beside the leaves of the state, as versions before other tasks wrote it."""


@dataclass(frozen=True)
class Resumable:
    """A fit that was on its way when its checkpoint was written."""

    training_loss: tuple[float, ...]  # one value an epoch
    watchers: dict[int, Curve]  # curves by fold
    leaves: tuple[np.ndarray, ...]  # the lane's state, leaf by leaf
    best: np.ndarray  # [held cases, S], what was seen of each watched fold at its best epoch so far
    first: str = ""  # as of its progress

    def matches(self, leaves: Sequence[Any], best: np.ndarray) -> bool:
        """Whether it can take the place of such a state of a lane, given as leaves or as their shapes."""
        return _forms([*self.leaves, self.best]) == _forms([*leaves, best])

    def progress_of(self, fit: Fit) -> FitProgress:
        """Where the fit stood."""
        return FitProgress(fit, self.training_loss, self.watchers, self.first)


@dataclass(frozen=True)
class Running:
    """A lane at work."""

    lane: int  # its number
    progress: FitProgress  # of its fit
    best: np.ndarray  # [held cases, S], what was seen of each watched fold at its best epoch so far


@dataclass(frozen=True)
class Checkpoints:
    """Where running lanes are saved, and where those of earlier launches lie."""

    root: Path  # the folder of all launches
    launch: str  # name of the folder in it that only this process writes into


class Saved:
    """Fits on their way in the checkpoints of a bucket, whichever process and launch wrote them."""

    def __init__(self, root: Path, bucket: str):
        self._root, self._bucket = root, bucket
        self._where: dict[str, tuple[int, Path]] = {}
        self._read: tuple[Path, dict[str, Resumable]] | None = None
        self.look()

    def look(self) -> None:
        """Looks for checkpoints anew; their arrays are read when a fit is taken."""
        self._where = checkpoint.furthest(list(self._root.glob(f"*/{self._bucket}")))
        self._read = None

    def take(self, fit: str) -> Resumable | None:
        """Where the fit stood in the checkpoint with most of its epochs; None without a readable one."""
        if fit not in self._where:
            return None
        _, folder = self._where.pop(fit)
        if self._read is None or self._read[0] != folder:
            found = checkpoint.read(folder)
            self._read = (folder, resumables(*found) if found else {})
        return self._read[1].get(fit)


def snapshot(
    state: LaneState, running: Sequence[Running]
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Host copies of the running lanes' state, and a JSON value of what was seen of each.

    The arrays are leaves [running lanes, ...] by name, with what was seen at best epochs beside them.
    """
    rows = np.asarray([lane.lane for lane in running])
    leaves = jax.tree.leaves(jax.device_get(state))
    arrays = {_name(k): np.ascontiguousarray(np.asarray(leaf)[rows]) for k, leaf in enumerate(leaves)}
    arrays[BEST] = np.stack([lane.best for lane in running])
    return arrays, [_told(lane.progress) for lane in running]


def resumables(arrays: dict[str, np.ndarray], lanes: list[dict[str, Any]]) -> dict[str, Resumable]:
    """The fits of a snapshot by id; none of one that an older version wrote, without it."""
    if BEST not in arrays:
        return {}
    leaves = [arrays[_name(k)] for k in range(len(arrays) - 1)]
    return {
        told["fit"]: Resumable(
            tuple(told["training_loss"]),
            {
                int(fold): Curve(tuple(c["loss"]), tuple(c["score"]), c["end"])
                for fold, c in told["watchers"].items()
            },
            tuple(leaf[row] for leaf in leaves),
            arrays[BEST][row],
            told.get("first", ""),
        )
        for row, told in enumerate(lanes)
    }


def _told(progress: FitProgress) -> dict[str, Any]:
    assert all(math.isfinite(x) for x in progress.training_loss)  # a diverged fit has ended
    return {
        "fit": progress.fit.id,
        "training_loss": list(progress.training_loss),
        "watchers": {str(fold): vars(curve) for fold, curve in progress.watchers.items()},
        **({"first": progress.first} if progress.first else {}),
    }


def _forms(arrays: Sequence[Any]) -> list[tuple[tuple[int, ...], np.dtype]]:
    return [(tuple(array.shape), np.dtype(array.dtype)) for array in arrays]


def _name(k: int) -> str:
    return f"leaf_{k:05d}"
