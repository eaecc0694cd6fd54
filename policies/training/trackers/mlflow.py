"""Figures in MLflow (https://mlflow.org): on the server that MLFLOW_TRACKING_URI names, otherwise in RUN/mlflow.db."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.policies.training.trackers import Tracker
from forestpilot.sim.extras import require

EXPERIMENT = "forestpilot"
"""Unless MLFLOW_EXPERIMENT_NAME says otherwise."""
RUN_FILE = ".mlflow-run"
"""Where in the run folder the run's id at MLflow stands, so that a run that goes on is the same run there."""
LONGEST_VALUE = 500
"""Characters of a parameter that every MLflow server takes."""


class MLflow(Tracker):
    """Tells a run of the experiment."""

    library = "mlflow"

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        mlflow = require("mlflow")
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve()}/mlflow.db"
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        self._run = self._known(folder / RUN_FILE, uri) or self._begun(folder, uri, config)

    def write(self, figures: Mapping[str, float], total_step: int) -> None:
        """See `Tracker.write`."""
        for name, value in figures.items():
            self._client.log_metric(self._run, f"train/{name}", value, step=total_step)

    def close(self) -> None:
        """Finish the run, until it goes on."""
        self._client.set_terminated(self._run)

    def _known(self, path: Path, uri: str) -> str:
        """The id of the run that a folder has at a server; empty where it has none there."""
        if not path.exists():
            return ""
        where, _, run = path.read_text(encoding="utf-8").strip().rpartition(" ")
        return run if where == uri else ""

    def _begun(self, folder: Path, uri: str, config: Mapping[str, Any]) -> str:
        """The id of a new run."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        experiment = self._client.get_experiment_by_name(name)
        number = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        run: str = self._client.create_run(number, run_name=folder.resolve().name).info.run_id
        for key, value in config.items():
            self._client.log_param(run, key, str(value)[:LONGEST_VALUE])
        write_new_file(folder / RUN_FILE, [f"{uri} {run}\n".encode()])
        return run
