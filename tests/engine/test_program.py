"""What XLA is told beside the program."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import pytest

from nachos_jax.engine import program
from nachos_jax.engine.program import compiled, compiler_options


def told(platform: str, bfloat16: bool, packing: str, quick: bool = False) -> Any:
    mesh: Any = SimpleNamespace(devices=SimpleNamespace(flat=[SimpleNamespace(platform=platform)]))
    spec: Any = SimpleNamespace(bfloat16=bfloat16, quick=quick)
    return compiler_options(spec, mesh, packing)


@pytest.mark.parametrize("packing", ["vmap", "blocks"])
def test_only_bfloat16_lanes_in_step_on_a_gpu_do_without_triton_and_xla_knows_the_option(packing):
    options = told("gpu", True, packing)
    assert options
    jax.jit(lambda x: x + 1).lower(1.0).compile(compiler_options=options)
    assert told("gpu", True, "map") == {}
    assert told("gpu", False, packing) == {}
    assert told("cpu", True, packing) == {}


def test_quick_code_is_of_processors_alone_and_xla_knows_the_option_or_goes_without(monkeypatch):
    options = told("cpu", False, "map", quick=True)
    assert options
    assert told("gpu", False, "map", quick=True) == {}
    lowered = jax.jit(lambda x: x + 1).lower(1.0)
    lowered.compile(compiler_options=options)
    monkeypatch.setattr(program, "_QUICK", {"xla_cpu_no_longer_there": True})
    assert compiled(lowered, told("cpu", False, "map", quick=True))(1.0) == 2.0
    with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option"):
        compiled(lowered, {"xla_never_there": True})
