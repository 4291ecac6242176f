"""The bases in which fits are solved, each computed once for all fits with the same training cases."""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nachos_jax.data.views import Views
from nachos_jax.engine.curvature import Basis, directions, rotated, turned
from nachos_jax.splits.folds import Folds
from nachos_jax.tasks.dense import standardised
from nachos_jax.tasks.task import Told

MOST_BYTES = 2**31
"""Bytes of bases that are kept for all buckets together; beyond, the one that was asked for longest ago is
computed anew. They are kept while a bucket rests: to rotate a training set takes longer than a fit of it."""


class Solvable(NamedTuple):
    """What a lane is told of its training cases."""

    basis: Basis
    rows: Any  # [n room] int32, where the cases lie among all; 0 in the room to spare
    count: Any  # int32 scalar, how many there are


@dataclass(frozen=True)
class Shelf:
    """Where the bases of several buckets lie, oldest first."""

    kept: OrderedDict[tuple[Bases, bytes], Solvable] = field(default_factory=OrderedDict)

    def put(self, key: tuple[Bases, bytes], basis: Solvable) -> None:
        """Keeps a basis, and of the others what there is room for beside it."""
        self.kept[key] = basis
        while len(self.kept) > 1 and sum(map(_bytes, self.kept.values())) > MOST_BYTES:
            self.kept.popitem(last=False)


class Bases:
    """Bases of the training sets of one cohort that leave out so many folds.

    Args:
        store: the cases' vectors, [N, D], or views of them.
        rows: [N] int32, where the cases lie on a device.
        room: most training cases of a fit.
        shelf: where they are kept beside those of other buckets; None for one of their own.
        first: as many training cases as nearly all fits have, see `nachos_jax.engine.curvature.Basis`; 0 for
            all.
    """

    def __init__(self, store: Any, rows: np.ndarray, room: int, shelf: Shelf | None = None, first: int = 0):
        self._store, self._rows, self._room, self._first = store, rows, room, first or room
        self._shelf = Shelf() if shelf is None else shelf

    def of(self, training: np.ndarray, mean: np.ndarray, sd: np.ndarray, fill: np.ndarray | None) -> Solvable:
        """That of the training cases [N] bool, standardised as the fit standardises them."""
        key = self, hashlib.sha256(np.packbits(training).tobytes()).digest()
        found = self._shelf.kept.get(key)
        if found is None:
            found = self._made(np.flatnonzero(training).astype(np.int32), mean, sd, fill)
            self._shelf.put(key, found)
        self._shelf.kept.move_to_end(key)
        return found

    def idle(self) -> Solvable:
        """That of a lane without a fit: zeros."""
        forms = self._store.forms(self._room)
        values, every = _rows(forms)
        size = values.shape[-1]
        across, more = directions(self._room * every, size), self._room - self._first
        basis = Basis(
            cases=np.zeros((self._first * every, across + 1), np.float32),  # pyrefly: ignore[bad-argument-type]
            more=np.zeros((more * every, across + 1), np.float32),  # pyrefly: ignore[bad-argument-type]
            squares=np.zeros(across + 1, np.float32),  # pyrefly: ignore[bad-argument-type]
            turn=np.zeros(turned(self._room * every, size), np.float32),  # pyrefly: ignore[bad-argument-type]
            broken=np.bool_(False),  # pyrefly: ignore[bad-argument-type]
        )
        return Solvable(basis, np.zeros(self._room, np.int32), np.int32(0))

    def _made(self, cases: np.ndarray, mean: Any, sd: Any, fill: Any) -> Solvable:
        values, every = _rows(self._store.rows(cases))
        room = np.zeros((self._room * every, values.shape[-1]), values.dtype)
        room[: len(values)] = values
        found = _basis(room, np.int32(len(values)), mean, sd, fill, self._first * every)
        basis = jax.tree.map(np.asarray, found)
        rows = np.zeros(self._room, np.int32)
        rows[: len(cases)] = self._rows[cases]
        return Solvable(basis, rows, np.int32(len(cases)))


def _bytes(basis: Solvable) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(basis))


def most(folds: Folds, left_out: int) -> int:
    """The most cases that any so many folds of a repeat leave to train on."""
    sizes = [int(folds.cases(fold).sum()) for fold in folds.numbers()]
    each = [sorted(sizes[i : i + folds.count]) for i in range(0, len(sizes), folds.count)]
    return max(sum(of_repeat[left_out:]) for of_repeat in each)


def rooms(folds: Folds, all_cases: bool) -> tuple[int, int]:
    """`room` and `first` of `Bases` for fits on all cases, or for those that leave folds out.

    Of these nearly all leave two folds out and the rest one: one program serves them.
    """
    if all_cases:
        return most(folds, 0), 0
    return most(folds, 1), most(folds, 2)


@functools.partial(jax.jit, static_argnums=5)
def _basis(values: Any, count: Any, mean: Any, sd: Any, fill: Any, first: int) -> Basis:
    known = jnp.isfinite(values)
    known = known if fill is None else known | jnp.isnan(values)
    real = jnp.arange(len(values)) < count
    whole = jnp.all(known, axis=1)
    cases = standardised(values, Told(mean, sd, {}, {}, fill))
    # What is not trained on must not reach a sum even as 0 x NaN.
    cases = jnp.where((real & whole)[:, None], cases, 0.0)
    return rotated(cases, jnp.where(real, jnp.where(whole, 1, -1), 0), first)


def _rows(inputs: Any) -> tuple[Any, int]:
    """Vectors one after another, and how many belong to a case."""
    if not isinstance(inputs, Views):
        return inputs, 1
    return inputs.values.reshape(-1, inputs.values.shape[-1]), inputs.values.shape[1]
