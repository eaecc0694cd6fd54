"""What theory says of imitation in worlds of |S| states and H steps, from N episodes.

Rajaraman, Yang, Jiao & Ramchandran 2020, "Toward the Fundamental Limits of Imitation Learning" (NeurIPS; arXiv
2009.05990), and for adversarial imitation Xu, Li & Yu 2021 (arXiv 2106.10424). Bounds that the papers give up to a
constant factor are here with the factor 1. All take the sizes from a world; but for the closed form and the bound of
adversarial imitation on the Reset Cliff they hold in any.
"""

from __future__ import annotations

import math
from typing import Protocol

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tabular.reset_cliff import ResetCliff


class Sizes(Protocol):
    """A world's sizes."""

    @property
    def states(self) -> int:
        """|S|."""

    @property
    def horizon(self) -> int:
        """H."""

    @property
    def episodes(self) -> int:
        """N."""


def missing_mass_bound(world: Sizes) -> float:
    """4 |S| H / 9 N: no expert's states are missed more often than that, on average over its demonstrations."""
    return 4 * world.states * world.horizon / (9 * world.episodes)


def cloning_bound(world: Sizes) -> float:
    """4 |S| H^2 / 9 N: the gap of cloning a deterministic expert, where each state that was missed costs H at most."""
    return world.horizon * missing_mass_bound(world)


def stochastic_cloning_rate(world: Sizes) -> float:
    """|S| H^2 log N / N: the gap of cloning any expert, up to a constant factor; never above H."""
    return min(world.horizon, world.states * world.horizon**2 * math.log(world.episodes) / world.episodes)


def minimax_rate(world: Sizes) -> float:
    """min(H, |S| H^2 / N): no learner's gap is smaller in every world, up to a constant factor."""
    return min(world.horizon, world.states * world.horizon**2 / world.episodes)


def matching_rate(world: Sizes) -> float:
    """min(H, H sqrt(|S| / N)): the gap of adversarial imitation of a deterministic expert, transitions known.

    The demonstrations' visits differ from the expert's by sqrt(|S| / N) at each step at most, on average (the sum of
    the absolute differences); the learner's differ from the demonstrations' no more than that, or the expert's would be
    nearer. Rewards from 0 to 1 differ by half of the sum.
    """
    return min(world.horizon, world.horizon * math.sqrt(world.states / world.episodes))


def cliff_matching_rate(world: Sizes) -> float:
    """min(1, sqrt(|S| / N)): the same on a Reset Cliff, whatever the horizon.

    Whoever slips falls, and matches no step after that; so a policy that matches best slips at the last step alone.
    """
    return min(1.0, math.sqrt(world.states / world.episodes))


def expected_cloning_gap(cliff: ResetCliff) -> float:
    """Gap of cloning on a Reset Cliff without ladder, on average over all sets of N demonstrations.

    The expert's states at different steps have nothing to do with one another, and so neither has what was missed: the
    clone stays up for t steps with the probability q^t, where q = 1 - (1 - k / |A|) m; k actions lead on, and m is the
    expected missing mass of one step. On average over the demonstrations it tosses the expert's coin where it has seen
    the state, so that no log N comes in.

    Raises:
        ValueError: the cliff has a ladder.
    """
    if cliff.ladder:
        raise InvalidArgumentError("the closed form is of a cliff without a ladder")
    shares = cliff.good_states()
    missed = float((shares * (1 - shares) ** cliff.episodes).sum())
    leading_on = 2 if cliff.coin else 1
    stays = 1 - (1 - leading_on / cliff.actions) * missed
    paid = (1 - missed) / leading_on + missed / cliff.actions
    return cliff.horizon / leading_on - paid * sum(stays**step for step in range(cliff.horizon))
