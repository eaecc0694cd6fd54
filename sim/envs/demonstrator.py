"""Demonstrations: the expert does the same task once in another world, and what it sees and does is shown.

Duan et al. 2017, One-Shot Imitation Learning (arXiv:1703.07326): a policy is given one demonstration of a task, and is
to do that task from other starting situations.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np

from forestpilot.sim.cameras import CAMERA_NAMES, CENTER, FIXED
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.goals import DEMONSTRATED, DEMONSTRATED_FRAMES, DEMONSTRATED_STEPS, GOAL_MIRRORS, VECTOR
from forestpilot.sim.outcomes import Outcome
from forestpilot.sim.seeds import SPLIT_STARTS, SeedStream, rng_for, split_of

if TYPE_CHECKING:
    from forestpilot.sim.envs.base import VehicleEnv
    from forestpilot.sim.envs.task_spec import TaskSpec

TRIES = 20
"""In so many other worlds at most it is tried to demonstrate a task."""
WORLDS = 1_000_000
"""Worlds of a split that demonstrations are drawn from."""
NUM_GOAL = len(GOAL_MIRRORS[VECTOR])
NUM_ACTION = 2


class Demonstration(NamedTuple):
    """One demonstration, seen at F moments evenly apart."""

    frames: np.ndarray
    """(F, H, W, 3) uint8, what the center camera saw."""
    steps: np.ndarray
    """(F, S + 3 + 2) float32: the state, the goal as one of kind `vector` or `way`, and what was done."""

    @classmethod
    def blank(cls, spec: TaskSpec) -> Demonstration:
        """What is shown to whoever does not look: black pictures, and zeros."""
        pictures = np.zeros((DEMONSTRATED_FRAMES, spec.image_height, spec.image_width, 3), np.uint8)
        return cls(pictures, np.zeros((DEMONSTRATED_FRAMES, steps_size(spec)), np.float32))


def steps_size(spec: TaskSpec) -> int:
    """Numbers that tell one moment of a demonstration."""
    return spec.state_size + NUM_GOAL + NUM_ACTION


def shown_spaces(spec: TaskSpec) -> dict[str, gymnasium.Space]:
    """What is observed of a demonstration, by key."""
    pictures = (DEMONSTRATED_FRAMES, spec.image_height, spec.image_width, 3)
    steps = (DEMONSTRATED_FRAMES, steps_size(spec))
    return {
        DEMONSTRATED: gymnasium.spaces.Box(0, 255, pictures, np.uint8),
        DEMONSTRATED_STEPS: gymnasium.spaces.Box(-np.inf, np.inf, steps, np.float32),
    }


class Demonstrator:
    """Does a task of an environment in other worlds of the same split; which, follows from the seed.

    Args:
        env: whose tasks are demonstrated, as its course says.
    """

    def __init__(self, env: VehicleEnv) -> None:
        args, kwargs = env._made_with
        given = dict(inspect.signature(type(env)).bind(*args, **kwargs).arguments)
        own: dict[str, Any] = {"side_cameras": FIXED, "expert": False, "render_mode": None, "observe": ("rgb",)}
        own |= {"advisor": "", "lead_in": (), "pose_noise": None, "dropped_pictures": 0.0}
        own |= env.course.demonstrated_with()
        self._env: VehicleEnv = type(env)(**given | own)
        self._env.draw_only((CAMERA_NAMES[CENTER],))

    def show(self, seed: int, options: dict[str, Any]) -> Demonstration:
        """The demonstration that belongs to a world.

        Args:
            seed: of the world of whoever is shown it.
            options: as in `reset`.

        Raises:
            ForestPilotError: the expert does not get there in any of `TRIES` other worlds.
        """
        rng = rng_for(seed, SeedStream.DEMONSTRATIONS)
        for _ in range(TRIES):
            elsewhere = SPLIT_STARTS[split_of(seed)] + int(rng.integers(WORLDS))
            shown = self._fly(elsewhere, options) if elsewhere != seed else None
            if shown is not None:
                return shown
        raise ForestPilotError(f"nobody could demonstrate the task of seed {seed} in {TRIES} other worlds")

    def _fly(self, seed: int, options: dict[str, Any]) -> Demonstration | None:
        """One flight of the expert's; None where it fails."""
        env = self._env
        observation, _ = env.reset(seed=seed, options=options)
        pictures = []
        steps = []
        is_over = False
        info: dict[str, Any] = {}
        while not is_over:
            action = env.expert_labels().actions[CENTER]
            pictures.append(observation[CAMERA_NAMES[CENTER]])
            steps.append(np.concatenate([observation["state"], observation["goal"], action]))
            observation, _, terminated, truncated, info = env.step(action)
            is_over = terminated or truncated
        if info["outcome"] != Outcome.SUCCESS:
            return None
        moments = np.linspace(0, len(steps) - 1, DEMONSTRATED_FRAMES).round().astype(int)
        shown = Demonstration(np.stack(pictures)[moments], np.stack(steps)[moments].astype(np.float32))
        for values in shown:
            values.setflags(write=False)
        return shown

    def close(self) -> None:
        """Free its environment."""
        self._env.close()
