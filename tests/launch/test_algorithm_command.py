"""`forestpilot dagger`, the verb of an algorithm, with a human: where they sit, what is printed, what is kept."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import forestpilot.launch.screens
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN
from forestpilot.data_collection.people.console import Command, Input, Key
from forestpilot.data_collection.rollouts.gates.expert import ExpertGateConfig
from forestpilot.data_collection.rollouts.gates.human import HumanGateConfig
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch import cli
from forestpilot.launch.screens import ScreenConfig
from forestpilot.launch.verbs import get_verb, verb_lines
from forestpilot.launch.verbs.algorithm import rounds_table
from forestpilot.policies.algorithms import ALGORITHMS
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.rounds import RoundResult
from forestpilot.policies.networks.encoders.cnn import CNNConfig
from forestpilot.policies.networks.heads.mixture import MixtureConfig
from forestpilot.policies.networks.views import ViewConfig
from forestpilot.policies.networks.visuomotor import PolicyConfig
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.tasks.drone import DroneOptions
from tests.policies.noisy_demonstrations import NoisyDemonstrations

POLICY = PolicyConfig(
    view=ViewConfig(16, 32), encoder=CNNConfig((4, 8, 8)), features=16, window=4, head=MixtureConfig()
)
DAGGER = get_verb("dagger")
assert DAGGER.Config is not None
TINY = DAGGER.Config(
    gate=HumanGateConfig(), rounds=1, expert_episodes=2, episodes=1, first_steps=10, last_steps=10,
    validation_episodes=1, workers=1,
    mix=ScenarioMix(speeds=(10.0, 10.0), options=DroneOptions(density=(0.005,))), screen=ScreenConfig(size="320x180"),
    train=TrainConfig(policy=POLICY, batch_windows=4, tensorboard=False),
)  # fmt: skip


class ScriptedScreen:
    """Starts the episode, takes over a few pictures later, steers, hands back, and leaves: as if somebody sat there."""

    opened: list[ScriptedScreen] = []

    def __init__(self) -> None:
        self.size, self.is_open, self.pictures = (320, 180), True, []
        ScriptedScreen.opened.append(self)

    def show(self, picture: np.ndarray) -> None:
        assert picture.shape == (180, 320, 3) and picture.dtype == np.uint8
        self.pictures.append(picture)

    def poll(self) -> Input:
        drawn = len(self.pictures)
        if drawn <= 1:
            return Input(Key.FORWARD if drawn else Key.NONE)
        commands = {4: Command.TAKE_OVER, 12: Command.HAND_BACK, 18: Command.QUIT}
        return Input(Key.LEFT if 4 <= drawn < 8 else Key.NONE, commands=(commands[drawn],) if drawn in commands else ())

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def screens(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedScreen]:
    """The screens that a command opens; none of them real."""
    ScriptedScreen.opened = []
    monkeypatch.setattr(forestpilot.launch.screens, "open_screen", lambda config, web, title: ScriptedScreen())
    return ScriptedScreen.opened


@pytest.mark.parametrize("web", [False, True])
def test_a_human_takes_over_at_a_screen_and_is_learned_from(web, screens, tmp_path: Path, capsys) -> None:
    DAGGER.run(dataclasses.replace(TINY, out=str(tmp_path / "run"), web=web))
    printed = capsys.readouterr().out
    assert re.search(r"round 1, taken over 1 time, 0\.[5-9] s each", printed)
    assert "stopped in round 1" not in printed, "the episode was left early, but it was the last one"
    assert len(screens) == (1 if web else 2), "a window is tried before the training, and opened again after it"
    assert not any(screen.is_open for screen in screens)
    episode = next(h for h in Dataset.open(tmp_path / "run" / "dataset").episodes if h.meta.dagger_round == 1)
    kept = load_episode(episode.path)
    driven = kept.actor == ACTOR_HUMAN
    assert kept.meta.outcome == "running" and 5 <= driven.sum() <= 9
    assert kept.expert_actions is None and (kept.labelled_steps == driven).all()
    assert (kept.keys[driven] & Key.LEFT).any() and (kept.actions[driven, 0] > 0.2).any()
    assert np.abs(np.diff(kept.actions[driven, 0])).max() < 0.7, "held keys become a smooth turn"


def test_who_leaves_early_can_go_on_with_the_same_command(screens, tmp_path: Path, capsys) -> None:
    config = dataclasses.replace(TINY, out=str(tmp_path / "run"), episodes=2)
    DAGGER.run(config)
    assert "stopped in round 1 with 1 of 2 episodes to go" in capsys.readouterr().out
    DAGGER.run(config)
    assert "next: forestpilot evaluate" in capsys.readouterr().out
    assert (tmp_path / "run" / "policy.json").exists()


def test_a_screen_that_cannot_be_opened_is_said_before_anything_is_trained(monkeypatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise forestpilot.launch.screens.ScreenError("there is no display")

    monkeypatch.setattr(forestpilot.launch.screens, "open_screen", refuse)
    with pytest.raises(forestpilot.launch.screens.ScreenError, match="no display"):
        DAGGER.run(dataclasses.replace(TINY, out=str(tmp_path / "run")))
    assert not (tmp_path / "run" / "dataset").exists()


def test_the_table_has_the_columns_that_the_run_can_fill() -> None:
    result = RoundResult(
        1, 0.5, 20, 900, 0.5, 0.75, 40, 0.6, 0.86, visited=1500, intervention_steps=60, takeovers=4,
        mean_takeover_s=1.5, context_switches=7, crashes=2,
    )  # fmt: skip
    plain = rounds_table([result], DaggerConfig())
    assert "beta" in plain[0] and "takeovers" not in plain[0] and "interventions" not in plain[0]
    gated = rounds_table([result], DaggerConfig(task="drive", gate=ExpertGateConfig()))
    row = dict(zip(*gated, strict=True))
    assert (row["takeovers"], row["mean takeover"], row["switches"], row["crashes"]) == ("4", "1.5 s", "7", "2")
    assert "beta" not in row and row["validation success"] == "30/40" and row["interventions"] == "0"


def test_an_algorithm_of_another_package_is_a_verb_with_its_own_options_and_a_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ALGORITHMS.register("noisy", NoisyDemonstrations, "demonstrations with noise")
    try:
        assert "noisy" in [line.name for line in verb_lines()]
        with pytest.raises(SystemExit):
            cli.main(["noisy", "--help"])
    finally:
        ALGORITHMS.unregister("noisy")
    shown = capsys.readouterr().out
    for option in ("--noise", "--rounds", "--mix.", "--screen.size"):
        assert option in shown
