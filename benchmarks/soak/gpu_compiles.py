"""Does XLA compile our epochs for a GPU that is not there?

    python -m pip download --no-deps --dest DIR jax-cuda12-pjrt==0.10.2
    python -m zipfile -e DIR/jax_cuda12_pjrt-*.whl DIR
    python -m benchmarks.soak.gpu_compiles --library DIR/jax_plugins/xla_cuda12/xla_cuda_plugin.so

XLA's GPU compiler has ended processes with a failed check, in programs that were right elsewhere. Here it
compiles for an H100 by its description alone, each epoch in a process of its own: what is not found out is
whether a program runs, and what the card would have chosen by timing its kernels. Ends with exit code 1 when
an epoch was not compiled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.shared import measure

NETWORKS = ("cnn", "resnet18", "unet_2d", "unet_3d")
CANDIDATES = "custom/vmap,custom/map,lax/vmap,lax/map,im2col/vmap,split/map"
LANES = 4

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84929347584
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  cuda_compute_capability { major: 9 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 12 minor: 8 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""XLA's description of the card."""


class _CompiledError(Exception):
    """Ends the making of a pool of which only the compiled epoch is wanted."""


def absent_mesh(library: str) -> Any:
    """A mesh of one H100 by its description, along the lane axis."""
    import jax
    import numpy as np
    from jax._src import xla_bridge
    from jax.experimental import topologies

    from nachos_jax.runtime import mesh as meshes

    known = xla_bridge.canonicalize_platform

    def canonical(platform: str) -> str:  # "gpu" has no name of its own where there is none
        try:
            return known(platform)
        except RuntimeError:
            return "cuda"

    xla_bridge.canonicalize_platform = canonical
    xla_bridge.register_plugin("cuda", library_path=library, options={})
    card = topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1")
    return jax.sharding.Mesh(np.array(card.devices), (meshes.LANE,))


def compile_one(library: str, network: str, candidate: str, precision: str) -> None:
    """Builds the pool of a workload here, and compiles its epoch for the card that is not there."""
    import jax

    from benchmarks.shared import workload
    from benchmarks.speed import unet_work
    from nachos_jax.engine.program import TraceCount
    from nachos_jax.engine.resident import Resident
    from nachos_jax.runtime import mesh as meshes

    away = absent_mesh(library)

    def compile_away(self: Any, spec: Any, told: Any, lanes: int, packing: str) -> Any:
        del lanes
        everywhere = meshes.everywhere(away)
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere),
            self._shared(spec),
        )
        self._mesh, self._shared = away, lambda _: shapes
        self.compile_epoch(spec, told, LANES, packing, TraceCount())
        raise _CompiledError

    Resident.compile = compile_away
    try:
        if network.startswith("unet"):
            axes = int(network[-2])
            sizes = unet_work.SIZES[axes]
            unet_work.lane_steps(
                unet_work.UNetWork(axes, steps=2, precision=precision, **sizes), 1, candidate
            )
        else:
            work = workload.Workload(network, 16, 28, 64, 2, precision)
            workload.endless_pool(work, 1, candidate, work.batch * work.steps)
    except _CompiledError:
        return


def version_of(library: str) -> str:
    """Of the compiler, from the wheel's folder; "unknown" elsewhere."""
    folders = sorted(Path(library).parents[2].glob("jax_cuda*_pjrt-*.dist-info"))
    return folders[-1].stem.rpartition("-")[2] if folders else "unknown"


def tried(library: str, network: str, candidate: str, precision: str, limit: float) -> tuple[str, str]:
    """What became of an epoch in a process of its own, and its seconds."""
    command = [*measure.script("soak.gpu_compiles"), "--library", library]
    command += ["--one", network, candidate, precision]
    # A card that is there is not touched.
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command, env=environment, timeout=limit, check=False, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return f"not done after {limit:.0f} s", "-"
    seconds = f"{time.perf_counter() - began:.0f} s"
    if not done.returncode:
        return "compiled", seconds
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    told = next((line for line in lines if "Check failed" in line), lines[-1] if lines else "no message")
    return told.rpartition("] ")[2][:120], seconds


def main(words: list[str] | None = None) -> None:
    """Tries every network, candidate and precision, and stores benchmarks/results/gpu_compiles.json."""
    parser = measure.parser(__doc__)
    parser.add_argument("--library", required=True, help="xla_cuda_plugin.so of the wheel jax-cuda12-pjrt")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--candidates", default=CANDIDATES, help="LOWERING/PACKING")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--limit", type=float, default=600, help="seconds for an epoch")
    parser.add_argument("--one", nargs=3, help="network, candidate and precision to compile in this process")
    given = parser.parse_args(words)
    library = str(Path(given.library).resolve())
    if not os.path.isfile(library):
        parser.error(f"--library={given.library}: there is no such file; `--help` says where it comes from.")
    if unknown := [name for name in given.networks.split(",") if name not in NETWORKS]:
        parser.error(f"--networks: there is no {', '.join(unknown)}; there are {', '.join(NETWORKS)}.")
    if given.one:
        compile_one(library, *given.one)
        return
    rows = []
    for network in given.networks.split(","):
        for precision in given.precisions.split(","):
            for candidate in given.candidates.split(","):
                outcome, seconds = tried(library, network, candidate, precision, given.limit)
                rows.append((network, precision, candidate, outcome, seconds))
                print(*rows[-1], flush=True)
    table = measure.Table(("network", "precision", "candidate", "epoch", "time"), tuple(rows))
    title = "Epochs compiled for an H100 that is not there"
    notes = [f"By the compiler of jax-cuda12-pjrt {version_of(library)}."]
    measure.store(given.out, "gpu_compiles", title, table, {"notes": notes}, timed=False)
    if any(outcome != "compiled" for *_, outcome, _ in rows):
        sys.exit("Some epochs were not compiled.")


if __name__ == "__main__":
    main()
