"""Proposals are made while lanes train: one worker thread, at most one ask a study at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from nachos_jax.search.searcher import Proposal


class Background:
    """Runs asks one after another in a thread; the caller fetches what is ready between epochs."""

    def __init__(self):
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="proposals")
        self._asked: dict[int | None, Future[list[Proposal]]] = {}

    def submit(self, study: int | None, function: Callable[[], list[Proposal]]) -> None:
        """Starts an ask, or queues it behind others; it must not read what the caller goes on changing.

        Raises:
            ValueError: an ask of this study has not yet been fetched by `ready`.
        """
        if study in self._asked:
            raise ValueError(f"study {study} has already asked: fetch that answer first.")
        self._asked[study] = self._pool.submit(function)

    @property
    def busy(self) -> bool:
        """True while `ready` has yet to hand out something that was submitted."""
        return bool(self._asked)

    def ready(self, timeout: float = 0.0) -> list[tuple[int | None, list[Proposal]]]:
        """The finished asks, in the order of submission; waits so many seconds at most when there is none.

        Raises:
            Exception: what the function of an ask raised; the other studies' proposals are kept for
                the next call.
        """
        if timeout and self._asked and not any(future.done() for future in self._asked.values()):
            wait(list(self._asked.values()), timeout, return_when=FIRST_COMPLETED)
        finished = [study for study, future in self._asked.items() if future.done()]
        for study in finished:
            if self._asked[study].exception() is not None:
                self._asked.pop(study).result()
        return [(study, self._asked.pop(study).result()) for study in finished]

    def close(self) -> None:
        """Drops the asks that have not begun and waits for the one that has."""
        self._asked.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)
