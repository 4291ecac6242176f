"""`nachos study`: what finished searches teach."""

from __future__ import annotations

import json
import os
from typing import Any

from nachos_jax.cli.parsing import Flag
from nachos_jax.core.errors import UsageError

FLAGS = (
    Flag(
        "workdir",
        "DIR[,DIR...]",
        "Run directories of finished `nachos evaluate` over the same cases, or the folder of a sweep.",
        many=True,
        path=True,
    ),
    Flag(
        "by",
        "config.FIELD[,...]",
        "Fields of the config that make groups of several runs; config.search.searcher when left out.",
        many=True,
        required=False,
    ),
    Flag(
        "output",
        "FOLDER",
        "Folder for tables and figures; DIR/study when left out, and needed of several runs.",
        required=False,
        path=True,
    ),
    Flag("json", "", "Print one JSON object with all numbers in place of the text.", required=False),
)


def study(values: Any, _words: list[str]) -> None:
    """`nachos study`: prints what was learnt, and writes it with tables and figures."""
    output = _folder(values.output, values.workdir)
    from nachos_jax.report.numbers import lessons
    from nachos_jax.report.page import learnt
    from nachos_jax.report.words import lessons_text

    result = lessons.of_runs(values.workdir, values.by or (lessons.SEARCHER,))
    if not output and len(result["runs"]) > 1:
        raise UsageError(f"--workdir={values.workdir[0]} holds {len(result['runs'])} runs: {NAMED}")
    folder = learnt.write(result, output or os.path.join(values.workdir[0], "study"))
    if values.json:
        print(json.dumps(result, indent=1, allow_nan=False))
    else:
        print(lessons_text.markdown(result), end="")
        print(f"tables and figures: {folder}")


NAMED = "name a folder for their tables and figures with --output=FOLDER."


def _folder(text: str | None, workdirs: list[str]) -> str | None:
    if text and os.path.exists(text) and not os.path.isdir(text):
        raise UsageError(f"--output={text}: is a file; name a folder, which is made if need be.")
    if not text and len(workdirs) > 1:
        raise UsageError(f"several runs have no folder of their own: {NAMED}")
    return text or None
