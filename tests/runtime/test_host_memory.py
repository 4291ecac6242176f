"""Memory follows the limits of control groups."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from nachos_jax.engine import memory
from nachos_jax.runtime import host_memory


@pytest.fixture(autouse=True)
def a_gibibyte(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=2**30))


@pytest.mark.parametrize(
    ("files", "group", "expected"),
    [
        ({}, "", 2**30),
        ({"memory.max": "max\n"}, "0::/", 2**30),
        ({"memory.max": "1000000\n"}, "0::/", 1_000_000),
        ({"memory.max": str(2**40)}, "0::/", 2**30),
        ({"jobs/7/memory.max": "max", "jobs/memory.max": "5000"}, "0::/jobs/7", 5000),
        ({"jobs/7/memory.max": "4000", "jobs/memory.max": "5000"}, "0::/jobs/7", 4000),
        ({"memory.max": "nonsense"}, "0::/", 2**30),
        ({"memory/memory.limit_in_bytes": "9223372036854771712"}, "4:memory:/", 2**30),
        ({"memory/x/memory.limit_in_bytes": "7000"}, "9:cpuset:/y\n4:memory:/x", 7000),
    ],
)
def test_the_lowest_limit_counts(files: dict[str, str], group: str, expected: int, tmp_path: Path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "ours").write_text(group)
    assert host_memory.total(tmp_path, tmp_path / "ours") == expected


def test_processors_share_what_is_left_to_the_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(host_memory, "total", lambda: 8000)
    processor = SimpleNamespace(memory_stats=lambda: None)
    assert memory.allowance(processor, 4, 0.5) == 1000
    card = SimpleNamespace(memory_stats=lambda: {"bytes_limit": 600})
    assert memory.allowance(card, 4, 0.5) == 300
