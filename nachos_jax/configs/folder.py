"""Images in one sub-folder a class: DATA/benign/*.png, DATA/malignant/*.png, ...

    nachos evaluate --config=configs/folder.py --config.data.path=DATA \
        --config.data.subject_key='(patient\\d+)_' --workdir=runs/mine

`subject_key` is a regular expression whose one group finds the subject in the path below DATA.
"""

from ml_collections import ConfigDict

from nachos_jax import default_config


def get_config(path: str = "") -> ConfigDict:
    """Gray images at 64 pixels; `path` is the folder (also --config.data.path)."""
    config = default_config()
    config.data.source = "folder"
    config.data.path = path
    config.data.height = config.data.width = 64
    config.data.channels = 1
    config.data.aspect = "pad"
    return config
