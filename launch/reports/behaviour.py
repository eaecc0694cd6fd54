"""What a policy did step by step, against what the expert would have done at the same states: signs of a copycat.

Who learns from a history of observations may learn to repeat the last action, which is nearly always nearly right, and
miss the moments at which it is not (the copycat problem: Wen et al. 2020, arXiv:2010.14876). What is measured of it:

    how much actions change from step to step, and how well the last one predicts the next (Wen et al. 2020 measure how
    predictable a policy's actions are from those before), each against the expert at the same states;
    the error where the expert changes its mind, against the error elsewhere (Wen et al. 2021, arXiv:2106.06452);
    episodes that run out of time and time spent standing (inertia: Codevilla et al. 2019, arXiv:1904.08980; Chuang et
    al. 2022, arXiv:2207.09705, count timeouts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.rollouts.replay import (
    ReplayedStep,
    StoredEpisode,
    heading_rad,
    load_stored_episode,
    make_replay_env,
    replay_episode,
)
from forestpilot.sim.cameras import CENTER
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.worlds.world import World

CHANGES = 0.1
"""Share of the steps that count as changes: those at which the expert's answer differs most from its last one."""
STANDING_MPS = 0.5
"""Slower than this is standing."""
START_S = 2.0
"""Time from rest that is not counted as standing, seconds."""
RESAMPLES = 2000
"""Samples of the bootstrap."""


@dataclass
class Trace:
    """An episode, replayed: what was done at each of its T + 1 states."""

    episode: StoredEpisode
    """What was stored of it."""
    spec: TaskSpec
    """Its task."""
    world: World
    """Its world."""
    path_m: NDArray[np.float64]
    """(T + 1, 3) positions in metres."""
    yaw_rad: NDArray[np.float64]
    """(T + 1,) headings in radians."""
    speed_mps: NDArray[np.float64]
    """(T + 1,) speeds in m/s."""
    clearance_m: NDArray[np.float64]
    """(T + 1,) least distance to an obstacle during the step that led there, metres."""
    turn_deg: NDArray[np.float64]
    """(T,) turns or steering angles commanded, degrees, left positive."""
    expert_turn_deg: NDArray[np.float64]
    """(T,) what the expert would have commanded at the same states."""
    intervened_at: list[int]
    """States at which a car had been put back."""
    steps: list[ReplayedStep] = field(default_factory=list)
    """All states with their observations; empty unless asked for."""

    @property
    def dt_s(self) -> float:
        """Time between states in seconds."""
        return 1.0 / self.spec.control_hz


def try_trace(path: Path, keep_steps: bool = False) -> tuple[Trace | None, str]:
    """A stored episode, replayed beside the expert; or None, and why it cannot be.

    Args:
        path: file of the episode.
        keep_steps: keep observations, for pictures and films.
    """
    try:
        return trace_episode(load_stored_episode(path), keep_steps), ""
    except ForestPilotError as error:
        return None, str(error).rstrip(".")
    except (gymnasium.error.Error, ValueError, TypeError, KeyError) as error:
        # A file from another version may name an environment, or arguments of it, that this one does not have.
        return None, f"the world of {path.name} cannot be made again: {type(error).__name__} {error}".rstrip(".")


def trace_episode(episode: StoredEpisode, keep_steps: bool = False) -> Trace:
    """Replay an episode beside the expert.

    Args:
        episode: what was stored.
        keep_steps: keep observations, for pictures and films.

    Raises:
        ReplayDivergedError: the simulation does not repeat it.
    """
    env = make_replay_env(episode, expert=True)
    vehicle: Any = env.unwrapped
    states: list[_State] = []
    steps: list[ReplayedStep] = []
    intervened_at: list[int] = []
    try:
        for step in replay_episode(episode, env):
            states.append(_state(vehicle.task_spec, step))
            if step.info.get("intervened"):
                intervened_at.append(step.index)
            if keep_steps:
                steps.append(step)
        spec: TaskSpec = vehicle.task_spec
        world: World = vehicle.world
    finally:
        env.close()
    path_m, yaw_rad, speed_mps, clearance_m, expert_turn = map(np.array, zip(*states))
    degrees = math.degrees(spec.max_turn_rad)
    return Trace(
        episode=episode,
        spec=spec,
        world=world,
        path_m=path_m,
        yaw_rad=yaw_rad,
        speed_mps=speed_mps,
        clearance_m=clearance_m,
        turn_deg=degrees * episode.actions[:, 0].astype(float),
        expert_turn_deg=degrees * expert_turn[:-1],
        intervened_at=intervened_at,
        steps=steps,
    )


class _State(NamedTuple):
    """One state of an episode, without its pictures, which would fill the memory on a long road."""

    position_m: NDArray[np.float64]
    yaw_rad: float
    speed_mps: float
    clearance_m: float
    expert_turn: float
    """The turn that the expert would command, -1 to 1."""


def _state(spec: TaskSpec, step: ReplayedStep) -> _State:
    state = step.observation["state"]
    return _State(
        position_m=step.position_m,
        yaw_rad=heading_rad(step.rotation),
        speed_mps=math.hypot(state[spec.index("forward_mps")], state[spec.index("left_mps")]),
        clearance_m=step.info["clearance_m"],
        expert_turn=float(step.info["expert_action"][CENTER][0]),
    )


@dataclass(frozen=True)
class CopycatFigures:
    """Figures of how much an arm repeats itself, over some replayed episodes."""

    episodes: int
    """Number of episodes."""
    steps: int
    """Number of actions in them."""
    change_deg: float
    """Mean change of the turn from one step to the next, degrees."""
    expert_change_deg: float
    """The same of the expert's answers at the same states."""
    ratio: float
    """The first over the second; NaN where the expert never changes."""
    ratio_low: float
    """Lower end of its 95 % interval, by bootstrap over the episodes."""
    ratio_high: float
    """Upper end."""
    autocorrelation: float
    """Correlation of a turn with the one before; NaN where turns never change."""
    expert_autocorrelation: float
    """The same of the expert's answers."""
    error_deg: float
    """Mean distance of the turn from the expert's answer, degrees, where the answer stays nearly as it was."""
    change_error_deg: float
    """The same at changes: the tenth of the steps at which the expert's answer changes most."""
    repeats: float
    """Share of the changes at which the turn is nearer to the arm's own last one than to the expert's answer."""
    standing: float
    """Share of the time below 0.5 m/s, without the first two seconds."""


def copycat_figures(traces: Sequence[Trace]) -> CopycatFigures | None:
    """Figures of how much an arm repeats itself; None where no episode has two steps.

    Args:
        traces: replayed episodes of one arm.
    """
    changes: list[NDArray[np.float64]] = []
    expert_changes: list[NDArray[np.float64]] = []
    errors: list[NDArray[np.float64]] = []
    told = [trace for trace in traces if len(trace.turn_deg) > 1]
    if not told:
        return None
    for trace in told:
        changes.append(np.abs(np.diff(trace.turn_deg)))
        expert_changes.append(np.abs(np.diff(trace.expert_turn_deg)))
        errors.append(np.abs(trace.turn_deg - trace.expert_turn_deg)[1:])
    own_step = np.concatenate(changes)
    expert_step = np.concatenate(expert_changes)
    error = np.concatenate(errors)
    at_change = _largest(expert_step)
    low, high = _ratio_interval(changes, expert_changes)
    return CopycatFigures(
        episodes=len(told),
        steps=len(error),
        change_deg=float(own_step.mean()),
        expert_change_deg=float(expert_step.mean()),
        ratio=_ratio(own_step.sum(), expert_step.sum()),
        ratio_low=low,
        ratio_high=high,
        autocorrelation=_autocorrelation([trace.turn_deg for trace in told]),
        expert_autocorrelation=_autocorrelation([trace.expert_turn_deg for trace in told]),
        error_deg=_mean(error[~at_change]),
        change_error_deg=_mean(error[at_change]),
        repeats=_mean((own_step < error)[at_change]),
        standing=_mean(np.concatenate(list(map(_moving, told))) < STANDING_MPS),
    )


def _largest(change: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The tenth of the steps with the largest changes; none where nothing changes."""
    ranks = np.argsort(np.argsort(-change, kind="stable"), kind="stable")
    largest: NDArray[np.bool_] = (ranks < max(1, round(CHANGES * len(change)))) & (change > 0)
    return largest


def _ratio_interval(change: list[NDArray[np.float64]], expert_change: list[NDArray[np.float64]]) -> tuple[float, float]:
    """95 % interval of the ratio of all changes, by bootstrap over the episodes; NaN where there is none."""
    own = np.array(list(map(np.sum, change)))
    expert = np.array(list(map(np.sum, expert_change)))
    drawn = np.random.default_rng(0).integers(len(own), size=(RESAMPLES, len(own)))
    below = expert[drawn].sum(1)
    if len(own) < 2 or not below.all():
        return math.nan, math.nan
    low, high = np.quantile(own[drawn].sum(1) / below, (0.025, 0.975))
    return float(low), float(high)


def _autocorrelation(series: Sequence[NDArray[np.float64]]) -> float:
    """Correlation of values with the ones before, over all pairs of neighbours."""
    before = np.concatenate([values[:-1] for values in series])
    after = np.concatenate([values[1:] for values in series])
    if before.std() == 0 or after.std() == 0:
        return math.nan
    return float(np.corrcoef(before, after)[0, 1])


def _moving(trace: Trace) -> NDArray[np.float64]:
    """Speeds after the start, the last state left out: a crash stops everyone."""
    return trace.speed_mps[round(START_S * trace.spec.control_hz) : -1]


def _ratio(above: float, below: float) -> float:
    if below <= 0:
        return math.nan
    return float(above / below)


def _mean(values: NDArray[np.generic]) -> float:
    if not len(values):
        return math.nan
    return float(values.mean())
