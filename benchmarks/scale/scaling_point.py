"""One point of scaling.py: lanes that train, in a process of their own that works when its turn comes.

python -m benchmarks.scale.scaling_point --lanes 2 --devices 4 --cases 768
"""

from __future__ import annotations

import re
import time
from typing import Any

from benchmarks.shared import measure, served, workload

COLLECTIVES = re.compile(
    r"\b(all-reduce|all-gather|all-to-all|collective-permute|collective-broadcast|reduce-scatter)(-start)?\("
)
BATCH = 64


def compiled_programs() -> list[Any]:
    """A list to which every program that JAX compiles from now on is added."""
    import jax

    programs: list[Any] = []
    real = jax.stages.Lowered.compile

    def noted(self: Any, *args: Any, **more: Any) -> Any:
        programs.append(real(self, *args, **more))
        return programs[-1]

    jax.stages.Lowered.compile = noted
    return programs


def collectives(programs: list[Any]) -> int:
    """Operations, in the text of all compiled programs, by which devices talk to each other."""
    return sum(len(COLLECTIVES.findall(program.as_text())) for program in programs)


def bytes_a_device(programs: list[Any]) -> int:
    """Bytes of the largest program on a device: what it is given, what it yields and what it needs beside."""
    found = [0]
    for program in programs:
        told = program.memory_analysis()
        if told is not None:
            held = told.argument_size_in_bytes + told.output_size_in_bytes - told.alias_size_in_bytes
            found.append(held + told.temp_size_in_bytes)
    return max(found)


def main() -> None:
    """Trains an epoch for each line read."""
    flags = measure.parser(__doc__)
    flags.add_argument("--lanes", type=int, default=1, help="lanes a device")
    flags.add_argument(
        "--devices", type=int, default=0, help="CPU devices; 0 = one a core, or the accelerators"
    )
    flags.add_argument("--cases", type=int, default=768)
    flags.add_argument("--width", type=int, default=16)
    flags.add_argument("--pixels", type=int, default=28)
    given = flags.parse_args()
    start = time.perf_counter()
    measure.start_jax(given.devices)
    import jax

    programs = compiled_programs()
    steps = given.cases // BATCH
    work = workload.Workload("cnn", given.width, given.pixels, BATCH, steps, "float32")
    # One candidate, so that no program is compiled only to be timed.
    candidate = workload.table_of_auto(jax.local_devices()[0].platform)[0]
    pool = workload.endless_pool(work, given.lanes, candidate, given.cases)
    facts = {
        "start_seconds": time.perf_counter() - start,
        "lanes": pool.lanes,
        "devices": len(jax.local_devices()),
        "candidate": candidate,
        "samples": steps * BATCH,
        "case_bytes": given.cases * given.pixels**2,
        "collectives": collectives(programs),
        "programs": len(programs),  # at least two: drawing weights, and the epoch
        "bytes_a_device": bytes_a_device(programs),
    }

    def epoch() -> None:
        pool.step()

    served.serve(facts, epoch)


if __name__ == "__main__":
    main()
