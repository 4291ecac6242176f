"""The home folder, and what happens where nobody knows it."""

from __future__ import annotations

import os

import pytest

from nachos_jax.core import paths
from nachos_jax.core.errors import UsageError


def test_the_home_folder_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert paths.expanded("~/x") == "/me/x"
    assert paths.expanded("x~y") == "x~y"
    assert paths.caches() == "/me/.cache"
    monkeypatch.setenv("XDG_CACHE_HOME", "~/c")
    assert paths.caches() == "/me/c"


def test_without_a_home_folder_none_called_tilde_is_made(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda text: text)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert paths.caches() is None
    with pytest.raises(UsageError, match="~/x: no home folder is known; write the whole path"):
        paths.expanded("~/x")
