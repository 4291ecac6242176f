"""What a run that an earlier version has begun keeps of the defaults of its time."""

from __future__ import annotations

from dataclasses import replace

from nachos_jax.config.run_config import RunConfig
from nachos_jax.records.store import RunDirectory

POLICIES = ("race", "race-short")
"""Of nested runs by default, before that of this version, the oldest first."""


def settled(config: RunConfig, store: RunDirectory) -> RunConfig:
    """The config with the policy that the run directory was begun with, where the config leaves it open."""
    known = store.run()
    if known is None or not config.policy_left_open:
        return config
    policy = known["config"]["search"].get("policy")
    if policy not in POLICIES:
        return config
    raw = {**config.raw, "search": {**config.raw["search"], "policy": policy}}
    return replace(config, search=replace(config.search, policy=policy), raw=raw)


def before_losses_had_one_unit(store: RunDirectory) -> bool:
    """Whether policies are told training losses as they are recorded.

    So they are of what an earlier version has begun, of tasks whose losses have one unit, and in a replay,
    which has brought them to one when it read them.
    """
    known = store.run()
    return known is None or "losses" not in known


RUNGS = ("halving", "hyperband", "race-halving", "top")
"""Policies that give trials up by short fits, whose runs say in run.json that all of them can come back."""


def before_all_came_back(store: RunDirectory) -> bool:
    """Whether the run was begun when, all others having failed, trials of the last cohort alone went on."""
    known = store.run()
    return known is not None and "back" not in known


def before_draws_kept_to_their_fold(store: RunDirectory) -> bool:
    """Whether the run was begun when subjects of an inner fold were drawn within groups of all targets."""
    known = store.run()
    return known is not None and "draws" not in known


def before_fits_were_asked(store: RunDirectory) -> bool:
    """Whether the run was begun when every fit was asked about all folds that it leaves out, or soon after.

    The field looked for came some hours after fits were asked about single folds.
    """
    known = store.run()
    return known is not None and "subset" not in known["config"]["data"]
