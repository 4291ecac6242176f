"""The devices that a fresh process sees."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nachos_jax.core.errors import UsageError

ASKS = """
from nachos_jax.runtime import mesh
import jax
{before}
mesh.one_device_a_core()
print(jax.device_count())
"""


def devices(before: str = "", **variables: str) -> int:
    """Devices of a new process after the call, with statements before it and variables set."""
    chosen = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    environment = {key: value for key, value in os.environ.items() if key not in chosen}
    done = subprocess.run(
        [sys.executable, "-c", ASKS.format(before=before)],
        env={**environment, "JAX_PLATFORMS": "cpu", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_devices_that_cannot_be_started_are_refused(monkeypatch):
    from nachos_jax.runtime import mesh

    monkeypatch.setattr(
        mesh.jax, "local_devices", lambda: (_ for _ in ()).throw(RuntimeError("no CUDA\n..."))
    )
    with pytest.raises(UsageError, match=r"cannot start its devices \(JAX_PLATFORMS=\w*: no CUDA\): unset"):
        mesh.find_devices()


def test_every_core_is_a_device():
    assert devices() == min(len(os.sched_getaffinity(0)), 16)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("before", "variables", "count"),
    [
        ("", {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, 3),
        ("jax.config.update('jax_num_cpu_devices', 5)", {}, 5),
        ("jax.devices()", {}, 1),
    ],
)
def test_what_was_decided_before_stays(before, variables, count):
    assert devices(before, **variables) == count
