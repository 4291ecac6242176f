"""A TPU v5e-16, four hosts with four chips each: a ResNet-18 of half the width of configs/pod_h100x8.py, e.g.

    nachos evaluate --config=configs/pod_tpu_v5e16.py --config.data.path=cases.npz \
        --config.data.subject_key=patient --workdir=runs/v5e16

Every host runs the same command, as launch/tpu_vm.sh has it; the run directory lies on a disk that all of
them share.

- 16 devices x 16 lanes are 256: the 540 fits of a round of 6 proposals are twice the lanes.
- Width 32 instead of 64: a chip has a fifth of the memory of an H100. A lane's parameters, statistics and
  momentum take 21.4 MiB instead of 85.3. Gradients and activations come on top: where 16 lanes do not fit,
  the engine takes fewer, and says so in run.log.

To be measured on the machine: seconds a lane-epoch, and how many lanes of a chip fit and are worth having.
"""

from typing import Any

from ml_collections import ConfigDict

from nachos_jax.configs import pod_h100x8


def get_config(path: str = "cases.npz") -> ConfigDict:
    """`path` is the npz file (also --config.data.path)."""
    config: Any = pod_h100x8.get_config(path)
    config.model.resnet.width = 32
    config.engine.lanes = 16
    return config
