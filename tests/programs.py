"""What makes compiling cheaper in a test process: equal pools share programs, programs a context."""

from __future__ import annotations

import functools
import importlib
import threading
from dataclasses import replace
from typing import Any

import jax
import pytest

from nachos_jax import models
from nachos_jax.engine.lane import LaneInput, LaneSpec
from nachos_jax.engine.program import LaneProgram
from nachos_jax.engine.resident import Resident

CONTEXTS = "jax._src.interpreters.mlir", "make_ir_context"
"""Where JAX makes the context in which a program is lowered; a JAX without it is left as it is."""
LOWERED = 200
"""Programs that are lowered in one context, which keeps every type and constant that it has seen."""

_known: dict[Any, tuple[LaneProgram, int]] = {}


def share(patch: pytest.MonkeyPatch) -> None:
    """Lets `Resident.compile` give what it has compiled before for the same words, shapes and devices."""
    compile_anew = Resident.compile

    def compile_once(self: Resident, spec: LaneSpec, told: LaneInput, *words: Any) -> tuple[LaneProgram, int]:
        cases, mesh = self._cases, self._mesh
        fast = jax.config.values["jax_disable_most_optimizations"]
        # A network that a test adds has a folder of its own.
        key = (
            repr(spec),
            _shapes(told),
            words,
            _shapes(cases),
            repr(mesh.devices),
            fast,
            *models.__path__,
        )
        if key not in _known:
            _known[key] = compile_anew(self, spec, told, *words)
        program, used = _known[key]
        assert isinstance(program.epoch, functools.partial)
        epoch = functools.partial(program.epoch.func, self._shared(spec))
        return replace(program, epoch=epoch, spec=spec), used

    patch.setattr(Resident, "compile", compile_once)


def _shapes(tree: Any) -> str:
    return str(jax.tree.map(lambda leaf: (jax.numpy.shape(leaf), jax.numpy.result_type(leaf)), tree))


def share_contexts(patch: pytest.MonkeyPatch) -> None:
    """Lowers many programs in one MLIR context a thread.

    Making and ending one for each takes a third of the time of what works with arrays operation by operation,
    and three times the memory. What is lowered is the same.
    """
    module = importlib.import_module(CONTEXTS[0])
    make_anew, of_thread = getattr(module, CONTEXTS[1], None), threading.local()
    if make_anew is None:
        return

    def make() -> Any:
        lowered = getattr(of_thread, "lowered", 0)
        if lowered % LOWERED == 0:
            of_thread.context = make_anew()
        of_thread.lowered = lowered + 1
        return of_thread.context

    patch.setattr(module, CONTEXTS[1], make)
