"""The soak as a whole: the launch matrix, random kills, all tests; what ran and how it ended is kept.

    python -m benchmarks.soak.soak_last [--kills 60] [--tests WORDS] [--no-suite] [--name soak_last]

`make soak` runs it, every night and before a release. tests/soak launches real processes that are killed,
stopped and cut off; benchmarks/soak/soak.py kills at random moments; then all other tests run once, those
marked `thorough` too, which `make test` leaves out, with the compiler as users have it.
benchmarks/results/soak_last.json, or the name given, tells date, commit, results, and what a test says that
it did. Ends with exit code 1 when anything failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from benchmarks.shared import measure

ROOT = measure.FOLDER.parent


def commit() -> str:
    """The commit of the checkout, with a plus sign when files differ from it."""
    words = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def matrix(folder: Path, words: str) -> list[tuple[str, str, float]]:
    """Runs tests/soak; name, result and seconds of each test.

    Raises:
        RuntimeError: they were not run.
    """
    told = folder / "matrix.xml"
    how = ("-o", "junit_family=xunit1", f"--junitxml={told}")  # the newer family drops what tests record
    command = [sys.executable, "-m", "pytest", "-q", "tests/soak", *how]
    code = subprocess.run([*command, *(["-k", words] if words else [])], cwd=ROOT, check=False).returncode
    if code not in (0, 1):
        raise RuntimeError(f"pytest ended with exit code {code}")
    cases = ElementTree.parse(told).iter("testcase")
    return [(_named(case), _outcome(case), float(case.get("time", 0))) for case in cases]


def _named(case: ElementTree.Element) -> str:
    """The test, and what it recorded of itself."""
    did = [each.get("value", "") for each in case.iter("property") if each.get("name") == "did"]
    return ": ".join([case.get("name", ""), *did])


def _outcome(case: ElementTree.Element) -> str:
    tags = {child.tag for child in case}
    return "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"


def kills(folder: Path, count: int, seed: int) -> tuple[str, str, float]:
    """Runs soak.py; what it did, its result, and seconds."""
    began = time.monotonic()
    words = [f"--kills={count}", f"--seed={seed}", f"--out={folder}"]
    code = subprocess.run([sys.executable, "-m", "benchmarks.soak.soak", *words], check=False).returncode
    file = folder / f"soak_seed{seed}.json"
    told = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"kills": 0, "completed": 0}
    what = f"{told['kills']} random kills, {told['completed']} studies finished and compared"
    return what, "failed" if code else "passed", time.monotonic() - began


def suite() -> tuple[str, str, float]:
    """Runs all tests outside of tests/soak, compiled as for users; its name, result and seconds."""
    began = time.monotonic()
    words = [sys.executable, "-m", "pytest", "-q", "-m", ""]
    words += ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]
    known = {**os.environ, "NACHOS_TESTS_COMPILE": "fully"}
    code = subprocess.run(words, cwd=ROOT, env=known, check=False).returncode
    what = "all other tests, compiled as for users"
    return what, "failed" if code else "passed", time.monotonic() - began


def main() -> None:
    """Runs all parts and stores what happened."""
    flags = measure.parser(__doc__)
    flags.add_argument("--kills", type=int, default=60, help="processes to kill at random moments; 0 = none")
    flags.add_argument("--seed", type=int, default=0, help="of these moments")
    flags.add_argument("--tests", default="", help="only the tests of the matrix that these words select")
    flags.add_argument("--no-suite", action="store_true", help="leave the other tests out")
    flags.add_argument("--name", default="soak_last", help="of the JSON result")
    given = flags.parse_args()
    at, began = commit(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        done = matrix(Path(name), given.tests)
        done += [kills(Path(name), given.kills, given.seed)] if given.kills else []
        done += [] if given.no_suite else [suite()]
    failed = sum(result == "failed" for _, result, _ in done)
    rows = tuple((what.replace("_", " "), result, f"{seconds:.0f} s") for what, result, seconds in done)
    parts = f"tests named {given.tests!r}" if given.tests else "the last soak"
    title = f"Soak, {parts}: commit {at}, {failed} of {len(done)} parts failed"
    value = {
        "commit": at,
        "parts": [{"what": what, "result": result, "seconds": seconds} for what, result, seconds in done],
        "failed": failed,
        "seconds": time.monotonic() - began,
    }
    measure.store(
        given.out, given.name, title, measure.Table(("part", "result", "wall"), rows), value, timed=False
    )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
