"""Threads follow affinity and the quotas of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nachos_jax.runtime import cores


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("files", "group", "expected"),
    [
        ({}, "", 8),
        ({"cpu.max": "max 100000"}, "0::/", 8),
        ({"cpu.max": "200000 100000\n"}, "0::/\n", 2),
        ({"cpu.max": "150000 100000"}, "0::/", 2),
        ({"cpu.max": "1000 100000"}, "0::/", 1),
        ({"cpu.max": "3200000 100000"}, "0::/", 8),
        ({"jobs/7/cpu.max": "300000 100000", "jobs/cpu.max": "max 100000"}, "0::/jobs/7", 3),
        ({"jobs/7/cpu.max": "max 100000", "jobs/cpu.max": "500000 100000"}, "0::/jobs/7", 5),
        ({"cpu.max": "nonsense"}, "0::/", 8),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu,cpuacct:/", 8),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu,cpuacct:/", 4),
        (
            {"cpu/x/cpu.cfs_quota_us": "90000", "cpu/x/cpu.cfs_period_us": "100000"},
            "5:cpuset:/y\n1:cpu:/x",
            1,
        ),
    ],
)
def test_quota(files: dict[str, str], group: str, expected: int, tmp_path: Path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "ours").write_text(group)
    assert cores.available(tmp_path, tmp_path / "ours") == expected


def test_affinity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert cores.available(tmp_path, tmp_path / "none") == 1
