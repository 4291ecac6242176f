"""Architectures that a test plants beside those of the package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nachos_jax import models
from nachos_jax.models import registry


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Puts a file NAME.py beside the architectures, for the length of a test."""
    folder, planted = tmp_path / "planted", []

    def write(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        planted.append(f"{models.__name__}.{name}")
        importlib.invalidate_caches()
        registry._files.cache_clear()

    folder.mkdir()
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(folder)])
    yield write
    for name in planted:
        sys.modules.pop(name, None)
        if hasattr(models, name.rpartition(".")[2]):
            delattr(models, name.rpartition(".")[2])
    registry._files.cache_clear()
