"""Virtual time: code that waits runs as it is, in threads of which one at a time goes on; waiting is free."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable, Sequence


class Clock:
    """Seconds that pass only when all processes wait.

    Processes are plain functions, each in a thread of its own. A process that sleeps hands over to the one
    that wakes next, so the order of all events follows from their times, and from their order where times
    are equal: the same processes give the same history.

    Args:
        passing: called with the seconds that are about to pass; nothing changes during these.
    """

    def __init__(self, passing: Callable[[float], None]):
        self.now = 0.0
        self._passing = passing
        self._asleep: list[tuple[float, int, threading.Lock]] = []
        self._parked: list[tuple[float, float, threading.Lock]] = []
        self._order = itertools.count()
        self._over = threading.Event()
        self._error: BaseException | None = None

    def run(self, processes: Sequence[Callable[[], None]]) -> None:
        """Runs all to their ends.

        Raises:
            BaseException: that of the first process which met one; the others are abandoned.
            RuntimeError: all wait for each other.
        """
        threads = [threading.Thread(target=self._live, args=(one, self._new(0.0))) for one in processes]
        for thread in threads:
            thread.start()
        self._hand_over()
        self._over.wait()
        for lock in [entry[2] for entry in (*self._asleep, *self._parked)]:
            lock.release()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def sleep(self, seconds: float) -> None:
        """Lets a process wait for so long."""
        lock = self._new(max(0.0, seconds))
        if self._asleep[0][2] is lock:  # nobody else comes first
            self._take_first()
        else:
            self._hand_over()
            self._wait(lock)

    def look_again(self, every: float) -> None:
        """Lets a process wait until the first of its regular looks after `stir`.

        It is `sleep(every)`, again and again, of a process that finds nothing new, without the looks that
        find nothing.
        """
        lock = threading.Lock()
        lock.acquire()
        self._parked.append((self.now, every, lock))
        self._hand_over()
        self._wait(lock)

    def stir(self) -> None:
        """There is something new to see for those who `look_again`."""
        for start, every, lock in self._parked:
            looks = max(1, math.ceil((self.now - start) / every))
            self._push(max(self.now, start + looks * every), lock)
        self._parked.clear()

    def _live(self, process: Callable[[], None], lock: threading.Lock) -> None:
        self._wait(lock)
        try:
            process()
        except SystemExit:  # `_wait`: another process has failed
            return
        except BaseException as error:
            self._end(error)
        else:
            self._hand_over()

    def _new(self, seconds: float) -> threading.Lock:
        lock = threading.Lock()
        lock.acquire()
        self._push(self.now + seconds, lock)
        return lock

    def _push(self, time: float, lock: threading.Lock) -> None:
        heapq.heappush(self._asleep, (time, next(self._order), lock))

    def _take_first(self) -> threading.Lock:
        time, _, lock = heapq.heappop(self._asleep)
        if time > self.now:
            self._passing(time - self.now)
            self.now = time
        return lock

    def _hand_over(self) -> None:
        if self._asleep:
            self._take_first().release()
        else:
            self._end(RuntimeError("all wait for each other") if self._parked else None)

    def _wait(self, lock: threading.Lock) -> None:
        lock.acquire()
        if self._over.is_set():
            raise SystemExit

    def _end(self, error: BaseException | None) -> None:
        self._error = error
        self._over.set()
