"""Everything here is compared with an oracle: programs need not be fast."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def compiled_quickly(quick_compilation: None) -> None:
    """For all tests of this folder."""
