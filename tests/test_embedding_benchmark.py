"""The benchmark of embedding: both sides compute the same, differences are seen, depthwise layers counted."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speed import embedding, tuned

ROOT = Path(__file__).resolve().parents[1]
TIMM = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        skip = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.downsample = nn.Sequential(*skip) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))

class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        for number, width in enumerate((64, 128, 256, 512), 1):
            first = Block(max(width // 2, 64), width, 1 if number == 1 else 2)
            setattr(self, f"layer{number}", nn.Sequential(first, Block(width, width, 1)))

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))

def create_model(name, pretrained, num_classes):
    assert (name, pretrained, num_classes) == ("resnet18", False, 0)
    return ResNet18()
"""
"""The one network of timm that the benchmark asks for here, so that it need not be installed."""


def work(folder: Path, name: str, count: int = 3) -> embedding.Work:
    given = argparse.Namespace(batches="2", rounds=1, budget=60.0, out=folder)
    return embedding.Work(name, embedding.drawn_images(count, 32), folder, given)


@pytest.fixture
def timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of that name for the processes that the benchmark starts."""
    pytest.importorskip("torch")
    (tmp_path / "library").mkdir()
    (tmp_path / "library/timm.py").write_text(TIMM)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "library"), str(ROOT)]))


@pytest.mark.thorough
def test_both_sides_embed_the_same_and_the_rates_are_stored(timm: None, tmp_path: Path):
    small = {"networks": "resnet18", "images": 6, "side": 32, "rounds": 1, "batches": "2,4", "device": "cpu"}
    flags = [f"--{name}={value}" for name, value in small.items()]
    command = [sys.executable, "-m", "benchmarks.speed.embedding", *flags, "--loaded", f"--out={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stored = json.loads((tmp_path / "embedding_resnet18.json").read_text())
    assert 0 < stored["apart"] < embedding.AGREE
    assert [*stored["seconds"]] == ["timm, batches of 2", "timm, batches of 4", "ours"]
    assert stored["depthwise"] == {}
    best = max(float(row[1].replace(",", "")) for row in stored["table"]["rows"][:2])
    assert best == pytest.approx(6 / min(times[0] for times in [*stored["seconds"].values()][:2]), rel=1e-3)


class _Theirs:
    """PyTorch's side, whose features are given."""

    def __init__(self, features: np.ndarray):
        self._features = features

    def exact(self) -> np.ndarray:
        return self._features


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
