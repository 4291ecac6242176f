"""TensorBoard event files of all fits, made from records: the only file that imports tensorboard.

The same records give the same bytes, so writing again changes nothing and adds no point twice. Records
hold no times: the wall time of a point is its epoch, in seconds.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import digest
from nachos_jax.records.schema import FitRecord
from nachos_jax.records.store import RunDirectory, dump, write_atomic
from nachos_jax.report.tracking.tracked_fits import TrackedFit, TrackedTrial, tracked

FILE = "events.out.tfevents.0.nachos"
MARK = "nachos_run.json"
"""Says whose event files a folder holds, so that two runs never mix in one."""

Point = tuple[str, int, float | None]
"""Tag, step and value; None shows as not a number."""


def write(workdir: str | os.PathLike, folder: str | os.PathLike) -> tuple[int, int]:
    """Writes FOLDER/fold_00/trial_0003/inner_02 and its like, a folder a fit and one a trial.

    Args:
        workdir: the run directory, finished or not; its deployment is included when there is one.
        folder: where; made if need be. What it holds of the same run is brought up to date.

    Returns:
        Event files written now, and all.

    Raises:
        UsageError: tensorboard is not installed, there is no run, or the folder belongs to another run.
    """
    _imported()
    run = RunDirectory(workdir).run()
    if run is None:
        raise UsageError(
            f"{os.fspath(workdir)} holds no run (no records/run.json): name the --workdir of an evaluation."
        )
    _mark(Path(folder), os.fspath(workdir), digest(run))
    written = total = 0
    for name, data in _files(workdir):
        path = Path(folder) / name / FILE
        total += 1
        if not (path.exists() and path.read_bytes() == data):
            write_atomic(path, data)
            written += 1
    return written, total


def _files(workdir: str | os.PathLike) -> Iterator[tuple[str, bytes]]:
    """Folder and bytes of each event file."""
    for command in ("evaluate", "deploy"):
        trials, fits = tracked(RunDirectory(workdir, command))
        for trial in trials:
            yield trial.folder, _encoded(_outcome(trial), dict(trial.trial.hparams), trial.folder)
        for fit in fits:
            folder = (
                f"deploy/{fit.folder}"
                if command == "deploy" and fit.folder.startswith("fits/")
                else fit.folder
            )
            hparams = None if "/trial_" in fit.folder else dict(fit.record.hparams)
            yield folder, _encoded(_curves(fit), hparams, folder)


def _outcome(trial: TrackedTrial) -> Iterator[Point]:
    """What the inner folds said of a trial, at the epoch n that a refit would train."""
    score = trial.score
    if score is None:
        return
    step = score.epochs or 0
    yield "trial/score", step, score.score
    yield "trial/spread", step, score.spread
    yield "trial/selected", step, float(trial.selected)


def _curves(fit: TrackedFit) -> Iterator[Point]:
    """Training loss and the curves of the watched folds, one point an epoch from 1."""
    record: FitRecord = fit.record
    for epoch, value in enumerate(record.training_loss, 1):
        yield "loss/training", epoch, value
    one = len(fit.watched) == 1
    for fold in fit.watched:
        name = "inner_fold" if one else f"fold_{fold:02d}"
        for epoch, value in enumerate(record.curves[fold].loss, 1):
            yield f"loss/{name}", epoch, value
        for epoch, value in enumerate(record.curves[fold].score, 1):
            yield f"score/{name}", epoch, value


def _encoded(points: Iterator[Point], hparams: Mapping[str, Any] | None, name: str) -> bytes:
    """An event file: its version, the hyperparameters for the plugin of that name, the points."""
    proto = _imported()
    buffer = io.BytesIO()
    writer = proto["RecordWriter"](buffer)
    writer.write(proto["Event"](wall_time=0.0, file_version="brain.Event:2").SerializeToString())
    if hparams is not None:
        summary = proto["hparams_pb"](hparams, trial_id=name, start_time_secs=0.0)
        for value in summary.value:  # it is packed in an order that changes from process to process
            packed = value.metadata.plugin_data
            told = proto["HParamsPluginData"].FromString(packed.content)
            packed.content = told.SerializeToString(deterministic=True)
        writer.write(proto["Event"](wall_time=0.0, summary=summary).SerializeToString())
    for tag, step, value in points:
        number = float("nan") if value is None else value
        summary = proto["Summary"](value=[proto["Summary"].Value(tag=tag, simple_value=number)])
        event = proto["Event"](wall_time=float(step), step=step, summary=summary)
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _imported() -> dict[str, Any]:
    """What is used of tensorboard.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.plugins.hparams import plugin_data_pb2
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        raise UsageError(
            f"--tensorboard needs the package tensorboard, which cannot be imported ({error}): install it "
            "with `pip install 'nachos_jax[tracking]'` or `pip install tensorboard`."
        ) from error
    messages = vars(event_pb2) | vars(summary_pb2) | vars(plugin_data_pb2)
    known = {name: messages[name] for name in ("Event", "Summary", "HParamsPluginData")}
    return known | {"hparams_pb": hparams_pb, "RecordWriter": RecordWriter}


def _mark(folder: Path, workdir: str, run: str) -> None:
    """Takes the folder for this run, or refuses it.

    Raises:
        UsageError: it is a file, or holds the event files of another run.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--tensorboard={folder}: is a file; name a folder, which is made if need be.")
    mark = folder / MARK
    data = dump({"run": run, "workdir": workdir})
    if mark.exists():
        if f'"run": "{run}"' not in mark.read_text(encoding="utf-8"):
            raise UsageError(
                f"--tensorboard={folder}: holds the event files of another run (see {mark}); give this run a "
                "folder of its own, like one below it, and TensorBoard shows both."
            )
        return
    write_atomic(mark, data)
