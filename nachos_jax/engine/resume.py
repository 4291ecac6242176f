"""Running lanes to and from a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from nachos_jax.core.types import Fit
from nachos_jax.engine.lane import LaneState
from nachos_jax.engine.watch import FitProgress
from nachos_jax.records.checkpoint import LaneCheckpoint
from nachos_jax.records.schema import Curve


@dataclass(frozen=True)
class Resumable:
    """A fit that was on its way when its checkpoint was written.

    Attributes:
        training_loss: one value an epoch.
        watchers: curves by fold.
        leaves: the lane's state, leaf by leaf.
    """

    training_loss: tuple[float, ...]
    watchers: dict[int, Curve]
    leaves: tuple[np.ndarray, ...]

    def progress_of(self, fit: Fit) -> FitProgress:
        """Where the fit stood."""
        return FitProgress(fit, self.training_loss, self.watchers)


def snapshot(
    state: LaneState, running: Sequence[tuple[int, FitProgress]]
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Host copies of the running lanes' state, and a JSON value of what was seen of them.

    Args:
        state: of all lanes.
        running: (lane, progress) of those on their way.

    Returns:
        Leaves [running lanes, ...] by name, and one JSON value a lane.
    """
    rows = np.asarray([i for i, _ in running])
    leaves = jax.tree.leaves(jax.device_get(state))
    arrays = {_name(k): np.ascontiguousarray(np.asarray(leaf)[rows]) for k, leaf in enumerate(leaves)}
    return arrays, [_told(progress) for _, progress in running]


def restore(checkpoint: LaneCheckpoint) -> dict[str, Resumable]:
    """The fits of a checkpoint by id; empty without one."""
    found = checkpoint.restore()
    return resumables(*found) if found else {}


def resumables(arrays: dict[str, np.ndarray], lanes: list[dict[str, Any]]) -> dict[str, Resumable]:
    """The fits of a snapshot by id."""
    leaves = [arrays[_name(k)] for k in range(len(arrays))]
    return {
        told["fit"]: Resumable(
            tuple(told["training_loss"]),
            {
                int(fold): Curve(tuple(c["loss"]), tuple(c["score"]), c["end"])
                for fold, c in told["watchers"].items()
            },
            tuple(leaf[row] for leaf in leaves),
        )
        for row, told in enumerate(lanes)
    }


def _told(progress: FitProgress) -> dict[str, Any]:
    assert all(math.isfinite(x) for x in progress.training_loss)  # a diverged fit has ended
    return {
        "fit": progress.fit.id,
        "training_loss": list(progress.training_loss),
        "watchers": {str(fold): vars(curve) for fold, curve in progress.watchers.items()},
    }


def _name(k: int) -> str:
    return f"leaf_{k:05d}"
