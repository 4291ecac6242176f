"""A plan in words and tables, for people."""

from __future__ import annotations

from collections.abc import Sequence

from nachos_jax.cli import plan_words
from nachos_jax.cli.plan_words import PlanWords, count
from nachos_jax.data import census
from nachos_jax.data.table import Cohort
from nachos_jax.engine.buckets import OF_SOLVED, Bucket
from nachos_jax.engine.windows import divide
from nachos_jax.protocol.plan.fits import MOST_BUCKETS
from nachos_jax.protocol.plan.memory import Compiled
from nachos_jax.protocol.plan.plan import CommandPlan, Estimate, Plan
from nachos_jax.report.words.format import HEADERS, duration

SHOWN = 8
"""Buckets that are listed."""
ORDER = (
    "batches are drawn by the order of the cases: sorted otherwise, they keep their folds and train otherwise"
)


def describe(
    plan: Plan, cohort: Cohort, compiled: Sequence[Compiled] = (), warnings: Sequence[str] = ()
) -> str:
    """All sections of the plan.

    Args:
        plan: the plan.
        cohort: its cases.
        compiled: buckets that were compiled on this machine.
        warnings: of the run.
    """
    sections = {
        "Cases": [
            _cases(plan, cohort),
            *census.lines(cohort),
            *_planned(plan, cohort),
            ORDER,
            *(f"warning: {w}" for w in warnings),
        ],
        "Fits": _fits(plan),
        "Buckets": _buckets(plan),
        "Memory of a device": _memory(plan, compiled),
        "Time": _time(plan),
        "What is saved": [_early(plan), *_words(plan).saved(plan)],
    }
    return "\n".join(
        "\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in sections.items()
    )


def table(rows: Sequence[Sequence[str]], words: int = 0) -> list[str]:
    """Lines with aligned columns: the one of words to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def size(nbytes: float) -> str:
    """Bytes in the unit that leaves one to four digits before the point."""
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:,.0f} {unit}" if unit == "bytes" else f"{nbytes:,.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:,.1f} GiB"


def _words(plan: Plan) -> PlanWords:
    return plan_words.WORDS[plan.run.protocol]


def _named(cohort: Cohort) -> str:
    """What is predicted: "3 classes", "14 labels", "age"."""
    targets = cohort.targets
    return count(len(targets.names), targets.noun) if targets.has.shape[1] else targets.names[0]


def _cases(plan: Plan, cohort: Cohort) -> str:
    shape = " x ".join(map(str, cohort.shape))
    what = f"{shape} pixels" if len(cohort.shape) > 1 else f"vectors of {shape} features"
    views = cohort.preparation.get("views")
    what += f" in {views['count']} views" if views else ""
    what += f" and {count(cohort.joined, 'column')} beside them" if cohort.joined else ""
    return (
        f"{len(cohort.table):,} cases, {_named(cohort)}, {what} as {cohort.store.dtype}; "
        f"{_words(plan).folds(plan)}"
    )


def _planned(plan: Plan, cohort: Cohort) -> list[str]:
    """What was planned of trial 0, from what, and how many steps that gives."""
    run, folds = plan.run, plan.facts.folds
    if not run.planned:
        return []
    left_out = folds.numbers()[: 1 if run.protocol == "flat" else 2]
    cases, patches = (int(run.defaults[name]) for name in ("batch_size", "segmentation.patches"))
    windows = divide(len(cohort.table), run.data.window, run.seed)
    steps = windows.steps(folds.training(left_out), cases)
    return [
        *run.planned,
        HEADERS,
        f"trial 0 takes {count(steps, 'step')} of {cases * patches:,} patches an epoch in a search fit, "
        f"{steps * run.limit.epochs:,} at most; nnU-Net takes 250 an epoch, whatever the cases, 1,000 times",
    ]


def _fits(plan: Plan) -> list[str]:
    counts, evaluation, deployment = plan.counts, *plan.commands
    rows = _words(plan).search(plan)
    rows += [["search fits of the deployment", f"{counts.deploy_search:,}"]]
    rows += [["networks of the deployment", f"{counts.deploy_networks:,}"]]
    rows += [[f"epochs of {c.command}, at most", f"{c.most:,}"] for c in (evaluation, deployment)]
    rows += [
        [f"epochs of {c.command}, expected", f"{c.expected:,}"]
        for c in (evaluation, deployment)
        if c.expected is not None
    ]
    searcher = plan.run.search.searcher
    told = f"{count(counts.trials, 'trial')} a study by {searcher}"
    if counts.trials < plan.run.search.trials:
        told += f" (the space holds no more; {plan.run.search.trials} were asked for)"
    return [f"{told}: {_words(plan).meeting(plan)}", plan_words.rounds(plan), *table(rows)]


def _buckets(plan: Plan) -> list[str]:
    buckets, solved = plan.buckets, any(OF_SOLVED[0] in dict(bucket) for bucket in plan.buckets.drawn)
    if not buckets.split:
        shared = "" if solved else ", so all fits share one program"
        lines = [f"1: nothing that is searched changes shapes or code{shared}"]
    else:
        possible = f"more than {MOST_BUCKETS:,}" if buckets.possible is None else f"{buckets.possible:,}"
        lines = [f"{possible} possible, {len(buckets.drawn):,} among the {plan.counts.trials} drawn trials"]
        lines += [f"split by {name}: {values}" for name, values in buckets.split.items()]
        if len(buckets.drawn) > plan.counts.trials // 2 > 1:
            lines += ["few trials share a program: search such hyperparameters by choice() of few values"]
    if solved:
        told = " and ".join(f"{count(one.programs, 'program')} of {one.command}" for one in plan.commands)
        lines += [f"what is solved has a program of its own for fits on all cases: {told}"]
    rows = [["trials", "parameters", "state of a lane", "bucket"]]
    listed = sorted(buckets.drawn, key=lambda bucket: (bucket != buckets.default, -buckets.drawn[bucket]))
    for bucket in listed[:SHOWN]:
        network = plan.facts.networks[bucket]
        name = _name(bucket) + (" (default)" if bucket == buckets.default else "")
        rows.append([f"{buckets.drawn[bucket]}", f"{network.parameters:,}", size(network.state), name])
    lines += table(rows, words=3)
    return lines + ([f"and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else [])


def _name(bucket: Bucket) -> str:
    return " ".join(f"{name}={value}" for name, value in bucket if name not in OF_SOLVED)


def _of_solved(bucket: Bucket) -> str:
    """Of what is solved, which of its programs it is."""
    whole = dict(bucket).get(OF_SOLVED[1])
    return "" if whole is None else ", fits on all cases" if whole else ", fits that leave folds out"


def _memory(plan: Plan, compiled: Sequence[Compiled]) -> list[str]:
    facts, device = plan.facts, plan.facts.device
    largest = max(facts.networks.values(), key=lambda network: network.state)
    cases = "two windows of cases, which are streamed" if facts.cases.streams else "all cases"
    windows = f" ({facts.cases.windows} windows)" if facts.cases.windows > 1 else ""
    ours = f"{count(device.count, 'device')} here ({device.platform} {device.kind}), usable of each"
    prepared = f" in {facts.cases.stores} stores" if facts.cases.stores > 1 else ""
    rows = [
        [ours, size(device.allowed)],
        [cases + windows + prepared, size(facts.cases.nbytes)],
        ["largest lane: parameters", size(largest.params)],
        ["largest lane: batch statistics", size(largest.stats)],
        ["largest lane: optimiser's state", size(largest.moments)],
        [f"state of {count(plan.lanes, 'lane')}", size(plan.lanes * largest.state)],
    ]
    lines = [*table(rows), f"state alone leaves room for {plan.room:,} lanes on a device of this machine"]
    for found in compiled:
        lines.append(
            f"compiled in {duration(found.seconds)}: {count(found.lanes, 'lane')} and their program take "
            f"{size(found.used)} beside the cases ({_name(found.bucket)}{_of_solved(found.bucket)})"
        )
    if not compiled:
        lines.append("gradients and activations come on top; --compile=1 lets the compiler tell how much")
    return lines


def _time(plan: Plan) -> list[str]:
    speed = plan.facts.speed
    together = "in turn" if plan.in_step == 1 else f"{plan.in_step} in step"
    lines = [f"lanes of a device run {together}; config.engine.packing decides it"]
    if speed is None:
        lines += [
            "unknown until an epoch was measured: give the --workdir of a run that trained, or --measure=1",
            "time = lane-epochs a device x device seconds of a lane-epoch + buckets x seconds to compile one",
        ]
    else:
        lines += [
            f"a lane-epoch takes {speed.seconds:.3g} s of a device ({speed.kind}; {speed.source}, "
            f"{speed.epochs:,} lane-epochs, occupancy {speed.occupancy:.0%}), a bucket "
            f"{speed.bucket_seconds:.3g} s to compile and tune"
        ]
    rows = [["command", "devices", "lanes", "lane-epochs a device", "efficiency", "time", "device hours"]]
    for command in plan.commands:
        rows += [_row(command, estimate) for estimate in command.estimates]
    lines += table(rows)
    lines += [_chain(plan, command) for command in plan.commands]
    return [*lines, "proposals, checkpoints, records and the loss of a process are not counted"]


def _row(command: CommandPlan, estimate: Estimate) -> list[str]:
    lanes, seconds = estimate.lanes, estimate.seconds
    return [
        command.command,
        f"{lanes.devices:,}",
        f"{lanes.total:,}",
        f"{estimate.lane_epochs:,.0f}",
        f"{estimate.schedule.efficiency:.0%}",
        "unknown" if seconds is None else duration(seconds),
        "unknown" if seconds is None else f"{seconds * lanes.devices / 3600:,.2f}",
    ]


def _chain(plan: Plan, command: CommandPlan) -> str:
    last = _words(plan).waiting if command.command == "evaluate" else "rounds and networks"
    least = command.chain * plan.in_step
    return (
        f"{command.command}: {last} wait for each other; with any number of devices "
        f"{least:,.0f} lane-epochs a device stay"
    )


def _early(plan: Plan) -> str:
    """What early stopping saves."""
    measured, limit = plan.facts.measured, plan.run.limit
    if limit.patience is None or limit.patience >= limit.epochs:
        return f"early stopping: none, every fit trains {limit.epochs} epochs"
    if measured is None or not measured.pair:
        return f"early stopping: unknown until a run in --workdir has curves (at most {limit.epochs} epochs)"
    mean = plan_words.mean(measured.pair)
    return (
        f"early stopping: {1 - mean / limit.epochs:.0%} of the search epochs ({mean:.1f} of {limit.epochs} a "
        f"fit, mean of {len(measured.pair):,})"
    )
