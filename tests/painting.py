"""Reports without pictures, for tests that write them for other reasons: painting takes most of the time."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


def blank(canvas: Any) -> str:
    """An empty picture of the size of a canvas."""
    wide, high = 72 * canvas.get_size_inches()
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}"/>'


@contextmanager
def unpainted() -> Generator[None]:
    """Every figure is built and its numbers are written, but matplotlib paints none."""
    import pytest  # late: processes that run no test take `blank`

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nachos_jax.report.figures.drawing.painted", blank)
        yield
