"""Short texts under names that all processes of a launch see: the coordination service of jax.distributed."""

from __future__ import annotations

import threading
from typing import Protocol


class Messages(Protocol):
    """Texts by name. Names are paths; what one process has written, all others read at once."""

    def put(self, name: str, text: str) -> None:
        """Writes a text, over an older one."""
        ...

    def claim(self, name: str, text: str) -> bool:
        """Writes a text unless there is one; True for the one process that did."""
        ...

    def get(self, name: str) -> str | None:
        """The text, or None."""
        ...

    def within(self, folder: str) -> dict[str, str]:
        """All texts below a folder by the rest of their name."""
        ...

    def drop(self, name: str) -> None:
        """Removes a text, if there is one."""
        ...


class MemoryMessages:
    """Messages between threads of one process: for tests and simulations."""

    def __init__(self):
        self._texts: dict[str, str] = {}
        self._lock = threading.Lock()

    def put(self, name: str, text: str) -> None:
        """See Messages."""
        with self._lock:
            self._texts[name] = text

    def claim(self, name: str, text: str) -> bool:
        """See Messages."""
        with self._lock:
            if name in self._texts:
                return False
            self._texts[name] = text
            return True

    def get(self, name: str) -> str | None:
        """See Messages."""
        return self._texts.get(name)

    def within(self, folder: str) -> dict[str, str]:
        """See Messages."""
        with self._lock:
            found = [name for name in self._texts if name.startswith(f"{folder}/")]
            return {name.removeprefix(f"{folder}/"): self._texts[name] for name in found}

    def drop(self, name: str) -> None:
        """See Messages."""
        with self._lock:
            self._texts.pop(name, None)
