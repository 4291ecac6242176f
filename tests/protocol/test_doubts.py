"""Cases that may be meant in two ways: no run begins with them, and one that has begun goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.run import doubts
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import begin, open_run
from tests import masks

TOLD = "It may be a or b."


def test_what_may_be_meant_in_two_ways_begins_no_run(tmp_path: Path):
    config, plain = checked(masks.config()), masks.cohort()
    doubtful = replace(plain, doubts=(TOLD,))
    with pytest.raises(UsageError, match=TOLD):
        open_run(config, str(tmp_path / "run"), "evaluate", doubtful)
    begin(open_run(config, str(tmp_path / "run"), "evaluate", plain))
    assert TOLD in open_run(config, str(tmp_path / "run"), "evaluate", doubtful).warnings


def test_external_cases_count_too():
    plain = masks.cohort()
    doubtful = replace(plain, outside=replace(plain, doubts=(TOLD,)))
    assert doubts.check(replace(plain, outside=plain), begun=False, begun_outside=False) == []
    with pytest.raises(UsageError, match=TOLD):
        doubts.check(doubtful, begun=True, begun_outside=False)
    assert doubts.check(replace(doubtful, doubts=(TOLD,)), begun=True, begun_outside=True) == [TOLD]
