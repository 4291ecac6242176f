"""Four nodes with four A100 each: what configs/pod_h100x8.py trains, over sixteen devices, e.g.

    nachos evaluate --config=configs/pod_a100_4x4.py --config.data.path=cases.npz \
        --config.data.subject_key=patient --workdir=runs/a100

Every node runs the same command, as launch/slurm.sbatch has it; the run directory lies on a disk that all
of them share.

- 16 devices x 16 lanes are 256, as many as on eight H100: the 540 fits of a round of 6 proposals are twice
  the lanes. With 32 lanes a device there would be 512, nearly as many as fits, and lanes would wait.
- A lane's state takes as much, 85.3 MiB, with gradients and activations on top.

To be measured on the machine: seconds a lane-epoch, and whether 16 lanes fill a device.
"""

from typing import Any

from ml_collections import ConfigDict

from nachos_jax.configs import pod_h100x8


def get_config(path: str = "cases.npz") -> ConfigDict:
    """`path` is the npz file (also --config.data.path)."""
    config: Any = pod_h100x8.get_config(path)
    config.engine.lanes = 16
    return config
