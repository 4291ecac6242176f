"""The benchmark of embedding: both sides compute the same, differences are seen, depthwise layers counted."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from benchmarks.speed import embedding, torch_embedding, tuned
from nachos_jax.models.zoo import registry
from nachos_jax.models.zoo.place import reading
from tests.models.zoo import torch_side
from tests.models.zoo.drawing import images
from tests.models.zoo.test_equality import KNOWN, weights
from tests.tiers import mostly_thorough

ROOT = Path(__file__).resolve().parents[1]


def work(folder: Path, name: str, count: int = 3) -> embedding.Work:
    given = argparse.Namespace(batches="2", rounds=1, budget=60.0, out=folder)
    return embedding.Work(name, embedding.drawn_images(count, 32), folder, given)


@pytest.mark.thorough
def test_both_sides_embed_the_same_and_the_rates_are_stored(tmp_path: Path):
    small = {"networks": "resnet18", "images": 6, "side": 32, "rounds": 2, "batches": "2,4", "device": "cpu"}
    flags = [f"--{name}={value}" for name, value in small.items()]
    command = [sys.executable, "-m", "benchmarks.speed.embedding", *flags, "--loaded", f"--out={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stored = json.loads((tmp_path / "embedding_resnet18.json").read_text())
    assert 0 < stored["apart"] < embedding.AGREE
    assert [*stored["seconds"]] == ["PyTorch, batches of 2", "PyTorch, batches of 4", "ours"]
    assert stored["depthwise"] == {}
    assert min(stored["ratios"][name] for name in [*stored["seconds"]][:2]) <= 1.0
    assert 1.0 in stored["ratios"].values()


def test_ratios_are_medians_within_rounds():
    slow = f"the 3 {embedding.ALONE}, lax"
    seconds = {"a": [4.0, 2.0, 9.0], "b": [2.0, 3.0, 6.0], "ours": [4.0, 3.0, 1.0], slow: [1.0, 1.0, 1.0]}
    assert embedding.beside(seconds, ["a", "b"]) == {"a": pytest.approx(2 / 3), "b": 1.0, "ours": 1.0}
    assert embedding.beside(seconds, []) == {}


@mostly_thorough("name", torch_embedding.NAMES, kept=("resnet18",))
def test_networks_in_plain_pytorch_give_what_the_libraries_gave(name: str):
    """Logits of torchvision and timm where sizes allow, else ours, which are tested against theirs."""
    torch = pytest.importorskip("torch")
    from benchmarks.speed import torch_zoo

    assert set(torch_zoo.NETWORKS) == set(torch_embedding.NAMES)
    ours, known = registry.network(name), KNOWN[name]
    arrays = weights(ours, known["classes"])
    theirs = torch_embedding.network(name, ours.expected.size).eval()
    size = (ours.expected.size,) * 2 if "pos_embed" in arrays else known["size"]
    lost = theirs.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()}, False)
    assert all(key.endswith("num_batches_tracked") for key in lost.missing_keys)
    head = {key.rpartition(".")[2]: arrays[key] for key in lost.unexpected_keys}
    assert set(lost.unexpected_keys) == {f"{ours.head}.weight", f"{ours.head}.bias"}
    features = torch_side.logits(theirs, images(*size))
    found = features @ head["weight"].T + head["bias"]
    if size == known["size"]:
        wanted, largest = np.asarray(known["logits"]), known["largest"]
    else:
        call = jax.jit(lambda w, x: ours.logits(reading(w, "custom"), x, known["classes"]))
        wanted = np.asarray(call(arrays, images(*size)))
        largest = np.abs(wanted).max()
    assert np.abs(found[:, : wanted.shape[1]] - wanted).max() < 1e-5 * largest


class _Theirs:
    """PyTorch's side, whose features are given."""

    def __init__(self, features: np.ndarray):
        self._features = features

    def exact(self) -> np.ndarray:
        return self._features


@pytest.mark.thorough
def test_other_features_stop_the_benchmark(tmp_path: Path):
    found = work(tmp_path, "resnet18")
    tuned.weights("resnet18", 32, embedding.weights_file(found))
    backbone = embedding.loaded(found)
    ours = embedding.exact(backbone, found.images)
    assert ours.dtype == np.float32

    def check(theirs: np.ndarray) -> float:
        workers: Any = _Theirs(theirs)
        return embedding.checked(found, backbone, workers)

    assert check(ours) == 0.0
    with pytest.raises(RuntimeError, match="apart"):
        check(ours + 2e-4 * np.abs(ours).max())
    with pytest.raises(RuntimeError, match="apart"):
        check(np.full_like(ours, np.nan))


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "layers"), [("efficientnet_lite0", 16), ("resnet18", 0)])
def test_depthwise_layers_are_shifted_sums_on_a_processor(name: str, layers: int, tmp_path: Path):
    found = work(tmp_path, name)
    tuned.weights(name, 32, embedding.weights_file(found))
    with embedding.depthwise_by("lax") as met:
        assert embedding.grouped(embedding.loaded(found), found.images) == layers
    assert embedding.grouped(embedding.loaded(found), found.images) == 0
    assert len(met) >= layers
    by_shift, by_lax = (embedding.alone(met[:2], way)() for way in embedding.WAYS)
    np.testing.assert_allclose(by_shift, by_lax, rtol=1e-3, atol=0.1)
