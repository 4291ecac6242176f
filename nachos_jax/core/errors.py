"""The one exception that means: the user can mend this."""

from __future__ import annotations

import errno

_SYSTEM = frozenset(
    {
        *(errno.ENOMEM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN),
        *(errno.ENOENT, errno.EACCES, errno.EPERM),  # a share that is away, after it was there
        *(errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET),
    }
)
"""What the system says of itself; damaged files make decoders raise OSError with other numbers or none."""


class UsageError(ValueError):
    """Input, config or run directory that cannot be used as it is.

    The message is one or two sentences: what is wrong, where (file, row, key, value) and the cure.
    The command line prints it and exits with code 2; nothing on disk has been changed.
    """


class TransientError(UsageError):
    """A refusal that the next launch may not meet: the machine has failed, and not what was to be read."""


def refuse_transient(error: Exception, where: object) -> None:
    """Raises TransientError where memory ran out or the system could not read; returns of any other error.

    For those who take whatever a decoder raises for damage.

    Args:
        error: that was caught.
        where: what was being read, for the message.

    Raises:
        TransientError: likewise.
    """
    told = isinstance(error, OSError) and "out of memory" in str(error)  # as Pillow says it
    if isinstance(error, MemoryError) or told:
        raise TransientError(
            f"{where} needs more memory than there is: free some, or run where there is more."
        ) from error
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        raise TransientError(
            f"{where} could not be read ({error.strerror}): run again when the system can read it."
        ) from error
