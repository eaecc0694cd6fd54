"""Demonstrations as transitions: recorded episodes run again, to be observed and rewarded as a learner's own.

What is stored of a reward is its sum. Run again from its world and its actions, an episode tells every term, and all
that rewards and critics are told besides; its states repeat to the bit, as replays do. One that does not end as it was
recorded is refused: another version of the simulator would give other rewards, and what was recorded elsewhere none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.policies.reinforcement.envs import ForestVecEnv
from forestpilot.policies.reinforcement.replay_buffer import LEAST_ROWS, ReplayBuffer, row_bytes
from forestpilot.policies.reinforcement.rewards import Rewards, RewardTerm
from forestpilot.policies.reinforcement.shares import Worlds
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.outcomes import Outcome


@dataclass(frozen=True)
class RecordedWorlds(Worlds):
    """Worlds of recorded episodes: those of a round are all that of the episode of its number."""

    recorded: tuple[EpisodeMeta, ...] = ()
    """What was recorded."""

    def scenario(self, round_number: int, slot: int, count: int) -> Scenario:
        """See `Worlds.scenario`."""
        meta = self.recorded[round_number]
        return Scenario(meta.seed, meta.env_kwargs)


def demonstrated(datasets: Sequence[Dataset], envs: ForestVecEnv, most_mb: float) -> ReplayBuffer:
    """The transitions of all episodes of some datasets, whoever drove in them.

    Args:
        datasets: of the task of the environments.
        envs: say what is observed and rewarded.
        most_mb: memory that they may take, MB.

    Returns:
        A buffer that holds them, and has no room for more.

    Raises:
        DatasetError: an episode does not repeat.
        LackingError: one has no actions.
        InvalidArgumentError: they need more memory, or a reward says nothing of what others did.
    """
    _require_rewards(envs.rewards)
    for dataset in datasets:
        dataset.require(("actions",), "a replay buffer")
    headers = [header for dataset in datasets for header in dataset.episodes]
    buffer = _buffer_for(headers, envs, most_mb)
    worlds = envs.worlds
    own = {field.name: getattr(worlds, field.name) for field in dataclasses.fields(Worlds)}
    recorded = RecordedWorlds(**own, recorded=tuple(header.meta for header in headers))
    with closing(ForestVecEnv(recorded, 1, 1, envs.rewards)) as again:
        for number, header in enumerate(headers):
            again.begin_round(number)
            buffer.begin()
            _run_again(load_episode(header.path, keys=()), again, buffer, header.path.name)
    return buffer


def _run_again(episode: Episode, envs: ForestVecEnv, buffer: ReplayBuffer, name: str) -> None:
    """Add the transitions of an episode."""
    observation = envs.reset()
    for step, action in enumerate(episode.actions):
        envs.step_async(action[None])
        after, rewards, done, infos = envs.step_wait()
        is_last = step == len(episode.actions) - 1
        is_over = is_last and episode.meta.outcome != Outcome.RUNNING
        if bool(done[0]) != is_over:
            raise _other(name, f"it is {'over' if done[0] else 'not over'} after step {step + 1}")
        last = {key: value[None] for key, value in infos[0]["terminal_observation"].items()} if done[0] else after
        if episode.displaced is not None and not is_last and episode.displaced[step + 1]:
            buffer.begin()  # it was put elsewhere: no action led there
        else:
            buffer.add(observation, last, action[None], rewards, done, infos)
        observation = after
    if episode.meta.outcome != Outcome.RUNNING:
        ended = infos[0]["episode_ended"]
        if (ended.outcome, ended.progress_m) != (episode.meta.outcome, episode.meta.progress_m):
            raise _other(name, f"it ends as {ended.outcome} after {ended.progress_m:.2f} m")


def _buffer_for(headers: Sequence[EpisodeHeader], envs: ForestVecEnv, most_mb: float) -> ReplayBuffer:
    """An empty buffer of the size of these episodes, one state more than steps each."""
    space = cast(Any, envs.observation_space)
    rows = max(LEAST_ROWS, sum(header.num_steps + 1 for header in headers))
    need_mb = rows * row_bytes(space) / 1e6
    if need_mb > most_mb:
        raise InvalidArgumentError(
            f"the demonstrations take {need_mb:.0f} MB in the replay buffer and may take {most_mb:.0f}; give "
            f"--method.buffer-mb {int(np.ceil(need_mb))}, or fewer of them"
        )
    return ReplayBuffer(space, rows)


def _require_rewards(rewards: Rewards) -> None:
    """Raise InvalidArgumentError where a term of the reward asks how likely the learner did what it did."""
    asking = [term.name for term in rewards.terms if type(term).follow is not RewardTerm.follow]
    if asking:
        raise InvalidArgumentError(
            f"{asking[0]} rewards what the learner itself does, and says nothing of demonstrations in a replay buffer; "
            "leave it out, or give --method.demonstrated 0"
        )


def _other(name: str, what: str) -> DatasetError:
    return DatasetError(
        f"{name} does not repeat as it was recorded: {what}. Only episodes of this simulator and version can be "
        "rewarded; leave it out, or give --method.demonstrated 0"
    )
