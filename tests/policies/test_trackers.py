"""Trackers: each is told what metrics.csv holds, without any server; one whose library is missing says so at once."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from forestpilot.policies.training.loop import train
from forestpilot.policies.training.trackers import TRACKERS, require_tracker
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.extras import MissingExtraError
from tests.helpers.made_up import MadeUpReader, make_policy, make_policy_config


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def train_with(tracker: str, folder: Path, steps: int = 4) -> list[str]:
    """Train; the lines of metrics.csv."""
    config = TrainConfig(steps=steps, batch_windows=2, shards=1, log_every=2, log=tracker, policy=make_policy_config())
    train(make_policy(), MadeUpReader(), config, folder)
    return (folder / "metrics.csv").read_text().splitlines()


@pytest.mark.parametrize("name", TRACKERS.names())
def test_it_keeps_figures_beside_the_run_without_a_server(name: str, tmp_path: Path) -> None:
    library = TRACKERS.get(name).library
    pytest.importorskip(library, reason=f'{library} is not installed: pip install "forestpilot[{name}]"')
    assert len(train_with(name, tmp_path / "run")) == 3
    kept = {path.name for path in (tmp_path / "run").iterdir()} - {"metrics.csv", "checkpoints"}
    assert [path for path in kept if name in path], kept


def test_wandb_stays_offline_for_who_has_not_logged_in(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason='wandb is not installed: pip install "forestpilot[wandb]"')
    train_with("wandb", tmp_path / "run")
    (offline,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert list(offline.glob("*.wandb"))


def test_mlflow_goes_on_with_the_same_run(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason='mlflow is not installed: pip install "forestpilot[mlflow]"')
    train_with("mlflow", tmp_path / "run")
    train_with("mlflow", tmp_path / "run")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/run/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("forestpilot").experiment_id])
    losses = client.get_metric_history(run.info.run_id, "train/loss")
    assert [metric.step for metric in losses] == [2, 4] and run.data.params["steps"] == "4"


def test_no_tensorboard_leaves_the_table_alone(tmp_path: Path) -> None:
    assert TrainConfig().tracker == "tensorboard" and TrainConfig(tensorboard=False).tracker == ""
    assert TrainConfig(log="mlflow", tensorboard=False).tracker == "mlflow"
    require_tracker("")


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_library_is_told_before_any_work(name: str) -> None:
    if find_spec(name) is not None:
        pytest.skip(f"{name} is installed here")
    with pytest.raises(MissingExtraError, match=rf'pip install "forestpilot\[{name}\]"'):
        require_tracker(name)
