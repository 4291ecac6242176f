"""The configs of pods: what their docstrings say is what the plan says."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np

from nachos_jax.cli import plan_text
from nachos_jax.data.store import Dense
from nachos_jax.engine import memory
from nachos_jax.protocol.plan import memory as plan_memory
from nachos_jax.protocol.plan import plan
from nachos_jax.protocol.run.configure import checked
from tests import tiny
from tests.protocol.plan_cases import facts_of, folds_of
from tests.tiers import mostly_thorough


@mostly_thorough(
    ("name", "devices", "lanes", "state"),
    [
        ("pod_h100x8", 8, 32, "85.3 MiB"),
        ("pod_a100_4x4", 16, 16, "85.3 MiB"),
        ("pod_tpu_v5e16", 16, 16, "21.4 MiB"),
    ],
    kept=("pod_h100x8",),
)
def test_configs_of_pods_say_what_the_plan_says(name, devices, lanes, state):
    file = importlib.import_module(f"nachos_jax.configs.{name}")
    run, folds = checked(file.get_config()), folds_of(10)
    assert run.engine.lanes == lanes
    planned = plan.make(run, facts_of(run, folds), [devices], lanes, lanes)
    counts, buckets = planned.counts, planned.buckets
    cohort = tiny.cohort()
    ten = dataclasses.replace(cohort.targets, names=tuple("0123456789"))
    colour = dataclasses.replace(cohort, store=Dense(np.zeros((tiny.CASES, 8, 8, 3), np.uint8)), targets=ten)
    network = plan_memory.network(run, buckets.default, colour)
    if run.defaults["resnet.width"] == 64:
        assert network.parameters == 11_173_962, "ResNet-18 with a 3 x 3 stem and ten classes"
    said = " ".join(str(file.__doc__).split())
    assert plan_text.size(network.state) == state
    assert state in said
    assert (buckets.possible, devices * lanes) == (1, 256)
    assert run.search.proposals * counts.inner == 540
    assert "540 fits" in said
    assert (counts.most + counts.refits, counts.without_reuse + counts.refits) == (3790, 4330)
    assert planned.commands[0].estimates[0].schedule.efficiency > 0.9
    few = dataclasses.replace(run, search=dataclasses.replace(run.search, proposals=2))
    assert few.search.proposals * counts.inner < devices * lanes
    assert memory.lanes_to_try("gpu", run.engine.lanes) == lanes
