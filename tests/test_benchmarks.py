"""The benchmarks without their timings: flags, counts of work, tables, and how turns and seconds are kept."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nachos_jax.core.hparams import active
from nachos_jax.models import registry
from tests import tiny

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"
FILES = [p for p in sorted(FOLDER.rglob("*.py")) if p.name != "__init__.py"]
SCRIPTS = [
    ".".join(p.relative_to(ROOT).with_suffix("").parts) for p in FILES if "__main__" in p.read_text("utf-8")
]
OURS = [name for name in SCRIPTS if not name.endswith("torch_nested_cv")]  # that one needs PyTorch to start
RUN_AS_MAIN = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as end:
    print("loaded:", *sorted({"jax", "torch"} & set(sys.modules)))
    sys.exit(end.code)
"""
WORKER = """
from benchmarks.shared import served
calls = iter(range(2))
served.serve({"who": "worker"}, lambda: {"call": next(calls)})
"""


def module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.{name}")


@cache
def help_text(script: str) -> str:
    command = [sys.executable, "-c", RUN_AS_MAIN, script, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def flags_given() -> list[tuple[str, str]]:
    """(script, flag) in the command lines of the README, the Makefile and gpu.sh."""
    lines = []
    for path in (FOLDER / "README.md", ROOT / "Makefile", FOLDER / "gpu.sh"):
        lines += path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        match = re.search(r"(?:python -m benchmarks\.|^\s*part )([\w.]+)([^`]*)", line)
        if match:
            words = shlex.split(match[2], comments=True)
            found += [
                (f"benchmarks.{match[1]}", word.split("=")[0]) for word in words if word.startswith("--")
            ]
    return found


# --- flags -----------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("script", OURS)
def test_help_comes_quickly_and_with_an_example(script: str) -> None:
    text = help_text(script)
    assert f"python -m {script}" in text
    assert text.splitlines()[-1] == "loaded:", "JAX and PyTorch are imported after the flags are read"


@pytest.mark.thorough
def test_flags_in_commands_exist() -> None:
    given = flags_given()
    assert {script for script, _ in given} >= {
        f"benchmarks.{name}" for name in ("speed.steps", "speed.stream", "scale.scaling")
    }
    assert [(s, flag) for s, flag in given if not re.search(rf"{flag}\b", help_text(s))] == []


@pytest.mark.thorough
def test_flags_in_the_text_exist() -> None:
    text = re.sub(r"```.*?```", "", (FOLDER / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    known = "".join(help_text(script) for script in OURS)
    named = re.findall(r"`(--[a-z-]+)", text)
    assert named
    assert [flag for flag in named if not re.search(rf"{flag}\b", known)] == []


def test_files_in_the_text_exist() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    prose = text.split("<!-- results -->")[0]
    named = set(re.findall(r"`((?:\w+/)?\w+\.(?:py|sh))`", prose))
    assert named == {p.relative_to(FOLDER).as_posix() for p in (*FILES, *FOLDER.glob("*.sh"))}


@pytest.mark.thorough
def test_cases_of_the_suite_have_flags_that_exist() -> None:
    for name, flags in module("speed.suite").CASES.items():
        for flag in flags:
            assert flag.split("=")[0] in help_text("benchmarks.speed.steps"), name


# --- counts ----------------------------------------------------------------------------------------------


def test_flops_of_the_cnn_are_those_counted_by_hand() -> None:
    counts = module("speed.counts")
    convolutions = [2 * 9 * 1 * 16 * 28**2, 2 * 9 * 16 * 32 * 14**2, 2 * 9 * 32 * 64 * 7**2]
    forward = sum(convolutions) + 2 * 64 * 2
    found = counts.step_flops(counts.layers("cnn", 16, 28), batch=64)
    assert found == 64 * (3 * forward - convolutions[0]) == 722_583_552


def test_bytes_of_a_small_cnn_are_those_counted_by_hand() -> None:
    counts = module("speed.counts")
    activations = 4 * 4 * 1 + 2 * 2 * 2 + 1 * 1 * 4 + 2
    parameters = (9 + 2) + (9 * 2 + 4) + (9 * 2 * 4 + 8) + (4 * 2 + 2)
    found = counts.step_bytes(counts.layers("cnn", 1, 4), batch=1, pixels=4, itemsize=4)
    assert found == 4 * 4 * activations + 5 * 4 * parameters + 16


@pytest.mark.parametrize(("model", "architecture"), [("cnn", "cnn"), ("resnet18", "resnet")])
def test_the_layers_counted_are_those_of_the_network(model: str, architecture: str) -> None:
    counts, run = module("speed.counts"), tiny.run_config(model__cnn__stages=3)
    hparams = active({**run.defaults, "architecture": architecture, f"{architecture}.width": 4}, run.table)
    network = nnx.eval_shape(lambda: registry.build(hparams, (28, 28, 1), 2, jnp.float32, "lax", nnx.Rngs(0)))
    arrays = jax.tree.leaves(nnx.state(network, nnx.Param))
    found = counts.layers(model, 4, 28)
    assert counts.parameters(found) == sum(int(np.prod(array.shape)) for array in arrays)
    assert len(found) == sum(len(array.shape) in (2, 4) for array in arrays)


def test_collectives_are_found() -> None:
    point, sums = module("scale.scaling_point"), jnp.arange(8.0)
    mesh = jax.make_mesh((8,), ("lane",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("lane")

    def compiled(function: Any) -> Any:
        return (
            jax.jit(jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec)).lower(sums).compile()
        )

    alone, together = compiled(lambda x: x + 1.0), compiled(lambda x: x + jax.lax.psum(x, "lane"))
    assert point.collectives([alone]) == 0
    assert point.collectives([alone, together]) == 1


# --- turns and seconds -----------------------------------------------------------------------------------


def test_candidates_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = module("shared.measure").in_turn(calls, rounds=2)
    assert "".join(order) == "ababab"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_a_turn_may_begin_with_a_call_that_does_not_count() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = module("shared.measure").in_turn(calls, rounds=2, warm=True)
    assert "".join(order) == "aabb" * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_a_spent_budget_ends_the_rounds_but_the_first_that_counts() -> None:
    seconds = module("shared.measure").in_turn({"a": lambda: None}, rounds=5, budget=0.0)
    assert len(seconds["a"]) == 1


def test_a_worker_works_when_it_is_its_turn(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    worker = module("shared.served").Served(
        [sys.executable, tmp_path / "worker.py"], {**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert worker.ready() == {"who": "worker"}
    worker()
    worker()
    assert worker.answers == [{"call": 0}, {"call": 1}]
    assert worker.close() > 1.0


def test_a_worker_that_ends_early_is_named(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text("")
    with pytest.raises(RuntimeError, match=r"worker\.py"):
        module("shared.served").Served([sys.executable, tmp_path / "worker.py"]).ready()


def test_inner_time_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    overhead = module("speed.overhead")
    timers, ticks = overhead.Timers(), itertools.count()
    monkeypatch.setattr(overhead, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    inner = timers.timed(lambda: None, "inner")
    timers.timed(lambda: (inner(), inner()), "outer")()
    assert timers.seconds == {"inner": 2.0, "outer": 3.0}
    seconds = {**timers.seconds, overhead.TRAINING: 1.0, overhead.BESIDE: 4.0, overhead.PROBING: 5.0}
    parts = overhead.split(wall=9.0, command=7.0, seconds=seconds, share=0.25)
    trained = {overhead.TRAINING: 0.75, overhead.PREDICTION: 0.25}
    assert parts == {"inner": 2.0, "outer": 3.0, **trained, overhead.OTHER: 1.0, overhead.STARTUP: 2.0}


def test_wall_time_is_reuse_times_speed(tmp_path: Path) -> None:
    protocol = module("speed.protocol")
    found = protocol.factors({"seconds": 10.0, "sample_epochs": 100}, {"seconds": 30.0, "sample_epochs": 200})
    assert found == {"wall": 3.0, "reuse": 2.0, "speed": 1.5}
    fits = tmp_path / "records/evaluate/fits"
    fits.mkdir(parents=True)
    (tmp_path / "folds.csv").write_text("case,fold\na,0\nb,1\nc,1\nd,2\n")
    (fits / "one.json").write_text(json.dumps({"epochs": 3, "left_out": [0, 1]}))
    (fits / "two.json").write_text(json.dumps({"epochs": 2, "left_out": [2]}))
    assert protocol.sample_epochs(tmp_path) == 3 * 1 + 2 * 3


# --- results ---------------------------------------------------------------------------------------------

RESULT = {
    "title": "A made-up result",
    "command": "python -m benchmarks.speed.steps --width 4",
    "date": "2025-01-31T10:00:00+00:00",
    "machine": {
        "cpu": "a processor",
        "cores": 2,
        "memory_gib": 7.6,
        "load_before": 0.04,
        "devices": ["cpu cpu", "cpu cpu"],
        "versions": {"jax": "0.10.2", "torch": "2.9"},
    },
    "table": {"columns": ["candidate", "time"], "rows": [["custom/map", "9.1 ms"], ["a|b", "8 ms"]]},
    "notes": ["A note."],
}


def test_a_result_becomes_a_table() -> None:
    text = module("render").rendered(
        "above\n<!-- results -->\nold\n<!-- /results -->\nbelow", {"x.json": RESULT}
    )
    assert text.startswith("above\n<!-- results -->")
    assert text.endswith("<!-- /results -->\nbelow")
    assert "old" not in text
    table = "| candidate | time |\n| --- | ---: |\n| custom/map | 9.1 ms |\n| a\\|b | 8 ms |\n\nA note."
    assert table in text
    for shown in (
        "speed.steps --width 4",
        "a processor, 2 cores, 8 GiB",
        "2 x cpu cpu",
        "jax 0.10.2",
        "2025-01-31",
    ):
        assert shown in text


def test_rendering_twice_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results/made_up.json").write_text(json.dumps(RESULT))
    readme = tmp_path / "README.md"
    readme.write_text((FOLDER / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.render"]
    command += [f"--results={tmp_path / 'results'}", f"--readme={readme}"]
    texts = []
    for _ in range(2):
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        texts.append(readme.read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert "A made-up result" in texts[0]


def test_a_text_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="results"):
        module("render").rendered("no marks", {"x.json": RESULT})


def test_a_stored_result_can_be_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure, folder = module("shared.measure"), str(tmp_path)
    monkeypatch.setattr(
        sys,
        "argv",
        [f"{folder}/benchmarks/speed/steps.py", f"--data={folder}/x.npz", f"{folder}/y", "--width=4"],
    )
    table = measure.Table(("a", "b"), (("1", "2"),))
    monkeypatch.setattr(measure, "LOAD", 0.1)
    path = measure.store(tmp_path / "out", "name", "A title", table, {"ms": 1.0})
    stored = json.loads(path.read_text())
    assert stored["title"] == "A title"
    assert stored["command"] == "python -m benchmarks.speed.steps --data=x.npz y --width=4"
    assert "| 1 | 2 |" in module("render").section("name.json", stored)


def test_timings_of_a_busy_machine_are_stored_only_on_request_and_then_say_so(tmp_path, monkeypatch, capsys):
    measure, table = module("shared.measure"), module("shared.measure").Table(("a",), (("1",),))
    monkeypatch.setattr(measure, "LOAD", 99.0)
    assert measure.store(tmp_path, "timed", "A title", table, {}) is None
    assert "not stored" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert "busy" not in measure.store(tmp_path, "counted", "A title", table, {}, timed=False).read_text()
    monkeypatch.setattr(measure, "LOADED", True)
    assert (
        "(the machine was busy before: load 99.0)"
        in measure.store(tmp_path, "timed", "A title", table, {}).read_text()
    )


@pytest.mark.parametrize("path", sorted((FOLDER / "results").glob("*.json")), ids=lambda p: p.name)
def test_results_name_command_machine_and_versions(path: Path) -> None:
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["command"].split()[:2] == ["python", "-m"]
    assert {"cpu", "cores", "devices", "load_before"} <= stored["machine"].keys()
    assert {"jax", "numpy"} <= stored["machine"]["versions"].keys()
