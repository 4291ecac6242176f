"""Images listed in a CSV with the columns path,label,subject[,site][,fold].

    nachos evaluate --config=configs/csv.py --config.data.path=cases.csv --workdir=runs/mine

Paths are relative to the CSV. With a site column, --config.folds.scheme=site leaves one site out at a
time; with a fold column, --config.folds.scheme=predefined takes the folds as they stand.
"""

from ml_collections import ConfigDict

from nachos_jax import default_config


def get_config(path: str = "cases.csv") -> ConfigDict:
    """Gray images at 64 pixels; `path` is the CSV (also --config.data.path)."""
    config = default_config()
    config.data.source = "csv"
    config.data.path = path
    config.data.height = config.data.width = 64
    config.data.channels = 1
    config.data.aspect = "pad"
    return config
