"""One episode under way: its environment, and the record of it that grows with every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.episodes.rerun import FIRST_RUN, Rerun
from forestpilot.data_collection.rollouts.results import EpisodeResult
from forestpilot.data_collection.rollouts.scenarios import Scenario, make_env
from forestpilot.data_collection.rollouts.spare_envs import SpareEnvs
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.goals import ANSWERS, GOAL_IMAGE, ONCE_KEYS, PLACE
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.viewpoints.viewpoint import ThirdPersonConfig, VehicleViewConfig, ViewpointConfig, view_key

if TYPE_CHECKING:
    from forestpilot.sim.envs.third_camera import ThirdCamera

NO_VIEWPOINT = VehicleViewConfig()
"""Nobody looks on."""
OBSERVATION_KEYS = ("left", "center", "right", "state", "goal")


class EpisodeRecorder:
    """An episode under way, whoever acts in it.

    Args:
        task: name of the task.
        scenario: world and arguments of the environment.
        expert: ask the expert at every state.
        record: keep the observations, for `episode`.
        cameras: those that somebody looks at; the others are drawn only where the observations are kept.
        envs: lends the environment; by default one is made and closed.
        viewpoint: from where else it is looked at, where the observations are kept; by default from nowhere.
    """

    def __init__(
        self,
        task: str,
        scenario: Scenario,
        expert: bool,
        record: bool,
        cameras: Sequence[str] = CAMERA_NAMES,
        envs: SpareEnvs | None = None,
        viewpoint: ViewpointConfig = NO_VIEWPOINT,
    ) -> None:
        self.task = task
        self.scenario = scenario
        self._recording = record
        self._cameras = tuple(cameras)
        self._envs = envs
        make = make_env if envs is None else envs.take
        self.env = make(TASKS.get(task), **scenario.env_kwargs, expert=expert)
        self.env.draw_only(CAMERA_NAMES if record else cameras)
        self.observation, self.info = self.env.reset(seed=scenario.seed)
        self._clearance: float = self.info["clearance_m"]
        self._speeds: list[float] = []
        self._steps_off_line = 0
        self._hashes = [self.env.state_hash()]
        self._steps: list[dict[str, Any]] = []
        self._observations = [self.observation] if record else []
        self._offsets = [self.info["camera_offsets"]]
        self._told: dict[str, list[np.ndarray]] = {PLACE: [], ANSWERS: []}
        self._note_told()
        self._view = view_key(viewpoint.part)
        self._third = self._third_camera(viewpoint) if record else None
        self._seen_from_there: list[np.ndarray] = []
        self._look_from_there()

    @property
    def pilot_info(self) -> dict[str, Any]:
        """Told to a pilot beside the observation: `info`, the `task_spec`, and what the cameras see in metres
        (`depth`), which is there for whoever looks at any."""
        told = {**self.info, "task_spec": self.env.task_spec}
        if self._cameras:
            told["depth"] = self.env.frames.depth
        return told

    @property
    def observation_keys(self) -> tuple[str, ...]:
        """Names of what is told to pilots and kept."""
        return (*OBSERVATION_KEYS, *(key for key in (GOAL_IMAGE, *ONCE_KEYS) if key in self.observation))

    @property
    def num_steps(self) -> int:
        """Steps taken."""
        return len(self._steps)

    @property
    def time_s(self) -> float:
        """Time since the start in seconds."""
        return self.num_steps / self.env.task_spec.control_hz

    def step(
        self,
        action: np.ndarray,
        actor: int,
        labelled: bool = True,
        keys: int | None = None,
        human_action: np.ndarray | None = None,
        disagreement: float | None = None,
    ) -> bool:
        """Take one step.

        Args:
            action: (2,) what to do.
            actor: who decided, as in `Episode.actor`.
            labelled: whether this state's label was asked for.
            keys: steering keys held, where a human can steer.
            human_action: (2,) what a watching human would do.
            disagreement: an ensemble's, in radians.

        Returns:
            Whether the episode is over.
        """
        before = self.info
        self.observation, reward, terminated, truncated, self.info = self.env.step(action)
        self._clearance = min(self._clearance, self.info["clearance_m"])
        self._speeds.append(self.info["speed_mps"])
        self._steps_off_line += bool(self.info.get("lane_departure", False))
        self._hashes.append(self.env.state_hash())
        step = {
            "actions": action,
            "actor": actor,
            "rewards": reward,
            "terminated": terminated,
            "truncated": truncated,
            "labelled": labelled,
            "keys": keys,
            "human_actions": human_action,
            "disagreement": disagreement,
        }
        self._steps.append(step)
        if self._recording:
            step["displaced"] = before.get("displaced")
            step["expert_action"] = before.get("expert_action")
            step["expert_costs"] = before.get("expert_costs")
            self._observations.append(self.observation)
            self._offsets.append(self.info["camera_offsets"])
            self._note_told()
            self._look_from_there()
        return terminated or truncated

    def finished(self) -> EpisodeResult:
        """Result of the episode, as far as it went."""
        return EpisodeResult(
            scenario=self.scenario,
            outcome=self.info["outcome"],
            progress_m=self.info["progress_m"],
            time_s=self.time_s,
            min_clearance_m=self._clearance,
            mean_speed_mps=float(np.mean(self._speeds)),
            distance_m=float(np.sum(self._speeds)) / self.env.task_spec.control_hz,
            interventions=self.info.get("interventions", 0),
            off_line_s=self._steps_off_line / self.env.task_spec.control_hz,
            actions=np.array(self._column("actions"), np.float32),
            state_hashes=np.array(self._hashes, np.uint64),
        )

    def episode(self, policy_id: str, dagger_round: int = 0, rerun: Rerun = FIRST_RUN) -> Episode:
        """The episode as an episode, as far as it went; at least one step must have been taken.

        Args:
            policy_id: who acted.
            dagger_round: round that it is filed under.
            rerun: which run through its world in that round.
        """
        spec = self.env.task_spec
        meta = EpisodeMeta(
            outcome=self.info["outcome"],
            seed=self.scenario.seed,
            env_id=TASKS.get(self.task).bare_env_id,
            env_kwargs=self.scenario.env_kwargs,
            control_hz=spec.control_hz,
            renderer=spec.renderer,
            package_version=package_version(),
            dagger_round=dagger_round,
            policy_id=policy_id,
            progress_m=self.info["progress_m"],
            task_spec=spec.to_dict(),
        )
        labelled = np.array(self._column("labelled"), bool)
        return Episode(
            observations=self._seen(),
            actions=np.array(self._column("actions"), np.float32),
            actor=np.array(self._column("actor"), np.uint8),
            rewards=np.array(self._column("rewards"), np.float32),
            terminated=np.array(self._column("terminated"), bool),
            truncated=np.array(self._column("truncated"), bool),
            meta=meta,
            expert_actions=_where_asked(self._column("expert_action"), labelled),
            expert_costs=_where_asked(self._column("expert_costs"), labelled),
            camera_offsets=np.array(self._offsets, np.float32),
            keys=_all_or_none(self._column("keys"), np.uint8),
            human_actions=_all_or_none(self._column("human_actions"), np.float32),
            labelled=None if labelled.all() else labelled,
            disagreement=_all_or_none(self._column("disagreement"), np.float32),
            displaced=_all_or_none(self._column("displaced"), bool),
            rerun=rerun,
        )

    def _note_told(self) -> None:
        """Remember where the vehicle is, and what the expert would do for other orders, where the environment says so:
        goals can then be relabelled."""
        for key, values in self._told.items():
            if key in self.info:
                values.append(self.info[key])

    def _third_camera(self, viewpoint: ViewpointConfig) -> ThirdCamera | None:
        """The camera that looks on from elsewhere, where there is one."""
        if not isinstance(viewpoint, ThirdPersonConfig):
            return None
        from forestpilot.sim.envs.third_camera import ThirdCamera

        return ThirdCamera(self.env, viewpoint)

    def _look_from_there(self) -> None:
        """Keep what it sees now."""
        if self._third is not None:
            self._seen_from_there.append(self._third.draw())

    def _seen(self) -> dict[str, np.ndarray]:
        """The observations of all steps, by name."""
        seen = {key: self._stacked(key) for key in self.observation_keys}
        seen |= {key: np.stack(values) for key, values in self._told.items() if values}
        if self._seen_from_there:
            seen[self._view] = np.stack(self._seen_from_there)
        return seen

    def _stacked(self, key: str) -> np.ndarray:
        """An observation of all steps; one that stays the same takes no more memory than that of one step."""
        if key in ONCE_KEYS:
            first = self._observations[0][key]
            return np.broadcast_to(first, (len(self._observations), *first.shape))
        return np.stack([seen[key] for seen in self._observations])

    def _column(self, name: str) -> list[Any]:
        """Values of a name, one for each step."""
        return [step[name] for step in self._steps]

    def close(self) -> None:
        """Give the environment back, or close it where nobody has lent it."""
        if self._third is not None:
            self._third.close()
        if self._envs is None:
            self.env.close()
        else:
            self._envs.give_back(self.env)


def _all_or_none(values: list[Any], dtype: type) -> np.ndarray | None:
    """The values as an array; None where one is missing."""
    if any(value is None for value in values):
        return None
    return np.array(values, dtype)


def _where_asked(values: list[Any], labelled: np.ndarray) -> np.ndarray | None:
    """The expert's answers, zero where nobody asked; None where there was no expert."""
    answers = _all_or_none(values, np.float32)
    if answers is not None:
        answers[~labelled] = 0.0
    return answers
