"""What theory says of imitation in worlds of |S| states and H steps, from N episodes.

Rajaraman, Yang, Jiao & Ramchandran 2020, "Toward the Fundamental Limits of Imitation Learning" (NeurIPS; arXiv
2009.05990). Bounds that the paper gives up to a constant factor are here with the factor 1. All
take the sizes from a `ResetCliff`; but for the closed form they hold in any world.
"""

from __future__ import annotations

import math

from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.tabular.reset_cliff import ResetCliff


def missing_mass_bound(cliff: ResetCliff) -> float:
    """4 |S| H / 9 N: no expert's states are missed more often than that, on average over its demonstrations."""
    return 4 * cliff.states * cliff.horizon / (9 * cliff.episodes)


def cloning_bound(cliff: ResetCliff) -> float:
    """4 |S| H^2 / 9 N: the gap of cloning a deterministic expert, where each state that was missed costs H at most."""
    return cliff.horizon * missing_mass_bound(cliff)


def stochastic_cloning_rate(cliff: ResetCliff) -> float:
    """|S| H^2 log N / N: the gap of cloning any expert, up to a constant factor; never above H."""
    return min(cliff.horizon, cliff.states * cliff.horizon**2 * math.log(cliff.episodes) / cliff.episodes)


def minimax_rate(cliff: ResetCliff) -> float:
    """min(H, |S| H^2 / N): no learner's gap is smaller in every world, up to a constant factor."""
    return min(cliff.horizon, cliff.states * cliff.horizon**2 / cliff.episodes)


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
