"""Reports without pictures, for tests that write them for other reasons: painting takes most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def unpainted() -> Iterator[None]:
    """Every figure is built and its numbers are written, but matplotlib paints none."""

    def blank(self: Any, file: Any, **_: Any) -> None:
        wide, high = 72 * self.get_size_inches()
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}"/>')

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", blank)
        yield
