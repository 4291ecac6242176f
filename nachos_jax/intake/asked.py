"""What the user asked of `nachos init`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """The flags, checked.

    Attributes:
        output: folder to write to.
        labels: a table that tells more of the files, or None.
        key: of the pseudonyms, or None where ids stay.
        cases: "slices" or "series" of DICOM files; "" lets their number decide.
    """

    output: Path
    labels: Path | None = None
    key: bytes | None = None
    cases: str = ""

    def relative(self, path: Path) -> str:
        """A path as cases.csv names it, from its own folder on."""
        return Path(os.path.relpath(path.absolute(), self.output.absolute())).as_posix()
