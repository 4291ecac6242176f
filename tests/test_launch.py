"""The launch scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STUDY = Path(__file__).parents[1] / "launch" / "study.sh"


def call(*words: str, python: str = sys.executable) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHON": python}
    return subprocess.run([str(STUDY), *words], capture_output=True, text=True, env=environment, check=False)


def test_a_study_is_estimated_then_deployed_with_the_same_flags(tmp_path: Path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    done = call("--config=a b.py", "--workdir=w", python=str(python))
    assert done.stdout.splitlines() == [
        "-m nachos_jax evaluate --config=a b.py --workdir=w",
        "-m nachos_jax deploy --config=a b.py --workdir=w",
    ]


def test_a_refusal_stops_it_with_its_exit_code(tmp_path: Path):
    done = call("--config=absent.py", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert done.stderr.count("nachos: ") == 1
    assert "absent.py" in done.stderr
