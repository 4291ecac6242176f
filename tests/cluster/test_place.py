"""Who and how many: from flags, variables and clusters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.cluster import place
from nachos_jax.cluster.place import Given, Place, find, first_host
from nachos_jax.core.errors import UsageError

SLURM = {
    "SLURM_JOB_ID": "70001",
    "SLURM_STEP_NODELIST": "gpu[003-006,9],b1",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
    "SLURM_STEP_TASKS_PER_NODE": "2(x4)",
}
PORT = 65536 - 4096 + 70001 % 4096
MPI = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch):
    """Whatever this machine has."""
    monkeypatch.setattr(place, "_gpus", lambda: 0)


def test_without_anything_a_process_is_alone():
    assert find(Given(), {}) == Place()
    assert find(Given(devices=(1, 2)), {}) == Place(devices=(1, 2))


def test_flags_say_all():
    place = find(Given("node1:1234", 4, 2, (0,)), SLURM)
    assert place == Place(2, 4, "node1:1234", (0,), "SLURM")


def test_variables_fill_what_flags_leave_out():
    environ = {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "3", "JAX_PROCESS_ID": "1"}
    assert find(Given(), environ) == Place(1, 3, "a:1", None, "flags")
    assert find(Given(process=2), environ).process == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Given(coordinator="a:1"), "--num_processes is missing"),
        (Given(processes=2), "--process_id is missing"),
        (Given("a:1", 2, 2), "numbered from 0"),
        (Given("a:1", 0, 0), "numbered from 0"),
        (Given("a", 2, 1), "must be HOST:PORT"),
        (Given("", 2, 1), "must be HOST:PORT"),
    ],
)
def test_what_does_not_fit_together_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        find(given, {})


def test_one_process_needs_no_address():
    assert find(Given(processes=1, process=0), {}).processes == 1


def test_slurm_tells_everything_inside_srun_and_nothing_outside():
    visible = {**SLURM, "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    assert find(Given(), visible) == Place(5, 8, f"gpu003:{PORT}", (2, 3), "SLURM")
    batch = {key: value for key, value in SLURM.items() if "STEP" not in key}
    assert find(Given(), batch) == Place()


@pytest.mark.parametrize(
    ("tasks", "visible", "devices"),
    [
        ("1(x4)", "0,1,2,3", None),  # a whole host: all of its GPUs (jax alone would take one)
        ("2(x4)", "0,1,2,3", (2, 3)),
        ("2(x4)", "7", None),  # SLURM has bound one to each task, whatever its number
        ("2(x4)", "", (1,)),
        ("4,4,2", "0,1,2,3", (2, 3)),
    ],
)
def test_processes_share_the_gpus_of_their_host(tasks, visible, devices):
    environ = {**SLURM, "SLURM_STEP_TASKS_PER_NODE": tasks, "CUDA_VISIBLE_DEVICES": visible}
    assert find(Given(), environ).devices == devices


@pytest.mark.parametrize(
    ("tasks", "of_a_task", "visible", "devices"),
    [
        ("2(x4)", "2", "0,1", None),
        ("4(x2)", "2", "4,5", None),  # four tasks do not share two
        ("2(x4)", "a100:3", "0,1,2", None),
        ("2(x4)", "2", "0,1,2,3", (2, 3)),  # a SLURM that does not bind them: all of the host's are seen
        ("2(x4)", "", "0,1", (1,)),
    ],
)
def test_gpus_that_slurm_has_given_to_each_task_are_all_its_own(tasks, of_a_task, visible, devices):
    told = {"SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_GPUS_PER_TASK": of_a_task}
    assert find(Given(), {**SLURM, **told, "CUDA_VISIBLE_DEVICES": visible}).devices == devices


@pytest.mark.parametrize(
    ("there", "devices"), [(0, (1,)), (1, (1,)), (2, (1,)), (3, (1,)), (8, (4, 5, 6, 7))]
)
def test_gpus_that_no_variable_tells_are_counted(monkeypatch, there, devices):
    monkeypatch.setattr(place, "_gpus", lambda: there)
    assert find(Given(), SLURM).devices == devices
    assert find(Given(), {**SLURM, "JAX_PLATFORMS": "cpu"}).devices == (1,)


def test_gpus_that_a_job_may_not_open_are_not_counted(monkeypatch, tmp_path):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    (tmp_path / "nvidia2").mkdir()  # opened for writing by nobody, not even by root
    monkeypatch.undo()
    monkeypatch.setattr(place, "Path", lambda _: tmp_path)
    assert place._gpus() == 2


def test_gpus_that_cannot_be_shared_out_evenly_are_told():
    with pytest.raises(UsageError, match="2 processes share a host with 3 visible GPUs"):
        find(Given(), {**SLURM, "CUDA_VISIBLE_DEVICES": "0,1,2"})


def test_open_mpi_names_its_head_in_version_4_and_needs_the_flag_later():
    with pytest.raises(UsageError, match="must be HOST:PORT"):
        find(Given(), MPI)
    assert find(Given("h:9"), MPI) == Place(3, 4, "h:9", (1,), "Open MPI")
    uri = {**MPI, "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911"}
    assert find(Given(), uri).coordinator == f"10.96.0.1:{65536 - 4096 + 1531576320 % 4096}"


def test_an_indexed_job_and_tpu_workers_are_known():
    job = {"JOB_COMPLETION_INDEX": "2", "JAX_NUM_PROCESSES": "3", "JAX_COORDINATOR_ADDRESS": "job-0.net:1"}
    assert find(Given(), job) == Place(2, 3, "job-0.net:1", None, "Kubernetes")
    tpu = {"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "t0,t1"}
    assert find(Given(), tpu) == Place(1, 2, "t0:8482", None, "TPU workers")
    assert find(Given(), {"TPU_WORKER_ID": "0", "TPU_WORKER_HOSTNAMES": "localhost"}) == Place()


@given(st.lists(st.integers(0, 999), min_size=1, max_size=4), st.sampled_from(["node", "b-", "h"]))
def test_the_first_host_of_a_list(numbers, name):
    inside = ",".join(f"{number:03d}" for number in numbers)
    assert first_host(f"{name}[{inside}],other") == f"{name}{numbers[0]:03d}"
    assert first_host(f"{name}[{numbers[0]:03d}-{numbers[0] + 1:03d}]") == f"{name}{numbers[0]:03d}"
    assert first_host(f"{name}{numbers[0]},x") == f"{name}{numbers[0]}"
    assert (
        first_host(f"{name}[{inside}]_blade[{inside},7],x") == f"{name}{numbers[0]:03d}_blade{numbers[0]:03d}"
    )


def test_slurm_itself_is_asked_first(tmp_path, monkeypatch):
    fake = tmp_path / "scontrol"
    fake.write_text('#!/bin/sh\n[ "$*" = "show hostnames odd[1-2]" ] && printf "one\\ntwo\\n"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    first_host.cache_clear()
    assert first_host("odd[1-2]") == "one"
    assert first_host("other[1-2]") == "other1"
