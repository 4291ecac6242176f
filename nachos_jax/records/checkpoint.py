"""Checkpoints of running lanes. The only importer of Orbax.

A checkpoint is a cache: deleting it costs the epochs of the running lanes, no finished fit. It holds host
arrays of single lanes, so it can be taken up with another number of lanes, devices or processes. Each process
of each launch writes into a folder of its own, and any of them reads all: ROOT/LAUNCH/BUCKET.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger("nachos_jax")

_LAUNCH = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}-p\d+")  # as crew.new_session names them


class LaneCheckpoint:
    """The newest checkpoint of one bucket, written in the background.

    One that cannot be written costs a warning and nothing else.

    Args:
        folder: absolute folder of this bucket's checkpoints, which nobody else writes into.

    Attributes:
        failed: whether the last save could not be written, as far as is known: see `settle`.
    """

    def __init__(self, folder: Path):
        self._folder = folder.absolute()
        self._writer: Any = None
        self.failed = False

    def save(self, arrays: Mapping[str, np.ndarray], lanes: Any) -> None:
        """Starts writing; waits only for the save before.

        Args:
            arrays: leaves of the lanes' states by path, leading axis = lanes that are on their way.
            lanes: one JSON value a lane: "fit", and what was seen of it ("training_loss", "watchers").
        """
        args = _orbax().args
        try:
            writer = self._open()
            writer.wait_until_finished()
            writer.save(
                (writer.latest_step() or 0) + 1,
                args=args.Composite(
                    state=args.StandardSave(dict(arrays)),
                    progress=args.JsonSave({"lanes": lanes}),
                ),
            )
            self.failed = False
        except Exception as error:  # whatever Orbax meets: a full disk, a folder that was deleted
            self._give_up(error)

    def settle(self) -> None:
        """Waits until it is known whether the last save lies on the disk."""
        if self._writer is None:
            return
        try:
            self._writer.wait_until_finished()
        except Exception as error:
            self._give_up(error)

    def close(self) -> None:
        """Waits for the last save."""
        if self._writer is None:
            return
        try:
            self._writer.wait_until_finished()
            self._writer.close()
        except Exception as error:
            self._give_up(error)
        self._writer = None

    def _open(self) -> Any:
        if self._writer is None:
            ocp = _orbax()
            options = ocp.CheckpointManagerOptions(max_to_keep=1, create=True)
            self._writer = ocp.CheckpointManager(self._folder, options=options)
        return self._writer

    def _give_up(self, error: Exception) -> None:
        """Forgets the writer, which is of no use after an error; the next save tries a new one."""
        self._writer, self.failed = None, True
        why = str(error).splitlines()[0] if str(error) else repr(error)
        log.warning("the running lanes could not be saved in %s (%s)", self._folder, why)


def prepare() -> None:
    """Imports Orbax."""
    _orbax()


def read(folder: Path) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]] | None:
    """The newest checkpoint in a folder, or None without a readable one.

    Returns:
        Leaves [lanes, ...] by name, and one JSON value a lane; see `LaneCheckpoint.save`.
    """
    found = _restore(folder, state=True)
    if found is None:
        return None
    return {name: np.asarray(value) for name, value in found["state"].items()}, found["progress"]["lanes"]


def told(folder: Path) -> list[dict[str, Any]]:
    """One JSON value a lane of the newest checkpoint in a folder, without its arrays; [] without one."""
    found = _restore(folder, state=False)
    return found["progress"]["lanes"] if found else []


def furthest(folders: list[Path]) -> dict[str, tuple[int, Path]]:
    """For each fit in checkpoints: the most epochs that one holds of it, and that folder."""
    found: dict[str, tuple[int, Path]] = {}
    for folder in sorted(folders):
        for lane in told(folder):
            epochs = len(lane["training_loss"])
            if epochs > found.get(lane["fit"], (0, folder))[0]:
                found[lane["fit"]] = (epochs, folder)
    return found


def prune(launches: Iterable[Path], finished: Container[str]) -> None:
    """Removes the checkpoints in folders of launches that no unfinished fit needs.

    Args:
        launches: folders ROOT/LAUNCH in which nobody writes; others than ours are left alone.
        finished: ids of fits.
    """
    launches = [launch for launch in launches if _LAUNCH.fullmatch(launch.name)]
    folders = [folder for launch in launches for folder in launch.glob("*") if folder.is_dir()]
    best = furthest(folders)
    needed = {folder for fit, (_, folder) in best.items() if fit not in finished}
    for folder in folders:
        if folder not in needed:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in [up for launch in launches for up in (launch, launch.parent, launch.parent.parent)]:
        with contextlib.suppress(OSError):  # something is left in it
            folder.rmdir()


def _restore(folder: Path, state: bool) -> Any:
    """What Orbax finds; whatever it meets in a torn or vanishing file counts as nothing."""
    ocp = _orbax()
    args = ocp.args
    try:
        options = ocp.CheckpointManagerOptions(read_only=True)
        with ocp.CheckpointManager(folder.absolute(), options=options) as reader:
            step = reader.latest_step()
            if step is None:
                return None
            wanted: dict[str, Any] = {"progress": args.JsonRestore()}
            if state:
                wanted["state"] = args.StandardRestore()
            return reader.restore(step, args=args.Composite(**wanted))
    except Exception as error:
        log.warning("the checkpoint in %s is unreadable and left aside (%s)", folder, error)
        return None


def _orbax() -> Any:
    import orbax.checkpoint as ocp

    for name in ("absl", "asyncio"):  # Orbax tells every step, and its errors in long traces
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ocp
