"""Training steps of the PyTorch baseline: channels-last, data on the device, one fit at a time.

    python -m benchmarks.speed.torch_steps [--model cnn|resnet18] [--width 16] [--pixels 28] [--serve]

Prints milliseconds a step. With --serve it is a worker of steps.py, which calls it when its turn has come.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from benchmarks.shared import measure, served, workload
from benchmarks.shared.workload import Workload


def torch_steps(work: Workload, device: str) -> Callable[[], None]:
    """Runs the workload's steps of one fit when called.

    Args:
        work: the workload.
        device: "cpu" or "cuda".
    """
    import torch

    from benchmarks.speed.torch_nested_cv import Run, draw_trials

    torch.backends.cudnn.benchmark = True
    model = "cnn3" if work.model == "cnn" else "resnet18"
    bf16 = work.precision == "bfloat16"
    settings: Any = argparse.Namespace(device=device, model=model, width=work.width, bf16=bf16)
    images, labels = workload.images_and_labels(work.batch * work.steps, work.pixels)
    run = Run(settings, images[..., None], labels)
    network, optimizer = run.model(draw_trials(1, 0)[0], 0)
    batches = torch.arange(work.batch * work.steps, device=run.dev).split(work.batch)

    def steps() -> None:
        for batch in batches:
            run.step(network, optimizer, batch)
        if run.dev.type == "cuda":
            torch.cuda.synchronize()

    return steps


class TorchProcesses:
    """Processes of PyTorch that share a device or the cores; a call is one call of each, all at once.

    Not in our process: its memory, and the threads that it keeps, would be in each other's way with JAX's.

    Args:
        work: the workload.
        device: "cpu" or "cuda".
        count: number of processes.
    """

    def __init__(self, work: Workload, device: str, count: int):
        environment = dict(os.environ)
        if count > 1:  # else each would start a thread on every core
            environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // count))
        command = [*measure.script("speed.torch_steps"), "--serve", f"--device={device}", *work.flags]
        self._workers = [served.Served(command, environment) for _ in range(count)]
        for worker in self._workers:
            worker.ready()

    def __call__(self) -> None:
        """All work at once; returns when the last has ended."""
        for worker in self._workers:
            worker.begin()
        for worker in self._workers:
            worker.end()

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.close()


def main() -> None:
    """Times the steps, or serves them."""
    flags = measure.parser(__doc__)
    workload.add_flags(flags)
    flags.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--serve", action="store_true", help="work for steps.py, a call for each line read")
    given = flags.parse_args()
    work = workload.from_flags(given)
    steps = torch_steps(work, given.device)
    if given.serve:
        steps()
        served.serve({}, steps)
        return
    seconds = measure.in_turn({"pytorch": steps}, given.rounds)["pytorch"]
    print(f"PyTorch, {work.words}: {1e3 * measure.median(seconds) / work.steps:.2f} ms a step")


if __name__ == "__main__":
    main()
