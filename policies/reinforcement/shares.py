"""Environments in rows of shared memory: what one process runs of them, and the processes that run the rest.

Neither torch nor Stable-Baselines3 is needed here, so that a helper starts quickly.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.processes import leave_signals_to_parent, worker_context, worker_process
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix, make_env
from forestpilot.policies.networks.config import CAMERAS, PolicyConfig
from forestpilot.policies.networks.views import ViewPreparer, camera_views
from forestpilot.policies.reinforcement.rewards import ENVIRONMENT_TERMS, FACTS
from forestpilot.sim.cameras import CENTER
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.goals import DEMONSTRATION, GOAL_IMAGE, IMAGE
from forestpilot.sim.outcomes import TERMINAL, Outcome
from forestpilot.sim.seeds import TRAIN_SEEDS
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.sim.envs.base import VehicleEnv

SPARE = 8
"""Environments of other arguments that a process keeps for later; each costs 36 MB."""
PREVIOUS_TURN = "previous_turn"
"""Key of the turn commanded last, as a policy's head is told it: in action units, NaN before the first step."""
COSTS = "costs"
"""Key of what the planner says of each candidate turn (K,), where it is asked."""


@dataclass(frozen=True)
class Worlds:
    """What is run, and what of it is observed; picklable."""

    task: str
    """Name of the task."""
    mix: ScenarioMix
    """Worlds and speeds."""
    spec: TaskSpec
    """Of the task."""
    policy: PolicyConfig
    """What the policy reads."""
    seed: int
    """Seed of the run."""
    first_world: int = 0
    """First training world that may be drawn."""
    asks_planner: bool = False
    """Whether the planner is asked at every step, and what it says is observed too; policies do not see it."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that are drawn."""
        return CAMERAS[self.policy.cameras]

    def seed_of(self, round_number: int, slot: int, count: int) -> int:
        """The world of an episode: the `count`-th of a slot in a round."""
        rng = np.random.default_rng([self.seed, round_number, slot, count])
        return int(rng.integers(self.first_world, TRAIN_SEEDS))

    def scenario(self, round_number: int, slot: int, count: int) -> Scenario:
        """That episode."""
        return self.mix.scenario(self.seed_of(round_number, slot, count), TASKS.get(self.task))

    def space(self) -> gymnasium.spaces.Dict:
        """What is observed of one environment.

        Raises:
            InvalidArgumentError: goals are demonstrated.
        """
        if self.spec.goal_kind == DEMONSTRATION:
            raise InvalidArgumentError(
                "goals are demonstrated here, and learning by rewards knows of no demonstrations yet; give "
                "options.goal-kind order or vector, or clone"
            )
        view = self.policy.view
        shapes: dict[str, tuple[int, ...]] = {"views": (len(self.cameras), view.height, view.width, 3)}
        if self.spec.goal_kind == IMAGE:
            shapes["goal_view"] = (view.height, view.width, 3)
        spaces: dict[str, gymnasium.Space] = {
            key: gymnasium.spaces.Box(0, 255, shape, np.uint8) for key, shape in shapes.items()
        }
        sizes = {"state": self.spec.state_size, "goal": self.spec.goal_size, PREVIOUS_TURN: 1, "facts": len(FACTS)}
        if self.asks_planner:
            sizes[COSTS] = self.spec.num_candidates
        for key, size in sizes.items():
            spaces[key] = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        return gymnasium.spaces.Dict(spaces)


@dataclass(frozen=True)
class RolledOut:
    """An episode that has ended."""

    slot: int
    """Environment that it was run in."""
    seed: int
    """Its world."""
    outcome: str
    """How it ended."""
    steps: int
    """How many steps it took."""
    progress_m: float
    """How much nearer to the goal it came."""
    interventions: int
    """How often the vehicle was put back."""
    terms: dict[str, float] = dataclasses.field(default_factory=dict)
    """Sum of each term of the learner's reward over the episode."""


class Board:
    """Arrays that all processes see: one row per environment."""

    def __init__(self, space: gymnasium.spaces.Dict, count: int, buffer: Any = None) -> None:
        observed = {key: (box.shape, box.dtype) for key, box in space.spaces.items()}
        layout: dict[str, tuple[Any, Any]] = {f"now {key}": value for key, value in observed.items()}
        layout |= {f"last {key}": value for key, value in observed.items()}
        layout |= {
            "actions": ((2,), np.float32),
            "terms": ((len(ENVIRONMENT_TERMS),), np.float32),
            "terminated": ((), np.bool_),
            "truncated": ((), np.bool_),
        }
        sizes = {name: count * int(np.prod(shape)) * np.dtype(kind).itemsize for name, (shape, kind) in layout.items()}
        if buffer is None:
            buffer = worker_context().RawArray("B", sum(-(-size // 8) * 8 for size in sizes.values()))
        self.buffer = buffer
        """The memory, to be handed to another process."""
        arrays: dict[str, NDArray] = {}
        start = 0
        for name, (shape, kind) in layout.items():
            flat = np.frombuffer(buffer, dtype=kind, count=count * int(np.prod(shape)), offset=start)
            arrays[name] = flat.reshape(count, *shape)
            start += -(-sizes[name] // 8) * 8
        self.now = {key: arrays[f"now {key}"] for key in observed}
        """What is observed now."""
        self.last = {key: arrays[f"last {key}"] for key in observed}
        """What was observed last of episodes that have just ended."""
        self.actions = arrays["actions"]
        self.terms = arrays["terms"]
        self.terminated = arrays["terminated"]
        self.truncated = arrays["truncated"]


class Share:
    """The environments that one process runs.

    Args:
        worlds: what is run.
        slots: which rows of the board are theirs.
        board: where actions stand, and what they lead to goes.
    """

    def __init__(self, worlds: Worlds, slots: Sequence[int], board: Board) -> None:
        self._worlds = worlds
        self._slots = tuple(slots)
        self._board = board
        self._task = TASKS.get(worlds.task)
        self._prepare = ViewPreparer(worlds.spec, worlds.policy.view)
        self._envs: dict[int, tuple[str, VehicleEnv]] = {}
        self._spare: list[tuple[str, VehicleEnv]] = []
        self._seeds: dict[int, int] = {}
        self._counts: dict[int, int] = {}
        self._steps: dict[int, int] = {}
        self._turns_rad: dict[int, float] = {}
        self._starts_m: dict[int, float] = {}
        self._interventions: dict[int, int] = {}
        self._round = 0
        self._resettable: tuple[str, ...] | None = None

    def begin(self, round_number: int) -> list[RolledOut]:
        """Begin a round: a new episode in every slot."""
        self._round = round_number
        for slot in self._slots:
            self._counts[slot] = 0
            self._begin_episode(slot)
        return []

    def step(self) -> list[RolledOut]:
        """Do what the board says; returns the episodes that ended, whose successors have begun."""
        return [ended for slot in self._slots if (ended := self._step(slot)) is not None]

    def close(self) -> None:
        """Free the environments."""
        for _, env in (*self._envs.values(), *self._spare):
            env.close()
        self._envs.clear()
        self._spare.clear()

    def _step(self, slot: int) -> RolledOut | None:
        board = self._board
        _, env = self._envs[slot]
        action = board.actions[slot]
        observation, _, _, _, info = env.step(action)
        outcome = info["outcome"]
        self._steps[slot] += 1
        self._interventions[slot] += info["reward_intervention"] < 0
        self._turns_rad[slot] = float(np.clip(action[0], -1, 1)) * self._worlds.spec.max_turn_rad
        is_success = float(outcome == Outcome.SUCCESS)
        board.terms[slot] = [*(info[name] for name in ENVIRONMENT_TERMS[:-1]), is_success]
        board.terminated[slot] = outcome in TERMINAL
        board.truncated[slot] = outcome == Outcome.TIMEOUT
        if outcome == Outcome.RUNNING:
            self._write(board.now, slot, observation, info)
            return None
        self._write(board.last, slot, observation, info)
        ended = RolledOut(
            slot, self._seeds[slot], outcome, self._steps[slot], info["progress_m"], self._interventions[slot]
        )
        self._counts[slot] += 1
        self._begin_episode(slot)
        return ended

    def _begin_episode(self, slot: int) -> None:
        worlds = self._worlds
        scenario = worlds.scenario(self._round, slot, self._counts[slot])
        env, options = self._env(slot, scenario.env_kwargs)
        env.draw_only(worlds.cameras)
        observation, info = env.reset(seed=scenario.seed, options=options)
        self._seeds[slot] = scenario.seed
        self._steps[slot] = 0
        self._turns_rad[slot] = np.nan
        self._starts_m[slot] = max(env.course.distance_left_m(env.vehicle), 1e-6)
        self._interventions[slot] = 0
        self._write(self._board.now, slot, observation, info)

    def _env(self, slot: int, kwargs: dict[str, Any]) -> tuple[VehicleEnv, dict[str, Any]]:
        """An environment of these arguments for a slot, and what its reset is to be told; made only where none is
        there."""
        resettable = self._resettable or ()
        key = repr(sorted((name, value) for name, value in kwargs.items() if name not in resettable))
        options = {name: value for name, value in kwargs.items() if name in resettable}
        if slot in self._envs and self._envs[slot][0] == key:
            return self._envs[slot][1], options
        if slot in self._envs:
            self._spare.append(self._envs.pop(slot))
        found = next((place for place, (made_as, _) in enumerate(self._spare) if made_as == key), None)
        env = (
            make_env(self._task, **kwargs, expert=self._worlds.asks_planner)
            if found is None
            else self._spare.pop(found)[1]
        )
        if self._resettable is None:
            self._resettable = tuple(name for name in env.course.reset_options if name in kwargs)
            return self._env_made(slot, env, kwargs)
        while len(self._spare) > SPARE:
            self._spare.pop(0)[1].close()
        self._envs[slot] = (key, env)
        return env, options

    def _env_made(self, slot: int, env: VehicleEnv, kwargs: dict[str, Any]) -> tuple[VehicleEnv, dict[str, Any]]:
        """Keep the first environment for its slot, under what any other with its arguments is found by."""
        rest = sorted((name, value) for name, value in kwargs.items() if name not in (self._resettable or ()))
        self._envs[slot] = (repr(rest), env)
        return env, {name: kwargs[name] for name in self._resettable or ()}

    def _write(
        self, rows: dict[str, NDArray], slot: int, observation: dict[str, NDArray], info: dict[str, Any]
    ) -> None:
        """Put what a policy reads of an observation into a row."""
        worlds = self._worlds
        spec = worlds.spec
        batch = {key: value[None] for key, value in observation.items()}
        rows["views"][slot] = camera_views(spec, self._prepare, worlds.cameras, batch)[0]
        rows["state"][slot] = observation["state"]
        rows["goal"][slot] = observation["goal"]
        if "goal_view" in rows:
            level = np.zeros((1, spec.state_size), np.float32)
            rows["goal_view"][slot] = self._prepare(batch[GOAL_IMAGE], level)[0]
        turns_rad = np.array([self._turns_rad[slot]], np.float32)
        previous_rad = spec.turn.previous_now_rad(spec, turns_rad, batch["state"])
        rows[PREVIOUS_TURN][slot] = previous_rad / spec.max_turn_rad
        env = self._envs[slot][1]
        left = env.course.distance_left_m(env.vehicle) / self._starts_m[slot]
        limit_s = env.course.time_limit_s()
        used = self._steps[slot] / spec.control_hz / limit_s
        rows["facts"][slot] = (left, used, info["clearance_m"])
        if COSTS in rows:
            rows[COSTS][slot] = info["expert_costs"][CENTER]


class Helper:
    """A process that runs a share of the environments."""

    def __init__(self, worlds: Worlds, slots: Sequence[int], count: int, board: Board) -> None:
        self._pipe, theirs = worker_context().Pipe()
        self._process = worker_process(_serve, theirs, worlds, slots, count, board.buffer)
        self._process.start()
        theirs.close()

    def ask(self, name: str, *args: Any) -> None:
        """Have its share do something."""
        try:
            self._pipe.send((name, args))
        except OSError as error:
            raise self._lost() from error

    def answer(self) -> list[RolledOut]:
        """The episodes that ended meanwhile."""
        try:
            found = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if isinstance(found, Exception):
            raise found
        ended: list[RolledOut] = found
        return ended

    def close(self) -> None:
        """End it."""
        self._pipe.close()
        self._process.join()

    def _lost(self) -> ForestPilotError:
        return ForestPilotError(
            "a process that ran environments died; what it said, if anything, stands above. What is finished is kept; "
            "the same command goes on"
        )


def _serve(pipe: Connection, worlds: Worlds, slots: Sequence[int], count: int, buffer: Any) -> None:
    """Body of a helper's process: does what it is asked until nobody asks any more."""
    leave_signals_to_parent()
    share = Share(worlds, slots, Board(worlds.space(), count, buffer))
    try:
        for name, args in iter(functools.partial(_asked, pipe), None):
            pipe.send(_answered(getattr(share, name), args))
    finally:
        share.close()


def _asked(pipe: Connection) -> tuple[str, tuple[Any, ...]] | None:
    try:
        request: tuple[str, tuple[Any, ...]] = pipe.recv()
    except EOFError:
        return None
    return request


def _answered(call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """What it returns, or the error that it ends with."""
    try:
        return call(*args)
    except Exception as error:
        return ForestPilotError(f"{type(error).__name__} in a process that runs environments: {error}")
