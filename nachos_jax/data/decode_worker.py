"""A process that decodes: `python -m nachos_jax.data.decode_worker WHAT.json`.

Orders come as lines of JSON on its standard input: rows, and the .npy file to write them into. A line of JSON
on standard output says what became of each. It ends when its input does, and so with who started it.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

from nachos_jax.data.reading import Opening, packed, read_rows


def main(what: Path) -> None:
    """Takes orders until there are no more."""
    say, sys.stdout = sys.stdout, sys.stderr  # what a decoder prints is no answer
    warnings.simplefilter("ignore")
    told = json.loads(what.read_text(encoding="utf-8"))
    read, preparation = Opening(**told["opening"])(), told["preparation"]
    known, images = "", None
    for line in sys.stdin:
        order = json.loads(line)
        if order["into"] != known:
            known = order["into"]
            images = np.load(known, mmap_mode="r+", allow_pickle=False) if known else None
        print(packed(read_rows(read, order["rows"], preparation, images)), file=say, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
