"""Targeted intervention (de Haan, Jayaraman & Levine 2019, arXiv:1905.11979): which inputs are causes?

Round 0 clones a policy that is told by a mask which causes it may see (`--train.policy.causes`), with a mask drawn anew
for every window of training; so it holds a policy for each mask. The rounds after it do not train. They look for the
mask whose policy is right where it counts, off the expert's way:

    driving   each episode is driven with a mask drawn from the masks' chances; its return says how good the mask is
              (algorithm 1)
    asking    episodes are driven with masks drawn evenly; the expert is asked in the states at which the masks are most
              apart, and how near a policy comes to the answers says how good its mask is (algorithm 2)

In both a linear function of the mask is fitted to what masks came to, its weights say how likely each cause is shown
from then on, and a round's policy has the likeliest mask.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.evaluation.masked import MaskedFactory
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import EPISODES, ROUNDS, Range

if TYPE_CHECKING:
    from forestpilot.data_collection.episodes.header import EpisodeHeader

RIDGE = 1e-3
"""Keeps weights finite where a cause was always shown, or never."""
MOST_CAUSES = 8
"""All masks of so many causes can be looked at."""


@dataclass(frozen=True)
class InterventionConfig(AlgorithmConfig):
    """Clone a policy for every mask of some causes, then find the mask that drives best."""

    out: str = not_the_result("runs/intervene")
    """Run folder."""
    rounds: Annotated[int, ROUNDS] = 3
    """Rounds of looking for the mask, after the one that trains."""
    episodes: Annotated[int, EPISODES] = 20
    """Episodes of each of them."""
    by: Literal["driving", "asking"] = "driving"
    """What says how good a mask is: the return of episodes that are driven with it, or the expert's answers."""
    queries: Annotated[int, Range(1, 1_000_000)] = 100
    """Asking: states of each round in which the expert is asked."""
    temperature: Annotated[float, Range(0, 1e6, above=True)] = 0.25
    """How evenly masks are drawn: a cause whose weight is so many standard deviations of what masks came to is shown e
    times as often as not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in ("driving", "asking"):
            raise InvalidArgumentError(f"by is {self.by!r}; allowed: driving, asking")
        if self.rounds and self.retrain:
            raise InvalidArgumentError("retrain has no effect: only round 0 is trained")

    def require_causes(self) -> None:
        """Raise InvalidArgumentError where the policy has no causes to intervene on, or too many."""
        count = len(self.train.policy.causes)
        if not 1 <= count <= MOST_CAUSES:
            raise InvalidArgumentError(
                f"train.policy.causes names {count} causes; give 1 to {MOST_CAUSES}, for example "
                "--train.policy.causes forward_mps"
            )


@dataclass(frozen=True)
class Tried:
    """What masks came to."""

    masks: NDArray[np.float64]
    """(n, K), 1 where a cause was shown."""
    scores: NDArray[np.float64]
    """(n,); more is better."""

    def weights(self) -> NDArray[np.float64]:
        """(K,) how much showing each cause adds to the score, in its standard deviations; zeros before any trial."""
        causes = self.masks.shape[1]
        spread = float(self.scores.std()) if len(self.scores) else 0.0
        if not spread:
            return np.zeros(causes)
        centred = self.masks - self.masks.mean(0)
        normal = centred.T @ centred + RIDGE * len(self.scores) * np.eye(causes)
        found: NDArray[np.float64] = np.linalg.solve(normal, centred.T @ (self.scores - self.scores.mean())) / spread
        return found


class Intervention(Algorithm[InterventionConfig]):
    """Targeted intervention: round 0 trains, the others look for the mask."""

    name = "intervene"
    title = "targeted intervention"
    Config = InterventionConfig

    def __init__(self, config: InterventionConfig, *args: Any, **kwargs: Any) -> None:
        config.require_causes()
        super().__init__(config, *args, **kwargs)
        self._known: dict[int, Tried] = {}

    def collect(self, round_number: int) -> None:
        """Record the expert's episodes in round 0, then those that are driven with masks."""
        self.record(round_number, ExpertPilot if round_number == 0 else self._pilot(round_number))

    def update(self, round_number: int) -> None:
        """Train in round 0; then the same weights with the likeliest mask so far."""
        from forestpilot.policies.networks.checkpoint import load_policy

        if round_number == 0:
            super().update(0)
        elif not self.is_stored(round_number):
            self._set_damaged_aside(self.member_folder(round_number))
            weights = self._tried(round_number).weights()
            self.policy.load_state_dict(load_policy(self.member_folder(0)).state_dict())
            shown = weights > 0
            self.policy.mask.copy_(_tensor(shown))
            causes = self.config.train.policy.causes
            told = ", ".join(f"{cause} {'shown' if is_shown else 'hidden'}" for cause, is_shown in zip(causes, shown))
            self.progress.note(f"round {round_number}: the likeliest mask has {told}")
            self.keep(round_number, figures={f"weight {cause}": float(w) for cause, w in zip(causes, weights)})

    def expert_share(self, round_number: int) -> float:
        """The expert drives in round 0 alone."""
        return float(round_number == 0)

    def chances(self, round_number: int) -> tuple[float, ...]:
        """(K,) chance that each cause is shown in the episodes of a round.

        Masks are drawn in proportion to exp(<weights, mask> / temperature), so that causes are drawn apart.
        """
        weights = self._tried(round_number - 1).weights()
        if self.config.by == "asking":
            weights = np.zeros_like(weights)
        return tuple((1 / (1 + np.exp(-weights / self.config.temperature))).tolist())

    def _pilot(self, round_number: int) -> MaskedFactory:
        """Who drives in a round after the first."""
        config = self.config
        folder = str(self.member_folder(0))
        return MaskedFactory(folder, "masked", self.chances(round_number), config.seed, config.by == "asking")

    def _tried(self, last_round: int) -> Tried:
        """What the masks of all rounds up to one came to."""
        rounds = [self._tried_in(round_number) for round_number in range(1, last_round + 1)]
        masks = [tried.masks for tried in rounds]
        scores = [tried.scores for tried in rounds]
        return Tried(np.concatenate([self._no_masks, *masks]), np.concatenate([np.zeros(0), *scores]))

    @property
    def _no_masks(self) -> NDArray[np.float64]:
        return np.zeros((0, len(self.config.train.policy.causes)))

    def _tried_in(self, round_number: int) -> Tried:
        """What the masks of a round came to; it follows from the round's episodes."""
        if round_number not in self._known:
            headers = self.episodes_of(round_number)
            judge = self._ask if self.config.by == "asking" else self._add_up
            self._known[round_number] = judge(headers, round_number)
        return self._known[round_number]

    def _add_up(self, headers: Sequence[EpisodeHeader], round_number: int) -> Tried:
        """The masks of the episodes, and their returns."""
        pilot = self._pilot(round_number)
        masks = [pilot.mask_of(header.meta.seed) for header in headers]
        returns = [float(load_episode(header.path, keys=()).rewards.sum()) for header in headers]
        return Tried(np.array(masks, float), np.array(returns))

    def _ask(self, headers: Sequence[EpisodeHeader], round_number: int) -> Tried:
        """All masks, and how near each comes to the expert's answers in the states at which they are most apart."""
        from forestpilot.policies.evaluation.masked import answers_by_mask
        from forestpilot.policies.networks.checkpoint import load_policy

        masks = list(itertools.product((0.0, 1.0), repeat=len(self.config.train.policy.causes)))
        said, wanted = answers_by_mask(load_policy(self.member_folder(0)), masks, [header.path for header in headers])
        apart = np.square(said - said.mean(0)).mean(0).sum(-1)
        asked = np.argsort(-apart, kind="stable")[: self.config.queries]
        errors = np.square(said[:, asked] - wanted[asked]).sum(-1).mean(-1)
        return Tried(np.array(masks), -errors)


def _tensor(values: NDArray[np.bool_]) -> Any:
    import torch

    return torch.from_numpy(values.astype(np.float32))
