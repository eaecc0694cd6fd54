"""Somebody at the keyboard, simulated: late, with keys that know only down and up, and still on the road."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.people.console import Key
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, roll_out
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch.studies import keyboard
from forestpilot.launch.studies.key_presser import KeyPresserFactory, held_keys
from forestpilot.launch.studies.keyboard import Keyboard
from forestpilot.launch.studies.study import Bench
from forestpilot.sim.tasks.drive import DRIVE, DriveOptions

MIX = ScenarioMix(presets=("winding",), speeds=(8.0, 8.0), options=DriveOptions(length=100.0), width=32, height=24)


def test_keys_are_held_towards_what_is_wanted_and_let_go_near_it() -> None:
    assert held_keys(np.array([0.5, 0.0]), 0.0) == Key.LEFT
    assert held_keys(np.array([0.5, 0.0]), 0.7) == Key.RIGHT
    assert held_keys(np.array([0.5, 0.1]), 0.45) == Key.NONE
    assert held_keys(np.array([-0.5, 0.9]), 0.0) == Key.RIGHT | Key.FORWARD
    assert held_keys(np.array([0.0, -0.9]), 0.0) == Key.BACK


@pytest.mark.parametrize("shaped", [True, False])
def test_the_presser_stays_on_the_road_and_shaped_keys_do_so_more_smoothly(shaped: bool) -> None:
    episodes = tuple(MIX.scenario(seed, DRIVE) for seed in (0, 1))
    done = list(roll_out(Job("drive", episodes, KeyPresserFactory(shaped, 0.2, 10))))
    assert all(episode.outcome == "success" for episode in done)
    change = np.concatenate([np.abs(np.diff(episode.actions[:, 0])) for episode in done])
    assert change.max() < 0.5 if shaped else (change > 0.3).mean() > 0.15


def test_a_reaction_time_holds_the_hands_back() -> None:
    episode = MIX.scenario(0, DRIVE)
    first_press = []
    for late in (0.0, 0.3):
        done = next(roll_out(Job("drive", (episode,), KeyPresserFactory(False, late, 10))))
        first_press.append(np.flatnonzero(done.actions[:, 1]).min())
    assert first_press[1] - first_press[0] == 3, "the first press of the pedal comes three steps later"


def test_what_was_done_is_learned_and_not_what_the_expert_would_have_done(tmp_path: Path) -> None:
    study = Keyboard(dataclasses.replace(Keyboard.quick, out=str(tmp_path), demonstrations=1))
    data = tmp_path / "data"
    with RolloutPool(1) as pool:
        bench = Bench(tmp_path, pool, SilentProgress())
        study.demonstrate(data, "shaped", 0, bench)
        labels, figures = study.describe_demonstrations(data)
        study.demonstrate(data, "shaped", 0, bench)
    assert study.describe_demonstrations(data) == (labels, figures)
    assert labels > 50 and figures["change_deg"] > 0
    episode = load_episode(Dataset.open(data).episodes[0].path)
    assert episode.expert_actions is None and (episode.actor == ACTOR_HUMAN).all() and episode.labelled_steps.all()
    (data / "driven").rename(data / "trips")
    assert study.describe_demonstrations(data) == (labels, figures), "as version 0.1 laid them out"


def test_senseless_settings_are_refused() -> None:
    for change in ({"demonstrations": 0}, {"reaction": -0.1}, {"reaction": 3.0}, {"test_roads": 1}):
        with pytest.raises(ValueError, match=r"allowed|at least"):
            keyboard.Config(**change)
