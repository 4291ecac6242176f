"""An NPZ file whose arrays are read one by one, never unpickled."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import checks

_DAMAGED = (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile)
"""What NumPy and zipfile raise of damaged archives, and of compressions that they do not know."""


class Archive:
    """An NPZ file whose arrays are read one by one, never unpickled."""

    def __init__(self, path: Path):
        self.path = path
        if not os.path.isfile(path):
            raise UsageError(f"config.data.path = {str(path)!r}: there is no such file; mend the path.")
        try:
            with zipfile.ZipFile(path) as file:
                self.keys = [name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")]
        except (zipfile.BadZipFile, OSError) as error:
            raise UsageError(
                f"{path} cannot be read as an NPZ file ({error}); write it with numpy.savez_compressed."
            ) from error
        if not self.keys:
            raise UsageError(f"{path} holds no array at all; write it with numpy.savez_compressed.")

    def header(self, key: str, field: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and dtype of the array that a field of config.data names, without reading its values."""
        if key not in self.keys:
            raise UsageError(
                f"{self.path.name} has no array {key!r}; it has {checks.listed(self.keys, 20)}. Name the "
                f"right one in config.data.{field}.{checks.hint(key, self.keys)}"
            )
        return self._attempt(key, self._read_header)

    def array(self, key: str) -> np.ndarray:
        """The values of an array whose header was read."""
        return self._attempt(key, self._read_array)

    def _read_header(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{key}.npy") as file:
            version = np.lib.format.read_magic(file)
            v1 = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if v1 else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            stored = archive.getinfo(f"{key}.npy").file_size
        if dtype.hasobject:
            raise UsageError(
                f"{self.path.name}: the array {key!r} holds pickled Python objects, which are never loaded "
                "because they can run code; store it with a plain dtype, e.g. array.astype(str)."
            )
        claimed = math.prod(shape) * dtype.itemsize
        if claimed > stored:
            raise UsageError(
                f"{self.path.name}: the array {key!r} claims shape {shape}, {claimed:,} bytes, and holds "
                f"{stored:,}; write or download the file again."
            )
        return shape, dtype

    def _read_array(self, key: str) -> np.ndarray:
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{key}.npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def _attempt(self, key: str, read: Callable):
        try:
            return read(key)
        except UsageError:
            raise
        except RuntimeError as error:  # of an encrypted file, or of a compression that is not known
            raise UsageError(
                f"{self.path}: the array {key!r} is packed in a way that Python does not read ({error}); "
                "write the file with numpy.savez_compressed."
            ) from error
        except MemoryError as error:
            raise UsageError(
                f"{self.path}: the array {key!r} does not fit into memory ({error}); store images as files, "
                "and list them in a CSV table (--config=csv)."
            ) from error
        except _DAMAGED as error:
            raise UsageError(
                f"{self.path}: the array {key!r} is damaged ({error}); write or download the file again."
            ) from error
