"""Weights from files, key by key: what is taken and what is refused, and in which words."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from nachos_jax.core.errors import UsageError
from nachos_jax.models.zoo import efficientnet, files, matching, published, registry
from nachos_jax.models.zoo.layers import batch_norm, conv
from nachos_jax.models.zoo.network import Network


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")  # late: it takes seconds, also of workers that run nothing of it


def _stage(w, x):
    return batch_norm(w / "bn1", conv(w / "conv1", x, 4, 3))


TINY = Network((("stage", _stage), ("pool", lambda _, x: x.mean((1, 2)))), "fc")


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    names = ("weight", "bias", "running_mean", "running_var")
    return {
        "conv1.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        **{f"bn1.{name}": np.ones(4, np.float32) for name in names},
        "bn1.num_batches_tracked": np.asarray(7),
        "fc.weight": np.ones((5, 4), np.float32),
        "fc.bias": np.ones(5, np.float32),
    }


def matched(found: dict[str, np.ndarray]) -> matching.Matched:
    return matching.match(TINY, files.Contents(Path("w.pth"), "", found))


def test_what_matched_is_told():
    found = matched(arrays())
    assert (found.classes, len(found.arrays)) == (5, 7)
    assert found.report == (
        "5 weights matched by name and shape, none missing, none left over; 2 of the classifier in the file "
        "(5 classes), 1 counters not read"
    )


def test_the_classifier_may_be_missing_or_another():
    headless = {name: value for name, value in arrays().items() if not name.startswith("fc")}
    assert matched(headless).classes == 0
    assert matched({**arrays(), "fc.weight": np.ones((2, 4), np.float32)}).classes == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"conv1.weight": None}, r"1 are missing \(conv1.weight\) and 0 of the file's are left over"),
        ({"more.weight": np.ones(2)}, r"0 are missing and 1 of the file's are left over \(more.weight\)"),
        ({"bn1.bias": np.ones(5)}, r"1 have another shape \(bn1.bias is \[5\], not \[4\]\)"),
        ({"bn1.bias": np.full(4, np.nan)}, r"1 hold NaN or infinity \(bn1.bias\)"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, told):
    found = {name: value for name, value in {**arrays(), **change}.items() if value is not None}
    with pytest.raises(UsageError, match=told):
        matched(found)


def test_both_kinds_of_files_hold_the_same(tmp_path: Path, torch):
    """Also weights that lie in memory with channels last, as files of PyTorch do."""
    known = arrays()
    save_file(known, tmp_path / "a.safetensors")
    tensors = {f"module.{name}": torch.from_numpy(value.copy()) for name, value in known.items()}
    kernel = tensors["module.conv1.weight"].to(memory_format=torch.channels_last)
    torch.save({"epoch": 3, "state_dict": {**tensors, "module.conv1.weight": kernel}}, tmp_path / "b.pth")
    for name in ("a.safetensors", "b.pth"):
        found = files.read(str(tmp_path / name), "")
        assert len(found.sha256) == 64
        taken = matching.match(TINY, found).arrays
        assert all(np.array_equal(value, known[name]) for name, value in taken.items())
        assert all(value.flags.c_contiguous for value in taken.values())


def test_code_in_a_file_is_not_run(tmp_path: Path, torch):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(UsageError, match=re.escape(f"{name} ")):
            files.read(str(tmp_path / name), "")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
def test_a_damaged_file_is_refused(name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(UsageError, match=re.escape(name)):
        files.read(str(tmp_path / name), "")


def test_a_missing_file_is_an_error_that_says_where_it_is_found(tmp_path: Path):
    told = "Weights are never downloaded and never replaced by random ones: fetch them (timm)"
    with pytest.raises(UsageError, match=re.escape(told)):
        files.read(str(tmp_path / "x.pth"), "timm")
    (tmp_path / "x.h5").touch()
    with pytest.raises(UsageError, match=r"must end in .safetensors, .pth"):
        files.read(str(tmp_path / "x.h5"), "timm")


def test_published_files_are_known_by_their_digits(tmp_path: Path):
    told = "torchvision: inception_v3_google-0cc3c7bd.pth, SHA-256 0cc3c7bd..."
    assert published.source("inception_v3", "torchvision") == told
    assert published.source("xception", "timm") == "timm"
    good = files.Contents(tmp_path / "resnet18-f37072fd.pth", "f37072fd" + 56 * "0", {})
    published.check("resnet18", good)
    published.check("resnet34", files.Contents(good.path, 64 * "0", {}))  # the name is not one of its own
    with pytest.raises(UsageError, match="is not what was published under this name"):
        published.check("resnet18", files.Contents(good.path, 64 * "0", {}))


def test_the_auxiliary_classifier_of_inception_is_left_out():
    network = registry.network("inception_v3")
    found = matching._renamed(network, {"AuxLogits.fc.weight": np.ones(1), "fc.weight": np.ones(1)}, set())
    assert set(found) == {"fc.weight"}
    with pytest.raises(UsageError, match="sides of at least 75"):
        network.check_size(64, 96)


def test_an_unknown_network_is_refused_with_a_near_one():
    with pytest.raises(UsageError, match="did you mean 'resnet50'"):
        registry.network("resnet5O")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("features.0.0.weight", "conv_stem.weight"),
        ("features.1.0.block.0.0.weight", "blocks.0.0.conv_dw.weight"),
        ("features.1.0.block.2.1.bias", "blocks.0.0.bn2.bias"),
        ("features.2.1.block.3.1.bias", "blocks.1.1.bn3.bias"),
        ("features.3.0.block.2.fc1.weight", "blocks.2.0.se.conv_reduce.weight"),
        ("features.8.1.running_var", "bn2.running_var"),
        ("classifier.1.weight", "classifier.weight"),
    ],
)
def test_names_of_torchvision(theirs: str, ours: str):
    assert efficientnet._of_torchvision(theirs) == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("_conv_stem.weight", "conv_stem.weight"),
        ("_blocks.0._bn2.bias", "blocks.0.0.bn2.bias"),
        ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
        ("_blocks.2._bn0.bias", "blocks.1.1.bn1.bias"),
        ("_blocks.15._project_conv.weight", "blocks.6.0.conv_pwl.weight"),
        ("_fc.bias", "classifier.bias"),
    ],
)
def test_names_of_the_first_port(theirs: str, ours: str):
    assert efficientnet._of_first_port(theirs, efficientnet._LITE) == ours
