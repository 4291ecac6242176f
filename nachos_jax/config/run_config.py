"""A run, frozen and checked: what the rest of the program knows of a config.

The meaning of each field stands in `nachos_jax.config.fields`; `nachos_jax.config.parsing` makes a run from a
config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nachos_jax.config import subgroups
from nachos_jax.core import hparams as hp
from nachos_jax.core import space
from nachos_jax.core.types import EpochLimit, HParams


@dataclass(frozen=True)
class DataConfig:
    """config.data."""

    source: str
    path: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    features: tuple[str, ...]
    impute: str
    image_key: str
    label_key: str
    label_names_key: str
    mask_key: str
    shape_key: str
    spacing_key: str
    spacing: str
    target_keys: tuple[str, ...]
    subject_key: str
    site_key: str
    fold_key: str
    case_key: str
    subject: str
    spellings: str
    equal_images: str
    allow: tuple[str, ...]
    classes: tuple[str, ...]
    height: int
    width: int
    channels: int
    aspect: str
    facing: str
    subset: float
    frame: int
    voi: str
    on_error: str
    cache: str
    residency: str
    window: int
    columns: tuple[str, ...]
    """Further columns to read, those that config.report names."""
    predefined: bool
    """Whether config.folds.scheme divides the cases by the fold column."""
    volume: str = ""
    depth: int = 0
    clahe: int = 0
    external: tuple[str, ...] = ()
    """Sites that are kept out of everything and tested once."""
    external_path: str = ""
    """A file or folder of such cases."""
    described: tuple[str, ...] = ()
    """Further columns to read where they are there, by which cases inside and external ones are compared."""
    like: Mapping[str, Any] = field(default_factory=dict)
    """Preparation of other cases that these are read like; {} of cases that decide it themselves."""
    interpolation: str = "bilinear"
    """By which images are resized; those for a backbone as its weights expect it."""

    @property
    def allowed(self) -> tuple[str, ...]:
        """Kinds of findings that the user accepts; who accepts equal images accepts both."""
        return (*self.allow, *(("duplicates", "contradictions") if self.equal_images == "accept" else ()))


@dataclass(frozen=True)
class BackboneConfig:
    """config.backbone; without a name there is none."""

    name: str
    weights: str
    layer: str
    licence: str
    pretrained_on: str
    tune: str = ""
    views: int = 1


@dataclass(frozen=True)
class FoldsConfig:
    """config.folds."""

    scheme: str
    count: int
    repeats: int


@dataclass(frozen=True)
class SearchConfig:
    """config.search; `space` holds only what is searched."""

    searcher: str
    policy: str
    trials: int
    initial: int
    proposals: int
    lag: int
    priors: tuple[HParams, ...]
    metric: str
    rule: str
    space: tuple[space.Dimension, ...]


@dataclass(frozen=True)
class EngineConfig:
    """config.engine."""

    lanes: int
    packing: str
    convolution: str
    memory_fraction: float
    checkpoint_epochs: int
    # Not in its text, under which what a run has chosen is remembered: it has to stay that of older versions.
    checkpoint_seconds: float = field(repr=False)
    compilation: str = field(repr=False)


@dataclass(frozen=True)
class ReportConfig:
    """config.report."""

    subgroups: tuple[subgroups.Subgroups, ...]
    unit: str
    pool: str
    headline: str
    positive: str
    threshold: str
    level: float
    replicates: int
    gallery: int
    price: float
    currency: str
    watts: float


@dataclass(frozen=True)
class RunConfig:
    """A run, checked.

    Attributes:
        seed: names every random number.
        task: what is to be predicted, the name of a task.
        plan_memory: GB of a fit for which what the config leaves open is planned.
        ensemble: configurations of each study that make the final mask together.
        largest_component: whether studies choose of which classes it keeps the largest component.
        protocol: "nested", or "flat": plain K-fold cross-validation, corrected for the choice (BBC-CV).
        data: where the cases come from.
        folds: how they are divided.
        backbone: what gives the features of images.
        defaults: a value for every row of `table`, active or not.
        table: the hyperparameters of its task: training, task and architectures.
        limit: when a search fit ends.
        precision: "float32" or "bfloat16".
        search: who proposes trials.
        engine: how fits are trained.
        members: "one" or "folds", the networks of the deployed model.
        report: what the report shows.
        planned: what was planned from the cases, in sentences; () before that, and where nothing is.
        raw: the whole config as nested plain values, as stored in run.json.
        policy_left_open: whether config.search.policy was left to the default of this version.
    """

    seed: int
    task: str
    plan_memory: float
    ensemble: int
    largest_component: bool
    protocol: str
    data: DataConfig
    folds: FoldsConfig
    backbone: BackboneConfig
    defaults: HParams
    table: tuple[hp.Hyperparameter, ...]
    limit: EpochLimit
    precision: str
    search: SearchConfig
    engine: EngineConfig
    members: str
    report: ReportConfig
    raw: Mapping[str, Any]
    planned: tuple[str, ...] = ()
    policy_left_open: bool = field(default=False, compare=False)

    @property
    def augmentations(self) -> frozenset[str]:
        """Augmentations that any trial of this run can use; the others are not compiled in."""
        return frozenset() if self.backbone.views > 1 else self.augmenting

    @property
    def augmenting(self) -> frozenset[str]:
        """Augmentations that the config asks for, in lanes or of views that are embedded once."""
        names = (*hp.AUGMENTATION, hp.FLIP_DEPTH.name)
        return frozenset(name for name in names if name in self.defaults and self.uses(name))

    @property
    def tuned(self) -> dict[str, str]:
        """What is told of a network that is fine-tuned beside its hyperparameters; {} of any other.

        "tuned.inputs" is "activations" where the layers in front of the freeze point are computed once a
        case, "pixels" where something in front of them is random, or nothing is in front.
        """
        if not self.backbone.tune:
            return {}
        return {
            "tuned.network": self.backbone.name,
            "tuned.start": self.backbone.tune,
            "tuned.layer": self.backbone.layer,
            "tuned.inputs": "pixels" if self.augmentations or self.backbone.tune == "all" else "activations",
        }

    def uses(self, name: str) -> bool:
        """True when some trial of this run can give the hyperparameter another value than 0."""
        return self.defaults[name] != 0 or any(dimension.name == name for dimension in self.search.space)

    def candidates(self, name: str) -> tuple:
        """All values that a hyperparameter can take, or its bounds if it is a range."""
        for dimension in self.search.space:
            if dimension.name == name:
                number = type(self.defaults[name])  # a dimension keeps the bounds of whole numbers as floats
                return (
                    self.defaults[name],
                    *(dimension.values or map(number, (dimension.low, dimension.high))),
                )
        return (self.defaults[name],)
