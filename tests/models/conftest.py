"""Networks are compared with oracles, and most of the time goes into compiling programs that run once."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def compiled_quickly(quick_compilation: None) -> None:
    """For all tests of this folder."""
