"""The second process of `nachos evaluate` begins first: its imports take as long as those of the command."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from nachos_jax.cli import main, parsing, reporting
from nachos_jax.core.errors import UsageError

LAUNCH = ("--coordinator_address=host:1234", "--num_processes=2")


@pytest.mark.parametrize(
    ("words", "first"),
    [((), True), ((*LAUNCH, "--process_id=0"), True), ((*LAUNCH, "--process_id=1"), False)],
)
def test_it_begins_before_the_config_is_read_and_in_process_0_alone(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], first: bool
):
    order: list[Any] = []

    @contextlib.contextmanager
    def writer(first: bool = True) -> Generator[None]:
        order.append(first)
        yield

    def parse(*_: Any) -> None:
        order.append("read")
        raise UsageError("this is enough")

    monkeypatch.setattr(reporting, "writer", writer)
    monkeypatch.setattr(parsing, "parse", parse)
    monkeypatch.setattr("nachos_jax.cli.launched.guard", lambda *_: None)
    assert main.main(["nachos", "evaluate", "--config=x.py", *words]) == 2
    assert order == [first, "read"]
