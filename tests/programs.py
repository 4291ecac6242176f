"""Equal pools of one test process share their compiled programs; tracing one takes longer than using it."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import jax
import pytest

from nachos_jax import models
from nachos_jax.engine.lane import LaneInput, LaneSpec
from nachos_jax.engine.program import LaneProgram
from nachos_jax.engine.resident import Resident

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
