"""One host with eight H100: ResNet-18 on images of 64 pixels from an npz file, ten outer folds, e.g.

    nachos evaluate --config=configs/pod_h100x8.py --config.data.path=cases.npz \
        --config.data.subject_key=patient --workdir=runs/h100x8

Why these sizes; `nachos plan` computes all of it, and nothing here was timed:

- All that is searched keeps shapes, so all fits share one bucket, and any lane can take any of them.
- Ten outer folds have 45 pairs: the 12 initial trials take 12 x 45 fits, the other 36 take 36 x 10 x 9. With
  ten refits that is 3,790 fits at most, instead of 4,330 without pair reuse.
- 8 devices x 32 lanes are 256. A study waits for the scores of a round before it asks for the next, and lanes
  may wait with it. A round of 6 proposals is 6 x 10 x 9 = 540 fits over all studies, twice the lanes, so that
  studies cover each other's ends; a round of 2 would be 180 fits, fewer than there are lanes.
- 6 proposals at a time are made with less knowledge than one at a time: that is the price.
- A lane's parameters, statistics and momentum take 85.3 MiB. Gradients and activations come on top and depend
  on the compiled program: where 32 lanes do not fit, the engine takes fewer, and `nachos plan --compile=1`
  tells how many.

To be measured on the machine: seconds a lane-epoch (`nachos plan --measure=1`), how early fits stop, and
whether fewer lanes a device are as fast.
"""

from ml_collections import ConfigDict

from nachos_jax import default_config
from nachos_jax.core import space


def get_config(path: str = "cases.npz") -> ConfigDict:
    """`path` is the npz file (also --config.data.path)."""
    config = default_config()
    config.data.source = "npz"
    config.data.path = path
    config.data.height = config.data.width = 64
    config.folds.count = 10
    config.model.architecture = "resnet"
    config.training.precision = "bfloat16"
    config.training.epochs = 60
    config.training.patience = 10
    config.search.searcher = "ax"
    config.search.trials = 48
    config.search.initial = 12
    config.search.proposals = 6
    config.search.space.label_smoothing = space.uniform(0.0, 0.2)
    config.search.space.dropout = space.uniform(0.0, 0.5)
    config.engine.lanes = 32
    return config
