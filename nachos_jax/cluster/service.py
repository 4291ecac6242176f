"""Joining a launch through jax.distributed. The only importer of its client.

Fits are independent, so processes exchange nothing but short texts, and JAX's coordination service is used
for these alone: the state object of jax.distributed is our own, not the global one. So each process has a
JAX of its own that knows the local devices only. Nothing waits for another host: not the start of the
devices, not a checkpoint, not a compilation; and a process that dies takes no other with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from nachos_jax.cluster.place import Place, lost_touch
from nachos_jax.core.errors import UsageError
from nachos_jax.runtime.stopping import StoppedError

log = logging.getLogger("nachos_jax")

JOIN = 3
"""Processes wait for each other at the start for so many times the silence after which one counts as lost."""

_REFUSED = object()
"""The answer of the service when it had a reason that the caller expects."""


class ServiceMessages:
    """Messages through the coordination service that process 0 runs.

    Args:
        place: of this process.
        lost_after: seconds of silence after which a process counts as lost.

    Raises:
        UsageError: process 0 cannot be reached, or its port is taken.
        StoppedError: a signal came meanwhile.
    """

    def __init__(self, place: Place, lost_after: int):
        import jax
        from jax._src.distributed import State

        # The death of a process is for us to handle, and must not end the others.
        jax.config.update("jax_enable_recoverability", True)
        jax.config.update("jax_enable_preemption_service", False)
        self._place, self._state = place, State()
        seconds = JOIN * lost_after

        def join() -> None:
            self._state.initialize(
                coordinator_address=place.coordinator,
                num_processes=place.processes,
                process_id=place.process,
                cluster_detection_method="deactivate",
                initialization_timeout=seconds,
                heartbeat_timeout_seconds=lost_after,
                shutdown_timeout_seconds=10,
            )

        try:
            _interruptible(join)
        except Exception as error:  # whatever the service raises: no connection, or a port that is taken
            raise UsageError(
                f"process {place.process} could not join {place.processes} processes at {place.coordinator} "
                f"within {seconds} seconds, three times --lost_after ({_brief(error)}): see that all were "
                "started, that this address is that of process 0, and that no firewall or proxy lies between."
            ) from error
        self._client: Any = self._state.client

    def put(self, name: str, text: str) -> None:
        """See Messages."""
        self._call("key_value_set", name, text, allow_overwrite=True)

    def claim(self, name: str, text: str) -> bool:
        """See Messages."""
        return self._call("key_value_set", name, text, unless="ALREADY_EXISTS") is not _REFUSED

    def get(self, name: str) -> str | None:
        """See Messages."""
        found = self._call("key_value_try_get", name, unless="NOT_FOUND")
        return None if found is _REFUSED else found

    def within(self, folder: str) -> dict[str, str]:
        """See Messages."""
        found = self._call("key_value_dir_get", f"{folder}/")
        return {name.removeprefix(f"{folder}/"): text for name, text in found}

    def drop(self, name: str) -> None:
        """See Messages."""
        self._call("key_value_delete", name, unless="NOT_FOUND")

    def _call(self, method: str, *arguments: Any, unless: str = "", **more: Any) -> Any:
        """Asks the service; _REFUSED when it answers with the status `unless`."""
        try:
            return getattr(self._client, method)(*arguments, **more)
        except Exception as error:  # its errors have no classes of their own
            if unless and unless in str(error):
                return _REFUSED
            raise StoppedError(lost_touch(self._place)) from error

    def close(self) -> None:
        """Leaves the launch."""
        try:
            self._state.shutdown()
        except Exception as error:  # the others may have gone first
            log.info("leaving the launch: %s", _brief(error))


def _interruptible(call: Callable[[], None]) -> None:
    """Makes a call that does not listen to signals in a thread, while this one does.

    Raises:
        Exception: whatever the call raises.
        StoppedError: a signal came meanwhile; the call is left to itself.
    """
    errors: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="join", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)
    if errors:
        raise errors[0]


def use_devices(devices: tuple[int, ...] | None) -> None:
    """Lets JAX see only these accelerators of this host."""
    if devices is not None:
        import jax

        for platform in ("cuda", "rocm"):
            jax.config.update(f"jax_{platform}_visible_devices", ",".join(map(str, devices)))


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
