"""When the second process of a command begins and ends."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from nachos_jax.cli import parsing, reporting
from nachos_jax.core.errors import UsageError
from tests.cli.conftest import said


def test_the_second_process_begins_before_the_config_is_read_and_ends_with_its_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = []

    @contextlib.contextmanager
    def writer(first: bool) -> Generator[None]:
        seen.append(f"begun by the first: {first}")
        try:
            yield
        finally:
            seen.append("ended")

    def refused(_: Any) -> Any:
        seen.append("config")
        raise UsageError("refused")

    monkeypatch.setattr(reporting, "writer", writer)
    monkeypatch.setattr(parsing, "run_config", refused)
    code, _, err = said("evaluate", "--config=configs/smoke.py", f"--workdir={tmp_path}")
    assert (code, err) == (2, "nachos: refused\n")
    assert seen == ["begun by the first: True", "config", "ended"]
