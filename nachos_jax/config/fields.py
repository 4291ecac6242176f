"""Every field of the config that is no hyperparameter: its name, default, range or choices, and meaning.

Hyperparameters stand in `nachos_jax.core.hparams` and in the files of tasks and architectures; each has its
value in the section that its row names, and a place in config.search.space. `nachos config` lists fields and
hyperparameters together.
"""

from __future__ import annotations

from nachos_jax.config.data_fields import DATA
from nachos_jax.config.field import Section, dictionaries, one_of, real, switch, text, texts, whole

BY_SUBJECT = "subject"
"""The unit that every case table has."""
BY_CASE, BY_UNIT = "case", "unit"
"""What a report may lead with."""
PACKINGS = ("vmap", "map", "blocks")
LOWERINGS = ("lax", "custom", "slab", "fold", "split", "shift", "im2col")

RUN = Section(
    "",
    "What the run is.",
    (
        whole("seed", 0, 0, 2**31 - 1, "names every random number of the run"),
        one_of(
            "protocol",
            "nested",
            ("nested", "flat"),
            '"flat": one loop, bias-corrected afterwards, for a (K-1)th of the fits',
            before="nested",
        ),
    ),
)

TASK = Section(
    "task",
    "What is to be predicted of a case.",
    (
        text("name", "classification", "the task, a file of nachos_jax/tasks", before="classification"),
        real(
            "plan_memory",
            2.0,
            0.01,
            1000.0,
            "segmentation: GB of a fit that patch, depth, width and batch are planned for, by nnU-Net's "
            "reckoning (it plans for 8); less for a CPU",
            before=2.0,
        ),
        whole(
            "ensemble",
            1,
            1,
            20,
            "segmentation: so many of the best configurations of each study make the final mask, by the mean "
            "of their probabilities",
            before=1,
        ),
        switch(
            "largest_component",
            False,
            "segmentation: the final mask keeps the largest component of a class, or of all, where that "
            "helps in the inner folds of the study",
            before=False,
        ),
    ),
)

FOLDS = Section(
    "folds",
    "How cases are divided; subjects never cross folds, whatever the scheme.",
    (
        one_of(
            "scheme",
            "stratified",
            ("stratified", "predefined", "site"),
            '"predefined": the fold column; "site": leave one site out',
        ),
        whole("count", 5, 2, 1000, 'K; "predefined" and "site" find theirs in the data'),
        whole("repeats", 1, 1, 1000, "R: repeat the whole protocol over R divisions (stratified only)"),
    ),
)

BACKBONE = Section(
    "backbone",
    "A pretrained network: its frozen features, for linear or mlp; or, from a layer on, trained as tuned.",
    (
        text(
            "name",
            "",
            'network of nachos_jax/models/zoo, like "efficientnet_lite0"; "" = none, or as its file says',
            before="",
        ),
        text(
            "weights",
            "",
            "its file, .safetensors or .pth, never downloaded; alone, linear learns from its features",
            no_result=True,
        ),
        text("layer", "", 'whose output the features are; "" = the one before the classifier', before=""),
        text(
            "tune",
            "",
            'layer from which on weights are trained, "all" = from the first on; "" = none',
            before="",
        ),
        whole(
            "views",
            1,
            1,
            64,
            "of each image, from which training draws: the plain one and others by config.augmentation",
            before=1,
        ),
        text("licence", "", "of the weights, as their source gives it; the report says it", no_result=True),
        text("pretrained_on", "", "data that the weights saw; the report says it", no_result=True),
    ),
)

MODEL = Section("model", "The network. Those of other architectures than the chosen one do nothing.")

TRAINING = Section(
    "training",
    "Hyperparameters and limits of a fit. All but the last five can be searched.",
    (
        whole("epochs", 30, 1, 100_000, "the largest number of epochs"),
        whole("patience", 8, 1, 100_000, "epochs without improvement of a watched fold's loss"),
        real("min_delta", 0.0, 0.0, 1e6, "smallest fall of a watched fold's loss that counts"),
        one_of("precision", "float32", ("float32", "bfloat16"), "of the arithmetic; parameters stay float32"),
        switch("early_stopping", True, "False: every fit runs all epochs"),
    ),
)

AUGMENTATION = Section("augmentation", "Strengths, all searchable; 0 everywhere compiles nothing in.")

SEARCH = Section(
    "search",
    "Who proposes trials, how many, from where, and what they are judged by.",
    (
        text(
            "searcher",
            "ax",
            '"ax" (Sobol, then Bayesian), "bohb" (Sobol, then densities of good trials), "sobol", "random", '
            '"grid" (all that choices hold); trial 0 is always the default',
        ),
        text(
            "policy",
            "",
            'how far trials are trained: "race-fitted", "race-short", "race", "race-halving", "halving", '
            '"hyperband", "top" or "full" (all on all inner folds); "" = "race-fitted" if nested, "full" if '
            "flat",
            before="full",
        ),
        whole("trials", 16, 1, 100_000, "trials of each study, the default configuration included"),
        whole(
            "initial",
            6,
            1,
            100_000,
            "ax, bohb: trials drawn without looking at data, the same for all outer folds",
        ),
        whole(
            "proposals",
            2,
            0,
            10_000,
            "ax, bohb: trials proposed at a time, a round, once it looks at data; 0 = an eighth of those "
            "after the initial ones, whatever the number of lanes, on which no proposal may depend",
        ),
        whole(
            "lag",
            0,
            0,
            1000,
            "ax, bohb: rounds that may still train when the next is proposed, which sees the scores of those "
            "before; more keeps lanes busy, and learns later",
            before=0,
        ),
        dictionaries(
            "priors",
            "configurations to try after the default, before any is drawn, like ({'learning_rate': 0.01},)",
            before=[],
        ),
        text(
            "metric",
            "",
            'selection metric; "" = the task\'s: balanced_accuracy, macro_auc (multilabel), mae (regression)',
        ),
        one_of(
            "rule",
            "best",
            ("best", "one-se"),
            '"one-se": the cheapest trial within one standard error of the best',
        ),
    ),
)

ENGINE = Section(
    "engine",
    "How the fits are trained; nothing here changes a result by more than rounding.",
    (
        whole(
            "lanes", 0, 0, 65536, "lanes a device; 0 = from the memory of the compiled program and the device"
        ),
        one_of(
            "packing",
            "auto",
            ("auto", *PACKINGS),
            'lanes in a device; "auto" times them once a device kind',
        ),
        one_of("convolution", "auto", ("auto", *LOWERINGS), "how convolutions are computed; likewise"),
        one_of(
            "compilation",
            "full",
            ("full", "quick"),
            '"quick" takes half as long on a processor, for runs of a minute; no difference elsewhere',
        ),
        real("memory_fraction", 0.8, 0.01, 1.0, "of the device's memory that lanes and data may take"),
        whole(
            "checkpoint_epochs",
            1,
            0,
            100_000,
            "epochs of running lanes that a kill may lose; 0 = no checkpoints",
        ),
        real(
            "checkpoint_seconds",
            10.0,
            0.0,
            86_400.0,
            "seconds of training that it may lose besides: short epochs take less than saving each of them",
        ),
    ),
    no_result=True,
)

DEPLOY = Section(
    "deploy",
    "The model to ship.",
    (
        one_of(
            "members",
            "one",
            ("one", "folds"),
            '"one": a fit on all cases; "folds": the mean of the K models that each leave one out',
            no_result=True,
        ),
    ),
)

REPORT = Section(
    "report",
    "What the report shows; nothing here changes a fit, so it may change at any time.",
    (
        texts("subgroups", 'columns to report apart: "sex", or with cuts "age(40, 65)"; sites always are'),
        text(
            "unit",
            "",
            'column of what several cases belong to, like "breast", or "subject": also reported by it',
            before="",
        ),
        one_of(
            "pool",
            "mean",
            ("mean", "max", "learned"),
            'how the predictions of a unit become one; "learned": a power mean between both, by inner folds',
            before="mean",
        ),
        one_of(
            "headline",
            BY_CASE,
            (BY_CASE, BY_UNIT),
            'what the report leads with; "unit": scores by config.report.unit. Trials are selected by case',
            before=BY_CASE,
        ),
        text("positive", "", 'the class that decisions are about; "" = the second of two'),
        text(
            "threshold",
            "youden",
            'or "sensitivity(0.95)", "specificity(0.9)", "cost(1, 5)" of an alarm, a miss',
        ),
        real("level", 0.95, 0.5, 0.999, "of all intervals"),
        whole("replicates", 2000, 200, 100_000, "of the bootstrap over subjects"),
        whole("gallery", 12, 0, 100, "most confident errors to show with an explanation"),
        real("price", 0.0, 0.0, 1e6, "money that a device costs an hour; 0 = not told"),
        text("currency", "EUR", "of the price"),
        real("watts", 0.0, 0.0, 1e6, "power that a device draws while it trains; 0 = not told"),
    ),
    no_result=True,
)

SECTIONS = (
    RUN, TASK, DATA, FOLDS, BACKBONE, MODEL, TRAINING, AUGMENTATION, SEARCH, ENGINE, DEPLOY, REPORT
)  # fmt: skip
FIELDS = {field.key: field for section in SECTIONS for field in section.fields}
"""All fields by key."""
