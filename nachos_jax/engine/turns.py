"""Whose turn it is: buckets take turns, an epoch each, and wait while others hold the memory they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nachos_jax.engine.buckets import Bucket


class Needs(NamedTuple):
    """Bytes that a bucket takes on each device, beside the cases."""

    state: int  # of its lanes, from their first epoch until it rests
    epoch: int  # of what an epoch takes beside them
    room: int  # that there are for all buckets


class Turns:
    """What each bucket needs, and which one was the last.

    A bucket is compiled as if the devices were its own. It begins once it fits beside those that have begun;
    until then its fits wait. A bucket alone always begins, so that none waits for ever.
    """

    def __init__(self) -> None:
        self._needs: dict[Bucket, Needs] = {}
        self._turn = 0

    def know(self, bucket: Bucket, needs: Needs) -> None:
        """Notes what a bucket needs; one that nothing is known of, as of estimators, needs nothing."""
        self._needs[bucket] = needs

    def alone(self, bucket: Bucket) -> None:
        """From now on this bucket has the devices for itself: it needed more than was known."""
        needs = self._needs[bucket]
        self._needs[bucket] = needs._replace(epoch=needs.room)

    def next(self, buckets: Mapping[Bucket, Any]) -> Bucket:
        """The next bucket in turn among those that fill their lanes; when none does, among all with work.

        Args:
            buckets: lanes of each, in the order of their turns (see `nachos_jax.engine.bucket_lanes`).

        Raises:
            RuntimeError: no bucket has work.
        """
        order = list(buckets)
        turns = [order[(self._turn + offset) % len(order)] for offset in range(len(order))]
        work = [bucket for bucket in turns if buckets[bucket].busy or buckets[bucket].waiting]
        if not work:
            raise RuntimeError("step() without work: submit fits first")
        fitting = [bucket for bucket in work if self._fits(bucket, buckets)]
        if len(fitting) < len(work):
            rest_the_idle(buckets)
            fitting = [bucket for bucket in work if self._fits(bucket, buckets)]
        chosen = next((bucket for bucket in fitting if buckets[bucket].full), fitting[0])
        self._turn = order.index(chosen) + 1
        return chosen

    def _fits(self, bucket: Bucket, buckets: Mapping[Bucket, Any]) -> bool:
        own = self._needs.get(bucket)
        if own is None or buckets[bucket].begun:
            return True
        others = [self._needs[other] for other, lanes in buckets.items() if lanes.begun]
        states = sum(needs.state for needs in (own, *others))
        return not others or states + max(needs.epoch for needs in (own, *others)) <= own.room


def rest_the_idle(buckets: Mapping[Bucket, Any]) -> None:
    """Gives the memory of those without work back."""
    for lanes in buckets.values():
        if not lanes.busy and not lanes.waiting:
            lanes.rest()
