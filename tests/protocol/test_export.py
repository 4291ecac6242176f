"""The folder of the deployed model: what an earlier, other model has left there."""

from __future__ import annotations

from pathlib import Path

import pytest

import nachos_jax
from nachos_jax.protocol.deploy import deploy
from tests import tiny, vectors


@pytest.mark.parametrize("tables", [True, False])
def test_files_of_an_earlier_model_go_and_those_of_others_stay(tmp_path: Path, tables: bool):
    def export(members: str) -> set[str]:
        changes = {"search__trials": 1, "training__epochs": 1, "deploy__members": members}
        run = vectors.run_config(**changes) if tables else tiny.run_config(**changes)
        deploy(run, str(tmp_path), vectors.cohort() if tables else tiny.cohort(), quiet=True)
        return {path.name for path in (tmp_path / "deploy").iterdir()}

    ensemble = export("folds")
    kinds = {"weights_{}.safetensors"} | ({"coefficients_{}.csv"} if tables else set())
    assert ensemble == {"model.json", *(kind.format(f"0{n}") for kind in kinds for n in range(tiny.FOLDS))}
    folder = tmp_path / "deploy"
    (folder / "weights_03.safetensors").write_bytes(b"mine")
    (folder / "notes.txt").write_text("mine")
    if tables:
        (folder / "coefficients_02.csv").write_text("rounded")
    left = {"weights_03.safetensors", "notes.txt"} | (
        {"coefficients_02.csv", "coefficients_03.csv"} & ensemble
    )
    assert export("one") == {"model.json", *(kind.format("00") for kind in kinds), *left}
    assert export("one") == {"model.json", *(kind.format("00") for kind in kinds), *left}
    assert nachos_jax.load(folder)
