"""Whether something lies at a path, told apart from a machine that cannot say."""

from __future__ import annotations

import errno
import os
import stat

from nachos_jax.core.errors import TransientError

NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""What the system says where nothing is, or nothing can be."""


def is_file(path: str | os.PathLike) -> bool:
    """Whether a file is there.

    Raises:
        TransientError: the system cannot say, as of a disk that fails or a share that is away.
    """
    return stat.S_ISREG(_mode(path))


def is_folder(path: str | os.PathLike) -> bool:
    """Whether a folder is there.

    Raises:
        TransientError: as of `is_file`.
    """
    return stat.S_ISDIR(_mode(path))


def _mode(path: str | os.PathLike) -> int:
    try:
        return os.stat(path).st_mode
    except ValueError:  # a character that no path has
        return 0
    except OSError as error:
        if error.errno in NOTHING:
            return 0
        raise TransientError(
            f"{path} could not be looked for ({error.strerror}): run again when the system can read it."
        ) from error
