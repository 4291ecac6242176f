"""A process that waits for its turn, so that what needs a process of its own can be timed A B A B too.

The worker calls `serve`, which says that it is ready and then works once for every line that it is sent.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.shared import measure

READY, DONE = "ready ", "done "


class Served:
    """A worker process at the other end of a pipe; calling it makes it work once.

    Args:
        command: its command line.
        environment: its environment variables; ours by default.
    """

    def __init__(self, command: Sequence[Any], environment: Mapping[str, str] | None = None):
        words = [str(word) for word in command]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.answers: list[dict[str, Any]] = []

    def ready(self) -> dict[str, Any]:
        """Waits for the worker to be ready; what it says of itself."""
        return self._wait(READY)

    def begin(self) -> None:
        """Sends it to work."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Waits until the work is done; its answer is the last of `answers`."""
        self.answers.append(self._wait(DONE))

    def __call__(self) -> None:
        """Works once, from begin to end."""
        self.begin()
        self.end()

    def close(self) -> float:
        """Lets the worker end; its peak resident memory in MiB."""
        self._hang_up()
        return measure.reap(self._process)

    def _hang_up(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _wait(self, word: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(word):
                return json.loads(line.removeprefix(word))
        self._hang_up()
        self._process.wait()
        raise RuntimeError(f"this worker ended early: {' '.join(map(str, self._process.args))}")  # pyrefly: ignore[bad-argument-type]


def serve(facts: Mapping[str, Any], work: Callable[[], Mapping[str, Any] | None]) -> None:
    """The worker's side: says `facts`, then works for every line that comes in and answers it."""
    print(READY + json.dumps(facts), flush=True)
    for _ in sys.stdin:
        print(DONE + json.dumps(work() or {}), flush=True)
