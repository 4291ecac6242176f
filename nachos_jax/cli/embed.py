"""`nachos embed`: the features of a frozen backbone for all cases, as an NPZ that is read as vectors."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from pathlib import Path
from typing import Any

from nachos_jax.cli import parsing
from nachos_jax.cli.parsing import Flag
from nachos_jax.core.errors import UsageError

FLAGS = (
    Flag("config", "FILE.py", "Python file with get_config(), or one that ships; it names the backbone."),
    Flag("output", "FILE.npz", "NPZ file to write; config.data.source = 'vectors' reads it.", path=True),
)


def embed(values: Any, _words: list[str]) -> None:
    """Writes features, cases, labels, subjects and what the backbone is."""
    path = _output(values.output)
    config = parsing.run_config(values.config)
    if not config.backbone.name:
        raise UsageError(
            "nachos embed needs a backbone: set --config.backbone.name and --config.backbone.weights."
        )
    if config.backbone.tune:
        raise UsageError(
            f"config.backbone.tune = {config.backbone.tune!r}: nachos embed writes the features of frozen "
            "weights; set it to '', and config.backbone.layer to a layer."
        )
    from nachos_jax.protocol.run import embedding
    from nachos_jax.records.store import write_atomic
    from nachos_jax.runtime import compile_cache, mesh

    compile_cache.switch_on()
    mesh.one_device_a_core()
    # External cases are told apart where the features are evaluated: the file keeps their sites.
    data = dataclasses.replace(config.data, external=(), external_path="")
    cohort = embedding.load(dataclasses.replace(config, data=data))
    write_atomic(path, embedding.archive(cohort, config.data.columns))
    facts = cohort.preparation["backbone"]
    print(f"{facts['name']}: {facts['matched']}")
    print(f"sha256 of {facts['weights']}: {facts['sha256']}")
    print(facts["caution"])
    told = f"{len(cohort.table):,} cases, {facts['features']:,} features of layer {facts['layer']!r}"
    told += f" of {config.backbone.views} views" if config.backbone.views > 1 else ""
    told += f", {len(columns)} columns beside them" if (columns := _columns(cohort)) else ""
    print(f"features: {path} ({told})")
    if config.data.external_path:
        print(
            f"{config.data.external_path} is not among them: embed it too, by the same config with this file "
            "as config.data.path."
        )


def _columns(cohort: Any) -> list[str]:
    return cohort.preparation["images"].get("joined", [])


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".npz" or os.path.isdir(path):
        raise UsageError(f"--output={text}: must be a file whose name ends in .npz, which is written anew.")
    if os.path.lexists(path) and not _ours(path):
        raise UsageError(
            f"--output={text}: is there, and was not written by `nachos embed`; name a new file, or remove "
            "that one."
        )
    if not os.path.isdir(path.absolute().parent):
        raise UsageError(f"--output={text}: there is no folder {path.absolute().parent}; make it first.")
    return path


def _ours(path: Path) -> bool:
    """Whether a file is one that `nachos embed` wrote."""
    try:
        with zipfile.ZipFile(path) as file:
            return "backbone.npy" in file.namelist()
    except (zipfile.BadZipFile, OSError):
        return False
