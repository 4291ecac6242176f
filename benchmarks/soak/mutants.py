"""Do the tests notice? Faults are planted one at a time, and the tests that are to catch each are run.

    python -m benchmarks.soak.mutants [--only WORDS] [--seconds 600]

The list stands in tests/mutation/faults.py; everything happens in a copy of the checkout. The named tests
must pass in it before a fault is planted, and one of them must fail afterwards: an error in what is prepared
for a test shows no more than that something broke. A fault whose text is not found ends this
at once. Ends with exit code 1 when a fault survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.shared import measure

ROOT = measure.FOLDER.parent
PASSED, FAILED = 0, 1
"""Exit codes of pytest; all others mean that the tests were not run."""


def copied(place: Path) -> Path:
    """A copy of the checkout as it stands, which shares its compiled programs; returns its folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, place / name
        if source.exists() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    (ROOT / ".cache").mkdir(exist_ok=True)
    (place / ".cache").symlink_to(ROOT / ".cache")
    return place


def tested(place: Path, tests: Sequence[str], seconds: float) -> tuple[int, str]:
    """Runs tests in the copy until one fails; exit code of pytest (-1 = too slow), and what it said last."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header"]
    known = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "CI": "1"}
    try:
        done = subprocess.run(
            [*words, *(f"tests/{test}" for test in tests)],
            cwd=place,
            env=known,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return -1, f"not done in {seconds:.0f} s"
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, lines[0] if lines else (done.stdout + done.stderr).strip()[-400:]


def main() -> None:
    """Plants all faults."""
    flags = measure.parser(__doc__)
    flags.add_argument("--only", default="", help="faults whose name holds these words; nothing is stored")
    flags.add_argument("--seconds", type=float, default=600.0, help="that the tests of one fault may take")
    given = flags.parse_args()
    from tests.mutation.faults import FAULTS

    chosen = [fault for fault in FAULTS if given.only in fault.name]
    texts = {fault: (ROOT / "nachos_jax" / fault.file).read_text(encoding="utf-8") for fault in chosen}
    lost = [f"{fault.file}: {fault.name}" for fault in chosen if texts[fault].count(fault.text) != 1]
    if lost:
        sys.exit(
            "The text of a fault must stand there once; mend tests/mutation/faults.py:\n" + "\n".join(lost)
        )
    folder, began = Path(tempfile.mkdtemp(prefix="mutants-")), time.monotonic()
    rows, survivors = [], []
    try:
        place = copied(folder)
        everything = sorted({test for fault in chosen for test in fault.tests})
        code, said = tested(place, everything, given.seconds * len(chosen))
        if code != PASSED:
            sys.exit(f"The tests fail before a fault is planted: {said}")
        for fault in chosen:
            path = place / "nachos_jax" / fault.file
            path.write_text(texts[fault].replace(fault.text, fault.instead), encoding="utf-8")
            code, said = tested(place, fault.tests, given.seconds)
            path.write_text(texts[fault], encoding="utf-8")
            caught = code == FAILED and said.startswith("FAILED")
            rows.append((fault.name, fault.file, said.split(" - ")[0] if caught else "SURVIVED"))
            survivors += [] if caught else [f"{fault.name}: exit code {code}, {said}"]
            print("caught  " if caught else "SURVIVED", fault.name, file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder)
    if not given.only:
        table = measure.Table(("fault", "file", "caught by"), tuple(rows))
        title = f"Planted faults: {len(rows) - len(survivors)} of {len(rows)} caught"
        measure.store(given.out, "mutants", title, table, {"seconds": time.monotonic() - began}, timed=False)
    if survivors:
        sys.exit("\n".join(survivors))


if __name__ == "__main__":
    main()
