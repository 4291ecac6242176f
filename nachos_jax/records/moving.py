"""The last step of a file that is either wholly there or not there: from its temporary name to its own."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NOT_OF_FOLDERS = {errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
"""What file systems say, network shares of Windows for one, that cannot be asked to wait for a folder."""


class AlreadyThereError(Exception):
    """Another writer was first."""


def move(temporary: str, path: Path, replace: bool) -> None:
    """Gives a file its name; an older one gives way if `replace`.

    Raises:
        AlreadyThereError: there is an older one, and it is not to be replaced.
        OSError: the file system refuses.
    """
    if not replace:
        try:
            os.link(temporary, path)
        except FileExistsError as error:
            raise AlreadyThereError(path) from error
        except OSError:  # a file system without links: two writers in the same instant are not told apart
            if path.exists():
                raise AlreadyThereError(path) from None
        else:
            os.unlink(temporary)
            return
    os.replace(temporary, path)


def sync_folder(folder: Path) -> None:
    """Waits until a name in a folder is on the disk, where the file system can be asked that of a folder."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NOT_OF_FOLDERS:
            raise
