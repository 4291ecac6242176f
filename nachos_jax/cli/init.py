"""`nachos init`: a case table and a config from what a hospital sent."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from nachos_jax.cli import session
from nachos_jax.cli.parsing import Flag
from nachos_jax.core.errors import UsageError

CASES = ("slices", "series")
FLAGS = (
    Flag(
        "input",
        "PATH",
        "Folder, zip or tar of images, DICOM files or volumes; a table (CSV, TSV, XLSX, Parquet); or npz.",
        path=True,
    ),
    Flag(
        "labels",
        "TABLE",
        "Table that tells more of the files, joined by their path, name, stem, folder, series or patient.",
        required=False,
        path=True,
    ),
    Flag(
        "output",
        "FOLDER",
        "Where cases.csv and config.py are written; the folder `intake` here when left out.",
        required=False,
        path=True,
    ),
    Flag(
        "pseudonyms",
        "KEYFILE",
        "Replaces subject ids by keyed hashes; the key is made if the file is not there. Keep it, and keep "
        "it apart: the same key gives the same ids.",
        required=False,
        path=True,
    ),
    Flag(
        "cases",
        "slices|series",
        "DICOM: a line an image or a series; when left out, a series where they have 8 slices or more.",
        required=False,
    ),
)


def init(values: Any, _words: list[str]) -> None:
    """`nachos init`: prints what was found and why, and writes two files."""
    folder = values.output or "intake"
    if values.cases and values.cases not in CASES:
        raise UsageError(f"--cases={values.cases}: must be slices or series.")
    from nachos_jax.intake import intake, pseudonyms
    from nachos_jax.intake.asked import Asked

    output, made = Path(folder), False
    key = None
    if values.pseudonyms:
        key, made = pseudonyms.read_key(Path(values.pseudonyms), output)
    asked = Asked(output, Path(values.labels) if values.labels else None, key, values.cases or "")
    with session.spoken():
        draft = intake.look(Path(values.input), asked)
    changed = intake.write(draft, asked)
    if made:
        print(
            f"made the key {values.pseudonyms}: who has it can tell who is who; keep it, apart from the data"
        )
    print("\n".join(draft.notes))
    for question in draft.questions:
        print(f"TO DECIDE: {question}.")
    told = " and ".join(str(output / name) for name in sorted(changed))
    print(
        f"{draft.count:,} cases; written: {told}" if told else f"{draft.count:,} cases; nothing has changed"
    )
    config = shlex.quote(str(output / "config.py"))
    print(f"read {'them' if draft.path is None else 'it'}, then:")
    print(f"  nachos audit --config={config}")
    print(f"  nachos plan --config={config}")
    print(f"  nachos evaluate --config={config} --workdir={shlex.quote(str(output / 'run'))}")
