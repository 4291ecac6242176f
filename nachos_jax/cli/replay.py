"""`nachos replay`: search policies on recorded learning curves, without training anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nachos_jax.cli.parsing import Flag
from nachos_jax.core.errors import UsageError

FLAGS = (
    Flag(
        "curves",
        "FILE.npz|RUN",
        "Arrays NAME__curves (trials, test folds, validation folds, epochs, 4) with columns loss, accuracy, "
        "val_loss, val_accuracy, NaN where not run; or the run directory of a finished `nachos evaluate`.",
        path=True,
    ),
    Flag(
        "policy",
        "NAME",
        "Policy to play, like race; the default one when left out.",
        required=False,
    ),
    Flag("output", "FILE.json", "Where to write the object too.", required=False, path=True),
)


def replay(values: Any, _words: list[str]) -> None:
    """`nachos replay`: prints one JSON object, {name: what the policy would have trained and chosen}."""
    if not os.path.exists(values.curves):
        raise UsageError(f"--curves={values.curves}: there is no such file or folder; mend the path.")
    output = _output(values.output)
    from nachos_jax.protocol.replay import recorded
    from nachos_jax.protocol.replay.replay import replay as play

    told = {name: play(found, values.policy or None) for name, found in recorded.load(values.curves).items()}
    text = json.dumps(told, indent=2, allow_nan=False)
    if output:
        output.write_text(text + "\n", encoding="utf-8")
    print(text)


def _output(text: str | None) -> Path | None:
    """The file to write, known before anything is played; by its ending it is never one of curves."""
    if not text:
        return None
    path = Path(text)
    if path.suffix.lower() != ".json" or path.is_dir():
        raise UsageError(f"--output={text}: must be a file whose name ends in .json, which is written anew.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--output={text}: there is no folder {path.absolute().parent}; make it first.")
    return path
