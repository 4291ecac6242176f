"""What is done beside training."""

from __future__ import annotations

import threading

from nachos_jax.runtime import beside


def test_what_waits_is_done_once_the_last_first_and_a_failure_stops_nothing():
    done, here = [], threading.current_thread()

    def note(name):
        def call():
            assert threading.current_thread() is not here
            done.append(name)
            if name == "second":
                raise ImportError(name)

        return call

    for name in ("first", "second", "third"):
        beside.later(note(name))
    for _ in range(2):
        beside.begin()
        for thread in threading.enumerate():
            if thread.name == "beside":
                thread.join()
    assert done == ["third", "second", "first"]
