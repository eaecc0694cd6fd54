"""Who decides what is done while a human watches: the human alone, or a policy that the human takes over from."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.people.console import Command, Input
from forestpilot.data_collection.rollouts.pilots import Pilot
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.takeover import Takeover


class Choice(NamedTuple):
    """One step of an episode: what is done, and who decided it."""

    action: NDArray[np.float32]
    """(2,) turn and go."""
    actor: int
    """Who decided, as in `Episode.actor`."""
    human_action: NDArray[np.float32] | None = None
    """(2,) what the human would do who steers along without being obeyed; None where nobody does."""


class Driver(Protocol):
    """Decides each step of a live episode."""

    name: str
    """Who drove, as episodes say it in `policy_id`."""
    needs_expert: bool
    """Whether the environment must be made with `expert=True`; every state is then labelled by it."""
    takes_turns: bool
    """Whether a policy drives and a human can take over."""

    def restart(self, episode: EpisodeRecorder) -> None:
        """An episode is about to start: forget the last one."""

    def decide(self, episode: EpisodeRecorder, given: Input, shaped: NDArray[np.float32]) -> Choice | None:
        """Choose the next step.

        Args:
            episode: the episode up to now.
            given: what the human pressed; its commands are only those of `Command.TAKE_OVER` and `HAND_BACK`.
            shaped: (2,) the human's action, smooth.

        Returns:
            The step to take, or None to end the episode here.
        """


class HumanDriver:
    """The human drives all the way."""

    name = "human"
    needs_expert = False
    takes_turns = False

    def restart(self, episode: EpisodeRecorder) -> None:
        """Nothing to forget."""

    def decide(self, episode: EpisodeRecorder, given: Input, shaped: NDArray[np.float32]) -> Choice:
        """Do what the human does."""
        return Choice(shaped, ACTOR_HUMAN)


class TakeoverDriver:
    """A policy drives until the human takes over, and again once the human hands back (HG-DAgger: Kelly et al. 2019,
    arXiv:1810.02890).

    The policy is asked at every step, so that its memory follows the episode whoever drives.

    Args:
        pilot: the policy; it is used with one slot.
    """

    takes_turns = True

    def __init__(self, pilot: Pilot) -> None:
        self._pilot = pilot
        self._turns = Takeover(ACTOR_HUMAN)
        self.name = pilot.name
        self.needs_expert = pilot.needs_expert
        pilot.begin(1)

    def restart(self, episode: EpisodeRecorder) -> None:
        """The policy drives first."""
        self._pilot.restart(0, episode.scenario.seed)
        self._turns.restart()

    def decide(self, episode: EpisodeRecorder, given: Input, shaped: NDArray[np.float32]) -> Choice:
        """Do what the policy does, or the human who has taken over; a steering key alone changes nothing."""
        action = self._advice(episode)
        takes_over = Command.TAKE_OVER in given.commands
        hands_back = Command.HAND_BACK in given.commands
        if self._turns.step(takes_over, hands_back) == ACTOR_HUMAN:
            return Choice(shaped, ACTOR_HUMAN)
        return Choice(action, ACTOR_POLICY)

    def _advice(self, episode: EpisodeRecorder) -> NDArray[np.float32]:
        observations = {key: episode.observation[key][None] for key in episode.observation_keys}
        return np.clip(self._pilot.act(observations, [episode.pilot_info], np.array([0])).actions[0], -1.0, 1.0)
