"""Pilots: anything that acts. The expert, and the mixture of expert and learner that DAgger rolls out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_POLICY
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.seeds import SeedStream, rng_for

Observations = dict[str, np.ndarray]
EXPERT_CENTER = 1
"""Row of the center camera, so of the vehicle's own heading, in the expert's labels."""


class Decision(NamedTuple):
    """Actions of a pilot in each of n episodes."""

    actions: np.ndarray
    """(n, 2) float32 in [-1, 1]."""
    actor: np.ndarray
    """(n,) uint8: who decided, as in `Episode.actor`."""
    labelled: np.ndarray | None = None
    """(n,) bool: whether the expert is asked what should be done here; None asks at every state that is recorded."""
    disagreement: np.ndarray | None = None
    """(n,) float32: standard deviation of an ensemble's turns in radians; None for a single policy."""


class Pilot(Protocol):
    """Acts in several episodes side by side, each in a slot.

    A pilot that does not look at all pictures says so by an attribute `cameras`: see `cameras_of`.
    """

    name: str
    """What outcomes and episodes are filed under."""
    needs_expert: bool
    """Whether the environments must be made with `expert=True`."""

    def begin(self, slots: int) -> None:
        """Get ready for this many episodes side by side."""

    def restart(self, slot: int, seed: int) -> None:
        """A new episode in the world of `seed` starts in this slot: forget the last one."""

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """Decide for the episodes in `slots` (n,), given their stacked observations (n, ...) and infos.

        Beside what the environment says, each info has `depth` (3, H, W), what the cameras see in metres, and
        `task_spec`: field of view, largest turn, names of the state's elements.
        """


def cameras_of(pilot: Pilot) -> tuple[str, ...]:
    """Cameras whose pictures a pilot looks at, those in `depth` included: what its attribute `cameras` says, all of
    them where it has none. Where nothing is recorded the others are not drawn, and `observations` leaves them out.
    """
    named = getattr(pilot, "cameras", CAMERA_NAMES)
    return tuple(name for name in CAMERA_NAMES if name in named)


PilotFactory = Callable[[], Pilot]
"""Makes a pilot inside a worker process; must be picklable."""


class ExpertPilot:
    """Does what the expert advises."""

    name = "expert"
    needs_expert = True
    cameras: tuple[str, ...] = ()

    def begin(self, slots: int) -> None:
        """Nothing to get ready."""

    def restart(self, slot: int, seed: int) -> None:
        """Nothing to forget."""

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """The advised action of each episode."""
        actions = np.stack([info["expert_action"][EXPERT_CENTER] for info in infos])
        return Decision(actions, np.full(len(slots), ACTOR_EXPERT, np.uint8))


class MixturePilot:
    """At each step the expert acts with probability beta, the learner otherwise (Ross et al. 2011, arXiv:1011.0686,
    section 3).

    Args:
        learner: the pilot that is being taught.
        beta: probability that the expert acts, 0 to 1.
    """

    needs_expert = True

    def __init__(self, learner: Pilot, beta: float) -> None:
        if not 0.0 <= beta <= 1.0:
            raise ValueError(f"beta is {beta}; it is a probability, 0 to 1")
        self._learner = learner
        self._expert = ExpertPilot()
        self._beta = beta
        self.name = learner.name
        self.cameras = cameras_of(learner)
        self._coins: dict[int, np.random.Generator] = {}

    def begin(self, slots: int) -> None:
        """Get both ready."""
        self._learner.begin(slots)

    def restart(self, slot: int, seed: int) -> None:
        """The coin of an episode depends on its world only, not on the slot it runs in."""
        self._coins[slot] = rng_for(seed, SeedStream.MIXTURE)
        self._learner.restart(slot, seed)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """The learner always decides, so that its memory follows the episode; the expert overrules it by the coin."""
        decision = self._learner.act(observations, infos, slots)
        expert = self._expert.act(observations, infos, slots)
        takes_over = np.array([self._coins[int(slot)].random() < self._beta for slot in slots])
        actions = np.where(takes_over[:, None], expert.actions, decision.actions)
        actor = np.where(takes_over, ACTOR_EXPERT, ACTOR_POLICY).astype(np.uint8)
        return Decision(actions.astype(np.float32), actor)
