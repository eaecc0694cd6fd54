"""How fast policies learn by rewards: PPO with three cameras, against Stable-Baselines3's own, in turns.

Both see the same kind of worlds by three cameras, with the same settings of PPO and as many environments; a step is one
of one environment, with inference and its share of the update. What differs is what each would be used with: here our
encoder, and views that are made where the environment runs and cross in shared memory, on two processes; there
NatureCNN (Mnih et al. 2015) on each camera through `MultiInputPolicy`, and `SubprocVecEnv`, which has a process for
each environment. Theirs has one encoder for policy and value network, as here; `--method.critic own` has a second one,
and is measured too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestpilot.launch.terminal.progress import make_progress
from forestpilot.sim.extras import require

if TYPE_CHECKING:
    from forestpilot.policies.reinforcement.options import Critic, PPOConfig

PROCESSES = 2
"""On which environments run here."""
ENVIRONMENTS = 8
"""Environments side by side."""
HERE: tuple[Critic, ...] = ("shared", "own")
"""Value networks of `forestpilot reinforce` that are measured."""
THEIRS = "stable_baselines3"
TASK = "drone"
SEED = 0
UPDATES_PER_S = 0.25
"""About so many updates are done by both together in a second of the benchmark."""
Learn = Callable[[], None]
"""Does one rollout and one update."""


def bench_reinforce(seconds: float = 120.0) -> dict[str, Any]:
    """Learn with both, in turns: one rollout and one update of each at a time.

    Args:
        seconds: about how long to measure.

    Returns:
        For `shared` and `own`, by the value network's encoder, and for `stable_baselines3` the medians `steps_per_s`
        (by the clock) and `cpu_us_per_step` (microseconds of computing on all cores for one step); for the first two
        `ratio`, to theirs in steps per second, and `ratio_cpu`.

    Raises:
        MissingExtraError: Stable-Baselines3 is not installed.
    """
    require("stable_baselines3")
    from forestpilot.policies.networks.threads import torch_threads
    from forestpilot.policies.reinforcement.options import PPOConfig

    config = PPOConfig(environments=ENVIRONMENTS, most_kl=0.0)  # no update ends early, so that both do the same work
    steps = config.environments * config.rollout
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch_threads(1))
        ways: dict[str, Learn] = {}
        for critic in HERE:
            ways[critic] = stack.enter_context(_here(dataclasses.replace(config, critic=critic)))
        ways[THEIRS] = stack.enter_context(_theirs(config))
        for learn in ways.values():
            learn()  # kernels, caches
        turns = max(2, round(seconds * UPDATES_PER_S / len(ways)))
        return _figures(_in_turns(ways, turns), steps)


def _in_turns(ways: dict[str, Learn], turns: int) -> dict[str, list[tuple[float, float]]]:
    """(seconds by the clock, seconds of computing) of each update of each way."""
    progress = make_progress()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with progress.stage("learn in turns", total=turns) as stage:
        for turn in range(turns):
            for name in list(ways) if turn % 2 == 0 else list(reversed(ways)):
                cpu_s = computing_s()
                started = time.perf_counter()
                ways[name]()
                taken[name].append((time.perf_counter() - started, computing_s() - cpu_s))
            stage.advance()
    return taken


def _figures(taken: dict[str, list[tuple[float, float]]], steps: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, times in taken.items():
        clock_s, cpu_s = (statistics.median(each) for each in zip(*times, strict=True))
        figures[name] = {"steps_per_s": round(steps / clock_s), "cpu_us_per_step": round(1e6 * cpu_s / steps)}
        if name != THEIRS:
            pairs = list(zip(times, taken[THEIRS], strict=True))
            figures[name]["ratio"] = round(statistics.median(theirs[0] / ours[0] for ours, theirs in pairs), 2)
            figures[name]["ratio_cpu"] = round(statistics.median(theirs[1] / ours[1] for ours, theirs in pairs), 2)
    return {**figures, "processes": PROCESSES, "turns": len(taken[THEIRS])}


def computing_s() -> float:
    """Seconds of computing so far, of this process and of its children that live."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime + sum(_cpu_s(child.pid) for child in active_children())


def _cpu_s(process: int | None) -> float:
    """Seconds that a process has computed, as Linux tells it."""
    # What stands in brackets is the program's name, which may hold spaces.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _here(config: PPOConfig) -> Iterator[Learn]:
    """`forestpilot reinforce`'s learner, with a policy that sees by three cameras."""
    from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
    from forestpilot.policies.algorithms.reinforce.config import SCRATCH
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.reinforcement.envs import ForestVecEnv
    from forestpilot.policies.reinforcement.learner import Start
    from forestpilot.policies.reinforcement.options import RewardConfig
    from forestpilot.policies.reinforcement.ppo import PPOLearner
    from forestpilot.policies.reinforcement.rewards import Rewards, environment_terms
    from forestpilot.policies.reinforcement.shares import Worlds
    from forestpilot.sim.tasks import TASKS

    task = TASKS.get(TASK)
    mix = ScenarioMix().complete(task)
    shape = dataclasses.replace(SCRATCH.policy, cameras="all")
    policy = VisuomotorPolicy.seeded(shape, task_spec_of(task, mix), SEED)
    worlds = Worlds(TASK, mix, policy.spec, shape, SEED)
    reward = RewardConfig()
    rewards = Rewards(environment_terms(reward, config.discount, mix.control_hz), reward.scale)
    with ForestVecEnv(worlds, config.environments, PROCESSES, rewards) as envs:
        learner = PPOLearner(Start(policy, False, SEED), config, envs)
        yield lambda: learner.learn(config.environments * config.rollout, 1, 1.0, lambda *_: None)


@contextlib.contextmanager
def _theirs(config: PPOConfig) -> Iterator[Learn]:
    """Stable-Baselines3's PPO with its usual network for pictures, and its usual environments side by side."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.vec_env import SubprocVecEnv

    from forestpilot.sim.tasks import TASKS

    # Gymnasium imports the module first, in each of the processes.
    env_id = f"forestpilot.sim.envs.registration:{TASKS.get(TASK).bare_env_id}"
    envs = make_vec_env(env_id, config.environments, seed=SEED, vec_env_cls=SubprocVecEnv)
    try:
        engine = PPO(
            "MultiInputPolicy",
            envs,
            learning_rate=config.rate_of(is_given=False),
            n_steps=config.rollout,
            batch_size=config.batch,
            n_epochs=config.epochs,
            gamma=config.discount,
            gae_lambda=config.gae,
            device="cpu",
        )
        engine.set_logger(Logger(None, []))

        def learn() -> None:
            engine.learn(config.environments * config.rollout, log_interval=None)  # type: ignore[arg-type]

        yield learn
    finally:
        envs.close()
