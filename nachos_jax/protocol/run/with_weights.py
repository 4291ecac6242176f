"""Weights alone are enough: what stands for the fields that a config leaves as they are beside them.

`config.backbone.weights` names a file. The network is the one that the file is named after; a linear model
learns from its features, and its C is searched in place of what only training in steps has, unless the config
says anything else of the network or of these spaces. The run's records hold the fields as they are here.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from nachos_jax.config.field import flat, nested
from nachos_jax.configs import base
from nachos_jax.core import space
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import by_name

log = logging.getLogger("nachos_jax")

HEAD = "linear"
STRENGTHS = space.log(1e-4, 1e2)
"""Of the head: where its C is searched."""
MAKERS = (
    *("rwightman", "google", "imagenet", r"imagenet1k(_v\d)?", "pretrained", "weights", r"a\d(_\d)?"),
    *("224", "in1k", "in2[12]k", "res224_(all|nih|pc|chex|rsna|mimic_(nb|ch))"),
)
"""What may follow a network's name behind an underscore: whose its weights are, of the same network."""
SHELVES = ("timm", "torchvision")
"""What may stand before a network's name and a hyphen, as makers may."""
PORTED = "tf_"
"""Begins names of networks that take the weights of another one, and other images."""


def settled(config: Mapping, reference: Mapping) -> dict[str, Any]:
    """A config with what its weights stand for; as it is where it names none, or trains them on.

    Args:
        config: the user's, nested mappings, not checked yet.
        reference: the default config.

    Raises:
        UsageError: no network is named, and the name of the file tells none.
    """
    values, default = flat(config), flat(reference)
    weights = values.get("backbone.weights")
    if not weights or not isinstance(weights, str):
        return dict(config)
    if values.get("backbone.name") == "":
        values["backbone.name"] = _named(weights)
    searched = [key for key in default if key.startswith("search.space.") and default[key]]
    strength = f"search.space.{HEAD}.c"
    of_head = ("backbone.tune", "model.architecture", "search.space.architecture", strength, *searched)
    if all(values.get(key) == default[key] for key in of_head):
        # Whatever else only training in steps has, as the config that `nachos init` writes searches it.
        nothing = by_name(base.table())["architecture"].idle(HEAD)
        idle = [key for name in nothing if (key := f"search.space.{name}") in values]
        dropped = {key.removeprefix("search.space.") for key in (*searched, *idle) if values[key]}
        _tell(tuple(sorted(dropped)))
        values |= {"model.architecture": HEAD, **dict.fromkeys((*searched, *idle), ""), strength: STRENGTHS}
    return nested(values)


@functools.cache  # a config is checked several times in a process
def _tell(dropped: tuple[str, ...]) -> None:
    log.info(
        "config.backbone.weights alone: %s learns from the features; its C is searched in place of %s. Name "
        "another network in config.model.architecture, like mlp, for one that is trained step by step.",
        *(HEAD, ", ".join(dropped)),
    )


def _named(weights: str) -> str:
    """The network that a file is named after: the longest name in it."""
    from nachos_jax.models.zoo import registry  # late: it brings JAX

    names = registry.names()
    stem = PurePath(weights).stem
    found = sorted(_within(stem, names, _starts(stem)), key=len)
    told = f"config.backbone.weights = {weights!r}"
    if not found:
        raise UsageError(
            f"{told}: name the network in config.backbone.name, since the file is named after none of "
            f"{', '.join(names)}."
        )
    anywhere = [0, *(match.end() for match in re.finditer("-", stem))]
    if odd := [name for name in _within(stem, names, anywhere) if name not in found[-1]]:
        raise UsageError(
            f"{told}: the file is named after {odd[0]} and {found[-1]}: name the network in "
            "config.backbone.name."
        )
    if PORTED + found[-1] in names:
        raise UsageError(
            f"{told}: the weights could be those of {found[-1]} or {PORTED}{found[-1]}, which take other "
            "images: name the network in config.backbone.name."
        )
    return found[-1]


def _starts(stem: str) -> list[int]:
    """Where a network's name may begin: behind a hyphen only after makers: se-resnet50 is another one."""
    before = rf"(({'|'.join((*MAKERS, *SHELVES))})-)*"
    found = re.match(before, stem.lower())
    return [0, *(match.end() for match in re.finditer("-", found.group() if found else ""))]


def _within(stem: str, names: Sequence[str], starts: Sequence[int]) -> list[str]:
    """The networks that stand in the name of a file as words, at one of these places.

    A hyphen or a dot ends a name, but not one of a single digit: resnet50-2 is another network. Behind an
    underscore a name goes on, like resnet50_2, unless what follows says whose the weights are.
    """
    text, of = re.sub(r"\W", "_", stem.lower()), "|".join(MAKERS)
    ends = {match.start() for match in re.finditer(r"-(?!\d(?![^\W_]))|\.|$", stem)}

    def stands(name: str) -> bool:
        found = ((start, re.match(rf"{name}(_({of}))*(?![^\W_])", text[start:])) for start in starts)
        return any(match and start + match.end() in ends for start, match in found)

    return [name for name in names if stands(name)]
