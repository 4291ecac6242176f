"""Buckets in turn: what lies on the devices at once, and that none waits for ever."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.engine.buckets import Bucket
from nachos_jax.engine.turns import Needs, Turns

ROOM = 10


@dataclass
class Lanes:
    """Lanes that have only to count."""

    places: int
    waiting: int
    begun: bool = False

    busy = 0

    @property
    def full(self) -> bool:
        return self.waiting >= self.places

    def rest(self) -> None:
        self.begun = False

    def epoch(self) -> None:
        self.begun = True
        self.waiting -= min(self.places, self.waiting)


def bucket(number: int) -> Bucket:
    return (("batch_size", number),)


BUCKETS = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 3), st.integers(0, 6))


@given(told=st.lists(BUCKETS, min_size=1, max_size=6), later=st.integers(0, 4))
def test_buckets_that_go_on_together_fit_together_and_all_end(told, later):
    turns, lanes, needs = Turns(), {}, {}
    for number, (state, epoch, places, fits) in enumerate(told):
        lanes[bucket(number)] = Lanes(places, fits)
        needs[bucket(number)] = Needs(state, epoch, ROOM)
        turns.know(bucket(number), needs[bucket(number)])
    epochs, expected = 0, sum(-(-fits // places) for _, _, places, fits in told)
    while any(one.waiting for one in lanes.values()):
        now = turns.next(lanes)
        begun = [other for other, one in lanes.items() if one.begun or other == now]
        held = sum(needs[other].state for other in begun) + needs[now].epoch
        assert held <= ROOM or begun == [now]
        lanes[now].epoch()
        epochs += 1
        if epochs == later:  # a study asks for more
            lanes[bucket(0)].waiting += 1
            expected += 1
    assert epochs <= expected
    with pytest.raises(RuntimeError, match="submit fits first"):
        turns.next(lanes)


def test_a_bucket_that_needed_more_than_was_known_goes_on_alone():
    turns, lanes = Turns(), {bucket(number): Lanes(1, 3) for number in range(3)}
    for name in lanes:
        turns.know(name, Needs(1, 1, ROOM))
    order = []
    for _ in range(9):
        now = turns.next(lanes)
        if not order:
            turns.alone(now)
        lanes[now].epoch()
        order.append(now[0][1])
        assert sum(one.begun for one in lanes.values()) == 1 or 0 not in order[-1:]
    assert order == [0, 0, 0, 1, 2, 1, 2, 1, 2]


def test_what_has_ended_makes_room_for_what_waits():
    turns, lanes = Turns(), {bucket(0): Lanes(1, 1), bucket(1): Lanes(1, 9), bucket(2): Lanes(1, 1)}
    for name in lanes:
        turns.know(name, Needs(4, 1, ROOM))  # two of them have room
    order = []
    for _ in range(4):
        now = turns.next(lanes)
        lanes[now].epoch()
        order.append(now[0][1])
    assert order == [0, 1, 2, 1]


def test_estimators_wait_for_nobody():
    turns, lanes = Turns(), {bucket(0): Lanes(1, 2), bucket(1): Lanes(1, 2)}
    turns.know(bucket(0), Needs(ROOM, ROOM, ROOM))
    order = []
    while any(one.waiting for one in lanes.values()):
        now = turns.next(lanes)
        lanes[now].epoch()
        order.append(now)
    assert order == [bucket(0), bucket(1), bucket(0), bucket(1)]
