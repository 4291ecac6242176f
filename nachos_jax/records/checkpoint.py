"""Checkpoints of running lanes. The only importer of Orbax.

A checkpoint is a cache: deleting it costs the epochs of the running lanes, no finished fit. It holds host
arrays of single lanes, so it can be taken up with another number of lanes, devices or hosts.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger("nachos_jax")


class LaneCheckpoint:
    """The newest checkpoint of one bucket, written in the background.

    Args:
        folder: absolute folder of this bucket's checkpoints.
    """

    def __init__(self, folder: Path):
        import orbax.checkpoint as ocp

        logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells every step at INFO and WARNING
        self._ocp = ocp
        self._folder = folder.absolute()
        self._manager = self._open()

    def _open(self) -> Any:
        options = self._ocp.CheckpointManagerOptions(max_to_keep=1, create=True)
        return self._ocp.CheckpointManager(self._folder, options=options)

    def save(self, arrays: Mapping[str, np.ndarray], progress: Any) -> None:
        """Starts writing; waits only for the save before.

        Args:
            arrays: leaves of the lanes' states by path, leading axis = lanes that are on their way.
            progress: JSON value that says which fits these are and what was seen of them.
        """
        self._manager.wait_until_finished()
        step = (self._manager.latest_step() or 0) + 1
        args = self._ocp.args
        self._manager.save(
            step,
            args=args.Composite(
                state=args.StandardSave(dict(arrays)),  # type: ignore[call-arg]
                progress=args.JsonSave({"lanes": progress}),  # type: ignore[call-arg]
            ),
        )

    def restore(self) -> tuple[dict[str, np.ndarray], Any] | None:
        """The newest checkpoint, or None; one that cannot be read is thrown away with a warning."""
        step = self._manager.latest_step()
        if step is None:
            return None
        args = self._ocp.args
        try:
            found = self._manager.restore(
                step,
                args=args.Composite(state=args.StandardRestore(), progress=args.JsonRestore()),  # type: ignore[call-arg]
            )
            arrays = {name: np.asarray(value) for name, value in found["state"].items()}
            return arrays, found["progress"]["lanes"]
        except Exception as error:  # whatever Orbax meets in a torn file: the cure is the same
            log.warning("the checkpoint in %s is unreadable and was dropped (%s)", self._folder, error)
            self._manager.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._manager = self._open()
            return None

    def close(self) -> None:
        """Waits for the last save."""
        self._manager.wait_until_finished()
        self._manager.close()
