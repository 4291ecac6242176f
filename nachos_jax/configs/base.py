"""Every field of a run with its default and its meaning; all other configs start from this one.

Copy nothing from here: `from nachos_jax import default_config`, change what differs, return it.
Any field can also be set on the command line: --config.training.learning_rate=0.01.
"""

from ml_collections import ConfigDict

from nachos_jax.core import space
from nachos_jax.models import registry


def get_config() -> ConfigDict:
    """The default run: a small CNN, five outer folds, sixteen trials proposed by Ax."""
    config = ConfigDict()
    config.seed = 0  # names every random number of the run
    config.protocol = "nested"  # or "flat": one loop, bias-corrected afterwards, for a (K-1)th of the fits
    config.task = ConfigDict({"name": "classification"})
    config.data = data()
    config.folds = folds()
    # The hyperparameters of each architecture and their defaults stand in nachos_jax/models/<name>.py.
    config.model = ConfigDict(registry.defaults())
    config.training = training()
    config.augmentation = augmentation()
    config.search = search()
    config.engine = engine()
    config.deploy = deploy()
    config.report = report()
    return config.lock()


def data() -> ConfigDict:
    """Where the cases come from and how their pixels are prepared."""
    c = ConfigDict()
    c.source = "npz"  # "npz", "folder" (one sub-folder a class), "csv", or "digits" (embedded)
    c.path = ""  # file or folder; relative to the working directory
    c.image_key = "images"  # npz: array of images [N, H, W] or [N, H, W, 3]; csv: column "path" is used
    c.label_key = "labels"  # npz: array of labels; csv: column "label" is used
    c.label_names_key = "label_names"  # npz: array of class names, used when it is there
    c.subject_key = ""  # npz: array, csv: column (default "subject"); folder: regular expression, one group
    c.site_key = ""  # npz: array, csv: column (default "site"); folder: likewise
    c.fold_key = ""  # npz: array, csv: column (default "fold"); folder: likewise
    c.subject = ""  # "one_case_per_subject": you state that no subject has two cases
    c.target_keys = ()
    c.classes = ()  # class names in the order of the probabilities; () = sorted, all that are found
    c.height = 0  # pixels after resizing; 0 = as stored, when all cases agree
    c.width = 0  # likewise; set both or neither
    c.channels = 0  # 1 = gray, 3 = colour; 0 = as stored, when all cases agree
    c.aspect = "stretch"  # "stretch", or "pad" with black to the target's ratio before resizing
    c.residency = "auto"  # "resident" on each device, "stream" from disk; "auto" = resident if they fit
    c.window = 16384  # cases that are shuffled together; when streaming, two windows are on a device
    c.cache = ""  # folder of decoded pixels; "" = $XDG_CACHE_HOME/nachos_jax or ~/.cache/nachos_jax
    return c


def folds() -> ConfigDict:
    """How cases are divided; subjects never cross folds, whatever the scheme."""
    c = ConfigDict()
    c.scheme = "stratified"  # "stratified", "predefined" (the fold column), "site" (leave one site out)
    c.count = 5  # K; "predefined" and "site" find theirs in the data
    c.repeats = 1  # R: repeat the whole protocol over R divisions (stratified only)
    return c


def training() -> ConfigDict:
    """Hyperparameters and limits of a fit. All but the last five can be searched."""
    c = ConfigDict()
    c.batch_size = 64  # cases a step; the last short batch of an epoch is left out, order is redrawn
    c.optimizer = "sgd"  # "sgd", "adam", "adamw"
    c.learning_rate = 0.02  # at the top of the schedule
    c.momentum = 0.9  # sgd
    c.nesterov = True  # sgd
    c.beta1 = 0.9  # adam, adamw
    c.beta2 = 0.999  # adam, adamw
    c.weight_decay = 1e-4  # added to the gradient; decoupled for adamw
    c.schedule = "constant"  # "constant", "inverse_time" (as in NACHOS), "cosine" (to 0 at `epochs`)
    c.decay = 1e-3  # inverse_time: rate / (1 + decay * step)
    c.warmup_epochs = 0.0  # linear rise from 0, in epochs
    c.label_smoothing = 0.0  # mass moved to the uniform distribution
    c.class_weight_exponent = 0.0  # 0 = none, 1 = balanced, between = softened
    c.dropout = 0.0  # before the classifier
    c.epochs = 30  # the largest number of epochs
    c.patience = 8  # epochs without improvement of a watched fold's loss
    c.min_delta = 0.0  # smallest improvement that counts
    c.precision = "float32"  # "float32" or "bfloat16" (parameters stay float32)
    c.early_stopping = True  # False: every fit runs all epochs
    return c


def augmentation() -> ConfigDict:
    """Strengths, all searchable; 0 everywhere compiles nothing in."""
    c = ConfigDict()
    c.flip_horizontal = 0.0  # probability; anatomy has a left and a right: think before you flip
    c.flip_vertical = 0.0  # probability
    c.rotation = 0.0  # largest, degrees
    c.shift = 0.0  # largest, fraction of the side
    c.scale = 0.0  # largest relative change
    c.brightness = 0.0  # largest, in SDs of the training pixels
    c.contrast = 0.0  # largest relative change
    c.gamma = 0.0  # largest change of log-gamma
    c.noise = 0.0  # largest SD of the noise, in SDs of the training pixels
    return c


def search() -> ConfigDict:
    """Who proposes trials, how many, from where, and what they are judged by.

    `space` has a place for every hyperparameter: "" keeps the value above, a text searches it, e.g.
    --config.search.space.learning_rate="log(1e-4, 1e-1)" or
    --config.search.space.cnn.width="choice(8, 16, 32)".
    """
    c = ConfigDict()
    c.searcher = "ax"  # "ax" (Sobol, then Bayesian), "sobol", "random"; trial 0 is always the default
    c.trials = 16  # trials of each study, the default configuration included
    c.initial = 6  # ax: trials drawn without looking at data, the same for all outer folds
    c.proposals = 2  # ax: trials proposed at a time once it looks at data
    c.metric = "balanced_accuracy"  # selection metric, also "auc", "log_loss", ...: README, "Search spaces"
    c.rule = "best"  # "best", or "one-se": the cheapest trial within one standard error of the best
    c.space = ConfigDict(_nothing_searched())
    c.space.learning_rate = space.log(1e-3, 1e-1)
    c.space.momentum = space.uniform(0.5, 0.99)
    c.space.weight_decay = space.log(1e-6, 1e-2)
    return c


def _nothing_searched() -> dict:
    """A place for every hyperparameter, nested as the architectures nest theirs."""
    fixed = ("epochs", "patience", "min_delta", "precision", "early_stopping")
    places: dict = {name: "" for name in (*training(), *augmentation()) if name not in fixed}
    for name, value in registry.defaults().items():
        places[name] = dict.fromkeys(value, "") if isinstance(value, dict) else ""
    return places


def engine() -> ConfigDict:
    """How the fits are trained; nothing here changes a result by more than rounding."""
    c = ConfigDict()
    c.lanes = 0  # lanes a device; 0 = from the compiled program's memory and the device's
    c.packing = "auto"  # lanes in a device: "vmap", "map", "blocks"; "auto" times them once a device kind
    c.convolution = "auto"  # "lax", "custom", "shift", "im2col"; "auto" likewise
    c.memory_fraction = 0.8  # of the device's memory that lanes and data may take
    c.checkpoint_epochs = 1  # epochs of running lanes that a kill may lose; 0 = no checkpoints
    return c


def deploy() -> ConfigDict:
    """The model to ship."""
    c = ConfigDict()
    c.members = "one"  # "one": a fit on all cases; "folds": the mean of the K models that each leave one out
    return c


def report() -> ConfigDict:
    """What the report shows; nothing here changes a fit, so it may change at any time."""
    c = ConfigDict()
    c.subgroups = ()  # columns to report apart: "sex", or with cuts "age(40, 65)"; sites always are
    c.positive = ""  # the class that decisions are about; "" = the second of two
    c.threshold = "youden"  # or "sensitivity(0.95)", "specificity(0.9)", "cost(1, 5)" of an alarm, a miss
    c.level = 0.95  # of all intervals
    c.replicates = 2000  # of the bootstrap over subjects
    c.gallery = 12  # most confident errors to show with an explanation
    c.price = 0.0  # money that a device costs an hour; 0 = not told
    c.currency = "EUR"  # of the price
    c.watts = 0.0  # power that a device draws while it trains; 0 = not told
    return c
