"""Are damaged files read or refused in words, in bounded time and memory?

    python -m benchmarks.soak.fuzz [--files 5000] [--seconds 20] [--gigabytes 3]

Whole DICOM, NIfTI, PNG, JPEG and TIFF files are damaged at random: bits flipped, parts cut off, removed,
repeated, swapped or zeroed, lengths and sizes overwritten. The number of a file names its damage. All are
read in processes with a limit on their memory; a file that ends its process, that takes longer than
--seconds, or that raises anything but a UsageError is a fault. Ends with exit code 1 when there is one.
"""

from __future__ import annotations

import json
import logging
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.shared import measure
from benchmarks.soak.fuzz_files import KINDS, mutated, whole_files

TOLD = 400
"""Characters of a message that are kept."""


def damaged(wholes: dict[str, Any], number: int, only: str = "") -> tuple[str, str, str, bytes]:
    """Kind, what it was made of and how, suffix and content of the file with a number."""
    kind = only or KINDS[number % len(KINDS)]
    of_kind = wholes[kind]
    whole = of_kind[number // len(KINDS) % len(of_kind)]
    how, content = mutated(whole, f"{kind} {number}")
    return kind, f"{whole.name}: {how}", whole.suffix, content


def child(numbers: range, folder: Path, gigabytes: float, only: str) -> None:
    """Reads files one after the other; says before each which it is, and after it what became of it."""
    import numpy as np  # noqa: F401  before the limit, as threads reserve memory

    from nachos_jax.core.errors import UsageError
    from nachos_jax.data import dicom, dicom_series, nifti  # noqa: F401
    from nachos_jax.data.image_files import read_image

    wholes = whole_files()
    limit = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    logging.disable()
    for number in numbers:
        kind, _, suffix, content = damaged(wholes, number, only)
        path = folder / f"x{suffix}"
        path.write_bytes(content)
        print(json.dumps({"begins": number}), flush=True)
        began, said = time.perf_counter(), ""
        try:
            _read(kind, path, number, read_image, nifti.read, dicom_series.read_frames)
            outcome = "read"
        except UsageError as error:
            outcome, said = "refused", str(error)
        except BaseException as error:
            outcome, said = "raised", f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        row = {"ends": number, "outcome": outcome, "said": said[:TOLD], "seconds": seconds, "peak": peak}
        print(json.dumps(row), flush=True)


def _read(kind: str, path: Path, number: int, image: Any, volume: Any, frames: Any) -> None:
    if kind == "NIfTI":
        volume(path)
    elif kind == "DICOM" and number % 3 == 0:
        frames(path)
    else:
        image(path)


def watched(numbers: range, seconds: float, gigabytes: float, only: str = "") -> list[dict[str, Any]]:
    """What became of each file; a process that ends or hangs is one row; another goes on."""
    rows: list[dict[str, Any]] = []
    start = numbers.start
    while start < numbers.stop:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            words = [sys.executable, "-m", "benchmarks.soak.fuzz", "--files", str(numbers.stop)]
            words += ["--start", str(start), "--child", folder, "--gigabytes", str(gigabytes), "--kind", only]
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            start = _followed(process, rows, start, seconds)
    return rows


def _followed(process: subprocess.Popen, rows: list[dict[str, Any]], start: int, seconds: float) -> int:
    """Adds the rows that a process tells; returns the number of the file to go on with."""
    lines: queue.Queue[str] = queue.Queue()
    errors: list[str] = []

    def follow() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put("")

    threads = [
        threading.Thread(target=follow),
        threading.Thread(target=lambda: errors.append((process.stderr and process.stderr.read()) or "")),
    ]
    for thread in threads:
        thread.start()
    current = -1
    try:
        while line := lines.get(timeout=seconds if current >= 0 else 300.0):
            row = json.loads(line)
            current = row.get("begins", -1)
            if "ends" in row:
                rows.append(row)
    except queue.Empty:
        process.kill()
        process.wait()
        rows.append({"ends": current, "outcome": "hung", "said": f"more than {seconds:.0f} s"})
        return current + 1
    for thread in threads:
        thread.join()
    code, last = process.wait(), "".join(errors)[-TOLD:]
    if current >= 0:
        rows.append({"ends": current, "outcome": "ended its process", "said": f"exit code {code} {last}"})
        return current + 1
    if code:
        sys.exit(f"the reading process could not go on: exit code {code} {last}")
    return max((row["ends"] for row in rows), default=start) + 1


def main() -> None:
    """Damages and reads all files."""
    flags = measure.parser(__doc__)
    flags.add_argument("--files", type=int, default=5000, help="that are damaged, from number 0 on")
    flags.add_argument("--start", type=int, default=0, help="number of the first; nothing is stored")
    flags.add_argument("--seconds", type=float, default=20.0, help="that one file may take")
    flags.add_argument("--gigabytes", type=float, default=3.0, help="of address space that reading may take")
    flags.add_argument("--keep", default="", help="folder for the files with faults")
    flags.add_argument("--kind", default="", choices=("", *KINDS), help="this kind alone; nothing is stored")
    flags.add_argument("--child", default="", help="read in this process, files in this folder")
    given = flags.parse_args()
    if given.child:
        child(range(given.start, given.files), Path(given.child), given.gigabytes, given.kind)
        return
    began = time.monotonic()
    rows = watched(range(given.start, given.files), given.seconds, given.gigabytes, given.kind)
    wholes = whole_files()
    faults = []
    for row in rows:
        row["kind"], row["made"], suffix, content = damaged(wholes, row["ends"], given.kind)
        if row["outcome"] in ("read", "refused"):
            continue
        faults.append(f"file {row['ends']}, {row['kind']}, {row['made']}: {row['outcome']}, {row['said']}")
        if given.keep:
            Path(given.keep).mkdir(parents=True, exist_ok=True)
            (Path(given.keep) / f"{row['ends']}{suffix}").write_bytes(content)
    if given.start == 0 and not given.kind:
        _store(given, rows, faults, time.monotonic() - began)
    if faults:
        sys.exit("\n".join(faults))


def _store(given: Any, rows: list[dict[str, Any]], faults: list[str], seconds: float) -> None:
    lines = []
    for kind in KINDS:
        mine = [row for row in rows if row["kind"] == kind]
        counts = Counter(row["outcome"] for row in mine)
        slowest = max((row.get("seconds", given.seconds) for row in mine), default=0.0)
        wrong = len(mine) - counts["read"] - counts["refused"]
        numbers = (len(mine), counts["read"], counts["refused"], wrong)
        lines.append((kind, *map(str, numbers), f"{slowest:.2f} s"))
    peak = max(row.get("peak", 0.0) for row in rows)
    table = measure.Table(("kind", "files", "read", "refused", "faults", "slowest"), tuple(lines))
    notes = [
        f"Peak memory of a reading process {peak:.2f} GiB; address space limited to {given.gigabytes:g} GiB.",
        "Read: the damage left a file that can be read, for instance because it hit a text or a few pixels.",
    ]
    title = f"Damaged files: {len(rows) - len(faults)} of {len(rows)} read or refused in words"
    value = {"notes": notes, "seconds": seconds, "faults": faults, "peak_gib": peak}
    measure.store(given.out, "fuzz", title, table, value, timed=False)


if __name__ == "__main__":
    main()
