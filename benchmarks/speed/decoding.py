"""How fast are PNG files decoded, beside a plain Pillow loop on every core, and how long is a second launch?

    python -m benchmarks.speed.decoding [--images 10000] [--side 224] [--rounds 3]

The files are the 1,797 digits of scikit-learn, enlarged and with noise, so that no two are alike. The plain
loop opens a file and copies its pixels, and runs in one process a core at once, each over its share; ours is
`nachos_jax.data.sources.load` into an empty cache: it finds the files, hashes them, checks their checksums,
decodes and writes the cache. Both include the start of their processes. A launch of ours also imports JAX and
checks its config, as every launch does whether it decodes or not, so the decoding is told by itself too. CPU
seconds are of all processes, and do not depend on what else the machine does as much as others do.
"""

from __future__ import annotations

import itertools
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.shared import measure
from nachos_jax.runtime import cores

PLAIN = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
part, parts = map(int, sys.argv[2:4])
files = sorted(Path(sys.argv[1]).rglob("*.png"))[part::parts]
out = None
for row, file in enumerate(files):
    with Image.open(file) as image:
        pixels = np.asarray(image)
    if out is None:
        out = np.empty((len(files), *pixels.shape), np.uint8)
    out[row] = pixels
"""
OURS = """
import sys, time
from nachos_jax import default_config
from nachos_jax.data import sources
from nachos_jax.protocol.run import configure
from nachos_jax.tasks.classification import TASK
config = default_config()
config.data.source, config.data.path, config.data.cache = "folder", sys.argv[1], sys.argv[2]
config.data.subject = "one_case_per_subject"
data = configure.checked(config).data
start, worked = time.perf_counter(), time.process_time()
sources.load(data, TASK)
print(time.perf_counter() - start, time.process_time() - worked)
"""


def main() -> None:
    """Takes turns between the plain loop and ours, then launches again from the cache."""
    flags = measure.parser(__doc__)
    flags.add_argument("--images", type=int, default=10_000)
    flags.add_argument("--side", type=int, default=224)
    flags.add_argument("--rounds", type=int, default=3)
    given = flags.parse_args()
    count = cores.available()
    with tempfile.TemporaryDirectory() as folder:
        images, caches = Path(folder) / "images", itertools.count()
        images.mkdir()
        write(images, given.images, given.side)

        used: dict[str, list[float]] = {"plain": [], "ours": []}
        decoded: list[tuple[float, float]] = []

        def loop() -> None:
            before = cpu()
            plain(images, count)
            used["plain"].append(cpu() - before)

        def ours() -> None:
            cache, before = Path(folder) / f"cache{next(caches)}", cpu()
            decoded.append(launch(images, cache))
            used["ours"].append(cpu() - before)
            shutil.rmtree(cache)

        found = measure.in_turn({"plain": loop, "ours": ours}, given.rounds)
        again = [launch(images, Path(folder) / "kept") for _ in range(given.rounds + 1)][1:]
    alone = [one for one, _ in decoded[1:]]  # the first round does not count
    seconds = {name: measure.median(times) for name, times in (*found.items(), ("decoding", alone))}
    work = {name: measure.median(times[1:]) for name, times in used.items()}
    wall, worked = (measure.median([one[i] for one in again]) for i in range(2))
    rows = (
        ("a plain Pillow loop on every core", *told(given.images, seconds, "plain", work["plain"])),
        ("ours, a launch into an empty cache", *told(given.images, seconds, "ours", work["ours"])),
        ("of it the decoding", *told(given.images, seconds, "decoding", None)),
        ("ours, from the cache", f"{wall:.2f} s", f"{worked:.2f}", f"{given.images / wall:,.0f}", ""),
    )
    measure.store(
        given.out,
        "decoding",
        f"Decoding {given.images:,} PNG files of {given.side} x {given.side} on {count} cores",
        measure.Table(("", "time", "CPU s", "images a second", "of the plain loop"), rows),
        {"seconds": found, "decoding": alone, "cpu": used, "again": again, "cores": count},
    )


def told(images: int, seconds: Mapping[str, float], name: str, work: float | None) -> tuple[str, ...]:
    """Time, CPU seconds, rate, and the rate over that of the plain loop, of a row of the table."""
    took, ratio = seconds[name], seconds["plain"] / seconds[name]
    return f"{took:.2f} s", "" if work is None else f"{work:.2f}", f"{images / took:,.0f}", f"{ratio:.2f}"


def cpu() -> float:
    """CPU seconds of all processes that this one has started and that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def plain(images: Path, count: int) -> None:
    """The plain loop, in so many processes at once."""
    parts = [[sys.executable, "-c", PLAIN, str(images), str(part), str(count)] for part in range(count)]
    for process in [subprocess.Popen(command) for command in parts]:
        if process.wait():
            raise RuntimeError("the plain loop has failed")


def launch(images: Path, cache: Path) -> tuple[float, float]:
    """Seconds of one load in a fresh process, and of its work."""
    command = [sys.executable, "-c", OURS, str(images), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall, worked = map(float, done.stdout.split())
    return wall, worked


def write(folder: Path, count: int, side: int) -> None:
    """PNG files of enlarged digits with noise."""
    from sklearn.datasets import load_digits

    digits = load_digits(return_X_y=True)[0].reshape(-1, 8, 8)
    rng = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray((digits[number % len(digits)] * 15).astype(np.uint8))
        large = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.int16)
        noisy = (large + rng.integers(0, 8, large.shape, np.int16)).clip(0, 255).astype(np.uint8)
        path = folder / "ab"[number % 2] / f"{number:06d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(noisy).save(path, compress_level=1)


if __name__ == "__main__":
    main()
