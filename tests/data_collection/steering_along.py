"""Recorded episodes of a policy, and somebody who watches them and steers along, late."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.people.console import Command, Input, Key
from forestpilot.data_collection.people.scene import Mode, Scene
from forestpilot.data_collection.rollouts.pilots import EXPERT_CENTER
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix, task_spec_of
from forestpilot.sim.tasks.drone import DRONE, DroneOptions

MIX = ScenarioMix(options=DroneOptions(density=(0.0667,)), speeds=(4.0, 4.0), width=32, height=24)
HZ = MIX.control_hz
DELAY_STEPS = 3


def record(
    folder: Path,
    seeds: range,
    actor: int = ACTOR_POLICY,
    dagger_round: int = 1,
    steps: int = 150,
    pose_noise: Mapping[str, float] | None = None,
) -> Dataset:
    """Episodes of a policy that follows the expert, but wanders off."""
    dataset = Dataset.create(folder, task_spec_of(DRONE, MIX), DRONE.bare_env_id)
    for seed in seeds:
        scenario = MIX.scenario(seed, DRONE)
        if pose_noise:
            scenario = Scenario(seed, {**scenario.env_kwargs, "pose_noise": pose_noise})
        running = EpisodeRecorder("drone", scenario, expert=True, record=True)
        rng, drift, over = np.random.default_rng(seed), 0.0, False
        while not over and running.num_steps < steps:
            drift = 0.9 * drift + rng.normal(0, 0.15)
            action = running.info["expert_action"][EXPERT_CENTER] + np.array([drift, 0.0])
            over = running.step(np.clip(action, -1, 1).astype(np.float32), actor)
        dataset.add(running.episode("student", dagger_round))
        running.close()
    return dataset


class Human:
    """Screen, painter and clock at once: somebody who sees the expert's turn and holds keys to follow it, late.

    Args:
        delay_steps: steps between seeing and pressing.
        script: commands to give at some number of pictures shown.
    """

    size = (320, 180)

    def __init__(self, delay_steps: int = DELAY_STEPS, script: dict[int, Command] | None = None) -> None:
        self.is_open, self.messages = True, set[str]()
        self._seen: deque[float] = deque([0.0] * (delay_steps + 1), maxlen=delay_steps + 1)
        self._scene: Scene | None = None
        self._script = dict(script or {})
        self._time_s, self._pictures, self.press = 0.0, 0, False
        self.close_after: int | None = None
        self.episodes = 0

    def now(self) -> float:
        return self._time_s

    def sleep(self, seconds: float) -> None:
        self._time_s += seconds

    def begin(self, episode: EpisodeRecorder) -> None:
        self._seen.extend([0.0] * len(self._seen))
        self.episodes += 1

    def paint(self, scene: Scene) -> NDArray[np.uint8]:
        self._scene = scene
        self.messages.add(scene.message)
        if scene.mode == Mode.RUNNING:
            self._pictures += 1
            self._seen.append(float(scene.episode.info["expert_action"][EXPERT_CENTER][0]))
        return np.zeros((180, 320, 3), np.uint8)

    def show(self, picture: NDArray[np.uint8]) -> None:
        if self.close_after is not None and self._pictures >= self.close_after:
            self.is_open = False

    def poll(self) -> Input:
        if self._scene is None or self._scene.mode != Mode.RUNNING:
            self.press = not self.press
            return Input(Key.FORWARD if self.press else Key.NONE)
        command = self._script.pop(self._pictures, None)
        wanted, axis = self._seen[0], float(self._scene.action[0])
        side = Key.LEFT if wanted - axis > 0.12 else Key.RIGHT if wanted - axis < -0.12 else Key.NONE
        return Input(side | Key.FORWARD, commands=(command,) if command else ())

    def close(self) -> None:
        self.is_open = False
