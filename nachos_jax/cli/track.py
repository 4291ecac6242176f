"""`nachos track`: what TensorBoard and MLflow show of a run, made from its records."""

from __future__ import annotations

from typing import Any

from nachos_jax.cli.parsing import Flag
from nachos_jax.core.errors import UsageError

FLAGS = (
    Flag(
        "workdir",
        "DIR",
        "Run directory, finished or not; the same command again brings it up to date.",
        path=True,
    ),
    Flag(
        "tensorboard",
        "FOLDER",
        "Folder for event files of all fits; look at them with `tensorboard --logdir=FOLDER`.",
        required=False,
        path=True,
    ),
    Flag(
        "mlflow",
        "URI",
        "MLflow tracking server or database, like http://localhost:5000 or sqlite:///mlflow.db.",
        required=False,
    ),
    Flag("experiment", "NAME", "MLflow experiment; nachos when left out.", required=False),
)


def track(values: Any, _words: list[str]) -> None:
    """`nachos track`: writes event files, MLflow runs or both."""
    if not (values.tensorboard or values.mlflow):
        raise UsageError(
            "nachos track needs --tensorboard=FOLDER or --mlflow=URI (or both): say where the run is to show."
        )
    if values.experiment is not None and not values.mlflow:
        raise UsageError(f"--experiment={values.experiment} is of MLflow: add --mlflow=URI or leave it out.")
    from nachos_jax.records import readable

    readable.check(values.workdir)
    if values.tensorboard:
        from nachos_jax.report.tracking import event_files

        written, total = event_files.write(values.workdir, values.tensorboard)
        print(f"TensorBoard: {values.tensorboard} ({total} event files, {written} new or longer)")
    if values.mlflow:
        from nachos_jax.report.tracking import mlflow_runs

        told = mlflow_runs.write(values.workdir, values.mlflow, values.experiment or mlflow_runs.EXPERIMENT)
        print(f"MLflow: {told}")
