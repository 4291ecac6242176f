"""Which process of a launch this is: from flags, else from what the cluster says in the environment."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nachos_jax.core.errors import UsageError

TPU_PORT = 8482
"""8476 is that of the TPU runtime itself."""


@dataclass(frozen=True)
class Given:
    """What the flags say; "" or None where they say nothing.

    Attributes:
        coordinator: "host:port" of process 0.
        processes: number of processes.
        process: number of this one, from 0.
        devices: accelerators of this host that this process may use.
    """

    coordinator: str = ""
    processes: int | None = None
    process: int | None = None
    devices: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Place:
    """Where a process stands in its launch.

    Attributes:
        process: its number; process 0 leads.
        processes: how many there are.
        coordinator: "host:port" at which process 0 can be reached; "" when it is alone.
        devices: accelerators to use, or None for all that are visible.
        source: who said so, for people.
    """

    process: int = 0
    processes: int = 1
    coordinator: str = ""
    devices: tuple[int, ...] | None = None
    source: str = "alone"


@dataclass(frozen=True)
class _Cluster:
    """What an environment says.

    Attributes:
        source: the name of the environment, for people.
        coordinator: "host:port" of process 0, or "" when it does not tell.
        processes: number of processes.
        process: number of this one.
        number_here: number of this one among those of its host, if it tells.
        count_here: processes on this host, if it tells.
    """

    source: str
    coordinator: str
    processes: int
    process: int
    number_here: int | None = None
    count_here: int | None = None


def find(given: Given, environ: Mapping[str, str]) -> Place:
    """The place of this process.

    Flags win over the variables JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, and these over
    SLURM (inside `srun`), Open MPI, an Indexed Job of Kubernetes and TPU workers. JAX detects fewer of them,
    and gives a process that has a whole host under SLURM only one of its GPUs
    (github.com/jax-ml/jax/issues/16788).

    Args:
        given: the flags.
        environ: environment variables.

    Returns:
        The place; with one process it is alone.

    Raises:
        UsageError: something is missing, or does not fit together.
    """
    found = _cluster(environ)
    coordinator = given.coordinator or environ.get("JAX_COORDINATOR_ADDRESS", "")
    of_cluster = (found.processes, found.process) if found else (None, None)
    processes = _first(given.processes, _number(environ, "JAX_NUM_PROCESSES"), of_cluster[0])
    process = _first(given.process, _number(environ, "JAX_PROCESS_ID"), of_cluster[1])
    if processes is None and process is None and not coordinator:
        return Place(devices=given.devices)
    if processes is None or process is None:
        missing = "--num_processes" if processes is None else "--process_id"
        raise UsageError(
            f"{missing} is missing: a launch of several processes needs --coordinator_address=HOST:PORT, "
            "--num_processes=N and --process_id=K, unless the cluster tells them."
        )
    if processes < 1 or not 0 <= process < processes:
        raise UsageError(
            f"--process_id={process} of --num_processes={processes}: processes are numbered from 0 to one "
            "less than their number."
        )
    devices = given.devices if given.devices is not None else _devices(found, environ)
    source = found.source if found else "flags"
    if processes == 1:
        return Place(devices=devices, source=source)
    coordinator = coordinator or (found.coordinator if found else "")
    if not re.fullmatch(r"[^\s]+:[0-9]{1,5}", coordinator):
        raise UsageError(
            f"--coordinator_address={coordinator}: must be HOST:PORT of process 0, like node001:1234; all "
            "processes must be given the same."
        )
    return Place(process, processes, coordinator, devices, source)


def lost_touch(place: Place) -> str:
    """What to tell people when process 0 is not heard of any more."""
    return (
        f"process {place.process} lost touch with process 0 ({place.coordinator}): that one has ended, the "
        "network is cut, or this process was held up for too long. What is finished is on disk; the same "
        "command goes on where this launch ended, with any number of processes."
    )


def _cluster(environ: Mapping[str, str]) -> _Cluster | None:
    """What the first environment that is recognised says."""
    for read in (_slurm, _open_mpi, _kubernetes, _tpu):
        found = read(environ)
        if found is not None:
            return found
    return None


def _slurm(environ: Mapping[str, str]) -> _Cluster | None:
    """A step of srun; in the batch script itself, outside any step, a process is alone."""
    nodes, job = environ.get("SLURM_STEP_NODELIST"), _number(environ, "SLURM_JOB_ID")
    process = _number(environ, "SLURM_PROCID")
    count = _first(_number(environ, "SLURM_STEP_NUM_TASKS"), _number(environ, "SLURM_NTASKS"))
    if not nodes or job is None or process is None or count is None:
        return None
    port = 65536 - 4096 + job % 4096  # the same on all nodes, and another for each job
    tasks = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_TASKS_PER_NODE", "")
    node = _number(environ, "SLURM_NODEID") or 0
    return _Cluster(
        "SLURM",
        f"{first_host(nodes)}:{port}",
        count,
        process,
        _number(environ, "SLURM_LOCALID"),
        _on_node(tasks, node),
    )


@functools.cache
def first_host(nodes: str) -> str:
    """The first host of a SLURM list: "rack[0-1]_blade[04,7],b2" -> "rack0_blade04".

    SLURM itself is asked first. Without its `scontrol`, every bracket begins with its first number.
    """
    words = ["scontrol", "show", "hostnames", nodes]
    try:
        told = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        told = []
    if told:
        return told[0]
    (head,) = re.findall(r"^(?:[^\[,]|\[[^\]]*\])*", nodes)
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", head)


def _on_node(tasks: str, node: int) -> int | None:
    """Tasks on a node by SLURM's list: "2(x3),1" is 2, 2, 2, 1."""
    counts: list[int] = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", tasks):
        counts += [int(count)] * int(times or 1)
    return counts[node] if node < len(counts) else None


def _open_mpi(environ: Mapping[str, str]) -> _Cluster | None:
    size, rank = _number(environ, "OMPI_COMM_WORLD_SIZE"), _number(environ, "OMPI_COMM_WORLD_RANK")
    if size is None or rank is None:
        return None
    # Version 4 names the host that started the job; later ones do not, and the flag is needed.
    uri = re.match(r"(\d+)\.\d+;tcp://([^,:;]+)", environ.get("OMPI_MCA_orte_hnp_uri", ""))
    coordinator = f"{uri[2]}:{65536 - 4096 + int(uri[1]) % 4096}" if uri else ""
    return _Cluster(
        "Open MPI",
        coordinator,
        size,
        rank,
        _number(environ, "OMPI_COMM_WORLD_LOCAL_RANK"),
        _number(environ, "OMPI_COMM_WORLD_LOCAL_SIZE"),
    )


def _kubernetes(environ: Mapping[str, str]) -> _Cluster | None:
    """An Indexed Job, whose file sets JAX_NUM_PROCESSES and JAX_COORDINATOR_ADDRESS (launch/k8s_job.yaml)."""
    process, count = _number(environ, "JOB_COMPLETION_INDEX"), _number(environ, "JAX_NUM_PROCESSES")
    return None if process is None or count is None else _Cluster("Kubernetes", "", count, process)


def _tpu(environ: Mapping[str, str]) -> _Cluster | None:
    hosts, process = environ.get("TPU_WORKER_HOSTNAMES", ""), _number(environ, "TPU_WORKER_ID")
    names = [name for name in hosts.split(",") if name]
    if process is None or len(names) < 2:
        return None
    return _Cluster("TPU workers", f"{names[0]}:{TPU_PORT}", len(names), process)


def _devices(found: _Cluster | None, environ: Mapping[str, str]) -> tuple[int, ...] | None:
    """The share of this host's GPUs when processes share it; None = all that are visible."""
    sharing = (found and found.count_here) or 1
    if found is None or found.number_here is None or sharing == 1:
        return None
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if not visible:
        count = _gpus() if visible is None and _on_gpus(environ) else 0
        each = count // sharing if count % sharing == 0 else 0
        return tuple(range(found.number_here * each, (found.number_here + 1) * each)) or (found.number_here,)
    count = len(visible.split(","))
    if count == 1 or count == _of_a_task(found, environ):  # the cluster has shared them out already
        return None
    if count % sharing:
        raise UsageError(
            f"{sharing} processes share a host with {count} visible GPUs, which cannot be divided evenly: "
            "give --local_device_ids=0,1,... to each, or start another number of processes."
        )
    each = count // sharing
    return tuple(range(found.number_here * each, (found.number_here + 1) * each))


def _of_a_task(found: _Cluster, environ: Mapping[str, str]) -> int | None:
    """GPUs that SLURM was asked to give to each task, as in --gpus-per-task=a100:2; None of others."""
    asked = environ.get("SLURM_GPUS_PER_TASK", "").rpartition(":")[2] if found.source == "SLURM" else ""
    return int(asked) if asked.isdecimal() else None


def _gpus() -> int:
    """NVIDIA's devices that this process may open, before anything asks their driver."""
    return sum(_opens(path) for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name))


def _opens(path: Path) -> bool:
    """Whether it can be opened: a job that may use some devices only sees the others all the same."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError:
        return False
    return True


def _on_gpus(environ: Mapping[str, str]) -> bool:
    named = environ.get("JAX_PLATFORMS", "")
    return not named or bool({"cuda", "gpu"} & set(named.split(",")))


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]+", text) else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
