"""The cases of `steps.py --suite`: every lowering in every packing, where a step of it ends in minutes."""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.shared import measure

OURS = "auto,split/map,custom/map,im2col/map,shift/map,custom/blocks,im2col/blocks,custom/vmap,im2col/vmap"
EVERY = f"{OURS},shift/blocks,shift/vmap,lax/map,lax/blocks,lax/vmap"

CASES: dict[str, tuple[str, ...]] = {
    "cnn": (f"--candidates={EVERY}", "--lanes=2", "--steps=54", "--rounds=5"),
    "resnet18-w16-p28": (
        *("--model=resnet18", "--width=16", f"--candidates={OURS},lax/map"),
        *("--lanes=2", "--steps=8", "--rounds=5"),
    ),
    "resnet18-w16-p64": (
        *("--model=resnet18", "--width=16", "--pixels=64", f"--candidates={OURS}"),
        *("--lanes=2", "--steps=3", "--rounds=3"),
    ),
    "resnet18-w64-p28": (
        *("--model=resnet18", "--width=64", f"--candidates={OURS}"),
        *("--lanes=2", "--steps=3", "--rounds=3"),
    ),
    "resnet18-w64-p64": (
        *("--model=resnet18", "--width=64", "--pixels=64", "--candidates=auto,table,shift/map"),
        *("--lanes=1", "--steps=1", "--rounds=2"),
    ),
}
"""Flags of steps.py by name.

The first case has every lowering in every packing. ResNets leave out what is slow with the cnn, and the
larger ones lax, whose gradients in a loop would take all the time that there is: with 64 x 64 pixels the case
did not end in 20 minutes on two cores. The last has one lane a device, in which packings do not differ.
"""


def run(given: argparse.Namespace) -> None:
    """Runs the cases named by --suite, each in a fresh process, so that none disturbs the next.

    A case that outlasts --limit has no result, which is said; on a small machine that is to be expected.

    Raises:
        SystemExit: a name is not known, or a case failed; the others were run.
    """
    names = list(CASES) if given.suite == "all" else given.suite.split(",")
    unknown = [name for name in names if name not in CASES]
    if unknown:
        sys.exit(f"--suite: there is no case {', '.join(unknown)}; there are {', '.join(CASES)}.")
    shared = [f"--out={given.out}", f"--budget={given.budget}", f"--precision={given.precision}"]
    shared += [
        f"--processes={given.processes}",
        *[f"--{name}" for name in ("loaded", "wait") if getattr(given, name)],
    ]
    failed, late = [], []
    for name in names:
        print(f"--- {name}", flush=True)
        command = [*measure.script("speed.steps"), *CASES[name], *shared]
        try:
            done = subprocess.run(command, timeout=given.limit, check=False)
            if done.returncode:
                failed.append(f"{name} (exit code {done.returncode})")
        except subprocess.TimeoutExpired:
            late.append(name)
    if late:
        print(f"not done after {given.limit:.0f} s: {', '.join(late)}; --limit gives them longer")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
