"""Lanes of fits that ended early because a policy had asked for no more: where a longer fit may go on.

Such a lane is a cache, as checkpoints are: without it the longer fit is trained from its first epoch, to the
same bits. It is kept as it stood when the first of its watchers stopped, because from then on that watcher's
fold is not seen any more. A fit that watched a fold beside those that it was asked about is kept whatever its
limit: when another study asks about that fold, its answer is there, or begins there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nachos_jax.core.curves import best_epoch, stop
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.engine import watch
from nachos_jax.engine.resume import Resumable, resumables
from nachos_jax.engine.watch import FitProgress
from nachos_jax.records.schema import Curve
from nachos_jax.records.store import write_atomic

log = logging.getLogger("nachos_jax")

MOST_BYTES = 16 * 2**30
"""Bytes of paused lanes that are kept; what had to go is trained again when it is wanted."""


class PausedLanes:
    """The paused lanes of a command, shared by all processes.

    Args:
        root: folder of the checkpoints of all launches.
        limit: of fits that no policy cuts short, which nothing can follow.
    """

    def __init__(self, root: Path, limit: EpochLimit):
        self._folder, self._limit = folder(root), limit
        self._broken = False

    def due(self, before: FitProgress, after: FitProgress) -> bool:
        """Whether a lane is to be kept after an epoch: the first of its watchers has just stopped."""
        if self._last(before.fit) or len(before.watching) < len(before.watchers) or after.diverged:
            return False
        ends = {curve.end for curve in after.watchers.values()}
        return bool(ends - {""}) and "nan" not in ends

    def keep(self, fit: Fit, arrays: Mapping[str, np.ndarray], told: Mapping) -> None:
        """Keeps a lane, or says once why that cannot be.

        Args:
            fit: which it trained.
            arrays: its state, as `nachos_jax.engine.resume.snapshot` gives it of one lane.
            told: what was seen of it, likewise.
        """
        if self._broken:
            return
        facts = {"told": json.dumps(told), "digest": _digest(arrays)}
        try:
            if self._room(sum(array.nbytes for array in arrays.values())):
                write_atomic(self._path(fit), save(dict(arrays), facts))
        except (OSError, UsageError) as error:
            self._broken = True
            log.warning("paused lanes cannot be kept in %s (%s)", self._folder, error)

    def _room(self, wanted: int) -> bool:
        """Whether there is room for so many bytes, which the oldest lanes make, decided first as they are."""
        if wanted > MOST_BYTES:
            return False
        files: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("*.safetensors"):
            with contextlib.suppress(FileNotFoundError):  # another process has dropped it
                stat = path.stat()
                files.append((stat.st_mtime, stat.st_size, path))
        used = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if used + wanted <= MOST_BYTES:
                break
            used -= size
            path.unlink(missing_ok=True)
        return True

    def take(self, fit: Fit) -> Resumable | None:
        """Where this fit may go on; None where no earlier part of it is kept, or it is damaged.

        A fit without patience is none of them: it watches nothing, and its lane ends with weights.
        """
        path = self._path(fit)
        if fit.limit.patience is None or not path.exists():
            return None
        try:
            with safe_open(path, "numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                facts = file.metadata()
            if facts["digest"] != _digest(arrays):
                raise ValueError("its numbers are not those that were written")
            (found,) = resumables(arrays, [json.loads(facts["told"])]).values()
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            log.warning("the paused lane %s is unreadable and removed (%s)", path, error)
            path.unlink(missing_ok=True)
            return None
        return _answer(found, fit) or _beginning(found, fit)

    def drop(self, fit: Fit) -> None:
        """Forgets the lane of a fit that nothing can follow."""
        if self._last(fit):
            self._path(fit).unlink(missing_ok=True)

    def _last(self, fit: Fit) -> bool:
        """Whether nothing can follow a fit."""
        return fit.limit == self._limit and not fit.beside

    def _path(self, fit: Fit) -> Path:
        asked = "" if fit.watched == fit.left_out else "-" + "-".join(map(str, fit.watched))
        return self._folder / f"{fit.stream}{asked}.safetensors"


def _answer(found: Resumable, fit: Fit) -> Resumable | None:
    """What a lane has seen of a fit that ends within it; None where it ends later.

    What is predicted at best epochs must be of those before the end of each curve: the lane keeps no other.
    """
    curves = {fold: found.watchers[fold] for fold in fit.held if fold in found.watchers}
    ends = {fold: stop(curve.loss, fit.limit) for fold, curve in curves.items()}
    if len(curves) < len(fit.held) or None in ends.values():
        return None
    epochs = max(end or 0 for end in ends.values())
    short = {fold: Curve(c.loss[: ends[fold]], c.score[: ends[fold]], "") for fold, c in curves.items()}
    if any(best_epoch(short[fold].loss) != best_epoch(curve.loss) for fold, curve in curves.items()):
        return None
    ended = {fold: watch.closed(curve, fit.limit) for fold, curve in short.items()}
    return replace(found, training_loss=found.training_loss[:epochs], watchers=ended)


def _beginning(found: Resumable, fit: Fit) -> Resumable | None:
    """Where a lane stands from which a fit goes on; None where a fold of it was not watched so far."""
    epochs = len(found.training_loss)
    watched = {fold: curve for fold, curve in found.watchers.items() if len(curve.loss) == epochs}
    if not set(fit.held) <= set(watched):
        return None
    ends = [stop(watched[fold].loss, fit.limit) for fold in fit.held]
    if any(end is not None and end < epochs for end in ends):
        return None
    asked = {fold: watch.closed(watched[fold], fit.limit) for fold in fit.held}
    beside = {fold: replace(watched[fold], end="") for fold in fit.beside if fold in watched}
    return replace(found, watchers=dict(sorted({**asked, **beside}.items())))


def folder(root: Path) -> Path:
    """Where paused lanes lie below the folder of all launches."""
    return root / "paused"


def clear(root: Path) -> None:
    """Removes all paused lanes: nothing is left to train."""
    shutil.rmtree(folder(root), ignore_errors=True)
    for up in (root, root.parent):
        with contextlib.suppress(OSError):  # something is left in it
            up.rmdir()


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()
