"""Who decides what is done while a person watches: the person alone, or a policy that the person takes over from."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from forestpilot.data_collection.episodes.episode import ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.people.console import Command, Input
from forestpilot.data_collection.rollouts.pilots import Pilot
from forestpilot.data_collection.rollouts.recorder import OBSERVATION_KEYS, RunningTrip
from forestpilot.data_collection.rollouts.takeover import Takeover
from numpy.typing import NDArray


class Choice(NamedTuple):
    """What is done in one step of a trip."""

    action: NDArray[np.float32]
    """(2,) turn and go."""
    actor: int
    """Who decided, as in `Episode.actor`."""
    human_action: NDArray[np.float32] | None = None
    """(2,) what the person would do who steers along without being obeyed; None where nobody does."""


class Driver(Protocol):
    """Decides each step of a live trip."""

    name: str
    """Who drove, as episodes say it in `policy_id`."""
    needs_expert: bool
    """Whether the environment must be made with `expert=True`; every state is then labelled by it."""
    takes_turns: bool
    """Whether a policy drives and a person can take over."""

    def restart(self, trip: RunningTrip) -> None:
        """A trip is about to start: forget the last one."""

    def decide(self, trip: RunningTrip, given: Input, shaped: NDArray[np.float32]) -> Choice | None:
        """What to do next.

        Args:
            trip: the trip up to now.
            given: what the person pressed; its commands are only those of `Command.TAKE_OVER` and `HAND_BACK`.
            shaped: (2,) the person's action, smooth.

        Returns:
            The step to take, or None to end the trip here.
        """


class PersonDriver:
    """The person drives all the way."""

    name = "human"
    needs_expert = False
    takes_turns = False

    def restart(self, trip: RunningTrip) -> None:
        """Nothing to forget."""

    def decide(self, trip: RunningTrip, given: Input, shaped: NDArray[np.float32]) -> Choice:
        """What the person does."""
        return Choice(shaped, ACTOR_HUMAN)


class TakeoverDriver:
    """A policy drives until the person takes over, and again once the person hands back (HG-DAgger: Kelly et al. 2019,
    arXiv:1810.02890).

    The policy is asked at every step, so that its memory follows the trip whoever drives.

    Args:
        pilot: the policy; it is used with one slot.
    """

    takes_turns = True

    def __init__(self, pilot: Pilot) -> None:
        self._pilot, self._turns = pilot, Takeover(ACTOR_HUMAN)
        self.name, self.needs_expert = pilot.name, pilot.needs_expert
        pilot.begin(1)

    def restart(self, trip: RunningTrip) -> None:
        """The policy drives first."""
        self._pilot.restart(0, trip.trip.seed)
        self._turns.restart()

    def decide(self, trip: RunningTrip, given: Input, shaped: NDArray[np.float32]) -> Choice:
        """What the policy does, or the person who has taken over; a steering key alone changes nothing."""
        action = self._advice(trip)
        if self._turns.step(Command.TAKE_OVER in given.commands, Command.HAND_BACK in given.commands) == ACTOR_HUMAN:
            return Choice(shaped, ACTOR_HUMAN)
        return Choice(action, ACTOR_POLICY)

    def _advice(self, trip: RunningTrip) -> NDArray[np.float32]:
        observations = {key: trip.observation[key][None] for key in OBSERVATION_KEYS}
        info = {**trip.info, "depth": trip.env.frames.depth}  # type: ignore[union-attr]
        return np.clip(self._pilot.act(observations, [info], np.array([0])).actions[0], -1.0, 1.0)
