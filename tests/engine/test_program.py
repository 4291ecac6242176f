"""What XLA is told beside the program."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import pytest

from nachos_jax.engine.program import compiler_options


def told(platform: str, bfloat16: bool, packing: str) -> Any:
    mesh: Any = SimpleNamespace(devices=SimpleNamespace(flat=[SimpleNamespace(platform=platform)]))
    spec: Any = SimpleNamespace(bfloat16=bfloat16)
    return compiler_options(spec, mesh, packing)


@pytest.mark.parametrize("packing", ["vmap", "blocks"])
def test_only_bfloat16_lanes_in_step_on_a_gpu_do_without_triton_and_xla_knows_the_option(packing):
    options = told("gpu", True, packing)
    assert options
    jax.jit(lambda x: x + 1).lower(1.0).compile(compiler_options=options)
    assert told("gpu", True, "map") is None
    assert told("gpu", False, packing) is None
    assert told("cpu", True, packing) is None
