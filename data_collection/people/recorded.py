"""Recorded episodes of a policy, simulated again before a human's eyes and checked against the record at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.labels import ACTOR_POLICY
from forestpilot.data_collection.episodes.meta import EpisodeMeta
from forestpilot.data_collection.people.console import Input
from forestpilot.data_collection.people.drivers import Choice
from forestpilot.data_collection.rollouts.pilots import EXPERT_CENTER
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.replay import ReplayDivergedError
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.seeds import split_of

STATE_TOLERANCE = 1e-5
"""States that differ by more than this, in their own units, are different."""
PICTURE_TOLERANCE = 2.0
"""Pictures that differ by more than this on average, in grey levels, are of another moment."""


class RelabellingError(ForestPilotError):
    """There is nothing to relabel, or what was steered is missing."""


@dataclass(frozen=True)
class RecordedScenario(Scenario):
    """An episode that was recorded, to be simulated again."""

    header: EpisodeHeader
    """Its episode."""


def recorded_episodes(dataset: Dataset, rounds: Sequence[int] = ()) -> tuple[RecordedScenario, ...]:
    """The episodes of a dataset in which a policy drove; those that begin again before a crash are left out.

    Args:
        dataset: where they were recorded.
        rounds: DAgger rounds to take; empty for all.

    Raises:
        RelabellingError: there is none, or one is not of a training world.
    """
    first_runs = [header for header in dataset.episodes if not header.rerun.take]
    by_policy = [header for header in first_runs if (header.actor == ACTOR_POLICY).any()]
    chosen = [header for header in by_policy if not rounds or header.meta.dagger_round in rounds]
    if not chosen:
        found = f"no policy drove in its {len(dataset)} episodes"
        if by_policy:
            there = sorted({header.meta.dagger_round for header in by_policy})
            found = f"a policy drove in rounds {', '.join(map(str, there))}"
        raise RelabellingError(
            f"{dataset.folder} has no episode to relabel: {found}. Give the dataset of a DAgger run, RUN/dataset"
        )
    for header in chosen:
        if (split := split_of(header.meta.seed)) != "train":
            raise RelabellingError(
                f"{header.path.name} was recorded in world {header.meta.seed} of the {split} split; only training "
                "worlds (0 to 999,999) may be labelled, the others are for results"
            )
    return tuple(RecordedScenario(header.meta.seed, header.meta.env_kwargs, header) for header in chosen)


class AlongDriver:
    """Does again what was recorded, step by step; what the human does is only noted.

    Raises:
        ReplayDivergedError: from `decide`, at the first step whose state or picture is not the recorded one.
    """

    name = "human"
    needs_expert = True
    takes_turns = False

    def restart(self, episode: EpisodeRecorder) -> None:
        """Read the recorded episode."""
        self._recorded = load_episode(header_of(episode).path, ("state", "goal", "center"))
        self.present: list[bool] = []

    def decide(self, episode: EpisodeRecorder, given: Input, shaped: NDArray[np.float32]) -> Choice | None:
        """The recorded action, with the human's beside it; None once the record ends."""
        step = episode.num_steps
        require_same(self._recorded, episode.observation, step)
        if step == self._recorded.num_steps:
            return None
        self.present.append(given.present)
        return Choice(self._recorded.actions[step], int(self._recorded.actor[step]), shaped)


def header_of(running: EpisodeRecorder) -> EpisodeHeader:
    """The episode that a running episode repeats."""
    assert isinstance(running.scenario, RecordedScenario)
    return running.scenario.header


def require_same(recorded: Episode, observation: dict[str, Any], step: int) -> None:
    """Raise ReplayDivergedError unless an observation is that of a recorded episode's step."""
    if difference := difference_from(recorded, observation, step):
        raise ReplayDivergedError(
            f"world {recorded.meta.seed} of round {recorded.meta.dagger_round} does not repeat itself: at step {step} "
            f"of {recorded.num_steps} {difference}. It was recorded by ForestPilot {recorded.meta.package_version}; "
            "another version of ForestPilot, PyBullet or NumPy than that gives other numbers. What was steered up to "
            "there is kept"
        )


def expert_turns(meta: EpisodeMeta, actions: NDArray[np.float32], states: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turns of the expert at each step of a recorded episode, found by simulating it again.

    Args:
        meta: of the episode.
        actions: (T, 2) as executed.
        states: (T, S) as recorded.

    Returns:
        (T,) float32 turns.

    Raises:
        ReplayDivergedError: a state is not the recorded one.
    """
    running = EpisodeRecorder(meta.task_spec["task"], Scenario(meta.seed, meta.env_kwargs), expert=True, record=False)
    turns = []
    try:
        for step, action in enumerate(actions):
            if np.abs(running.observation["state"] - states[step]).max() > STATE_TOLERANCE:
                raise ReplayDivergedError(f"world {meta.seed} does not repeat itself from step {step} on")
            turns.append(float(running.info["expert_action"][EXPERT_CENTER][0]))
            running.step(action, ACTOR_POLICY)
    finally:
        running.close()
    return np.array(turns, np.float32)


def difference_from(recorded: Episode, observation: dict[str, Any], step: int) -> str:
    """In what an observation differs from the recorded one; empty if in nothing."""
    if step > recorded.num_steps:
        return "the episode goes on where the record ends"
    for key in ("state", "goal"):
        off = float(np.abs(observation[key] - recorded.observations[key][step]).max())
        if not off <= STATE_TOLERANCE:
            return f"the {key} is off by {off:.2g}"
    picture = observation["center"].astype(np.int16)
    off = float(np.abs(picture - recorded.observations["center"][step]).mean())
    if off > PICTURE_TOLERANCE:
        return f"the center camera's picture is off by {off:.1f} grey levels"
    return ""
