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
        "NAME[,NAME...]",
        "Policy to play, like race; the default one when left out. Several beside --searcher.",
        many=True,
        required=False,
    ),
    Flag(
        "searcher",
        "NAME[,NAME...]",
        "Searchers to compare on the finished grid of a run, each under each policy, in place of its trials.",
        many=True,
        required=False,
    ),
    Flag("trials", "16", "Trials of each study, beside --searcher; 16 when left out.", required=False),
    Flag("repeats", "20", "Seeds, beside --searcher; 20 when left out.", required=False),
    Flag("output", "FILE.json", "Where to write the object too.", required=False, path=True),
)


def replay(values: Any, _words: list[str]) -> None:
    """`nachos replay`: prints one JSON object, {name: what would have been trained and chosen}."""
    if not os.path.exists(values.curves):
        raise UsageError(f"--curves={values.curves}: there is no such file or folder; mend the path.")
    output = _output(values.output)
    told = _searchers(values) if values.searcher else _policy(values)
    text = json.dumps(told, indent=2, allow_nan=False)
    if output:
        output.write_text(text + "\n", encoding="utf-8")
    print(text)


def _policy(values: Any) -> dict[str, Any]:
    """What a policy would have spent on the trials that are recorded."""
    for name in ("trials", "repeats"):
        if getattr(values, name):
            raise UsageError(
                f"--{name}={getattr(values, name)}: goes with --searcher; the recorded trials are played."
            )
    if len(values.policy or ()) > 1:
        raise UsageError(
            f"--policy={','.join(values.policy)}: name one, or with --searcher what to compare under each."
        )
    from nachos_jax.protocol.replay import recorded
    from nachos_jax.protocol.replay.replay import replay as play

    policy = values.policy[0] if values.policy else None
    return {name: play(found, policy) for name, found in recorded.load(values.curves).items()}


def _searchers(values: Any) -> dict[str, Any]:
    """What searchers would have found in the grid of a run."""
    if not os.path.isdir(values.curves):
        raise UsageError(
            f"--curves={values.curves}: is a file, whose trials are known by number alone; with --searcher "
            "name the run directory of a `nachos evaluate` under config.search.searcher = 'grid'."
        )
    trials, repeats = (_count(name, getattr(values, name) or default) for name, default in COUNTS)
    from nachos_jax.config.parsing import POLICY
    from nachos_jax.protocol.replay.searchers import compare

    policies = values.policy or [POLICY]
    ways = [(searcher, policy) for searcher in values.searcher for policy in policies]
    return {Path(values.curves).resolve().name: compare(values.curves, ways, trials, repeats)}


COUNTS = (("trials", "16"), ("repeats", "20"))


def _count(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--{name}={text}: must be a whole number from 1.")
    return int(text)


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
