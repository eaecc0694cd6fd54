"""Behavioural cloning by counting: what the expert did in a state at a step, as often as it did it."""

from __future__ import annotations

import numpy as np

from forestpilot.sim.tabular.mdp import Floats, Integers, TabularMDP, roll_out


def demonstrate(mdp: TabularMDP, expert: Floats, episodes: int, rng: np.random.Generator) -> Integers:
    """Counts (H, S, A) of what an expert did in so many episodes of its own."""
    return count(mdp, *roll_out(mdp, expert, episodes, rng))


def count(mdp: TabularMDP, states: Integers, actions: Integers) -> Integers:
    """How often each action was taken at each step in each state.

    Args:
        mdp: where.
        states: (episodes, H).
        actions: (episodes, H).

    Returns:
        (H, S, A).
    """
    shape = (mdp.horizon, mdp.states, mdp.actions)
    places = np.ravel_multi_index((np.arange(mdp.horizon)[None], states, actions), shape)
    return np.bincount(places.ravel(), minlength=int(np.prod(shape))).reshape(shape)


def clone(counts: Integers) -> Floats:
    """The policy (H, S, A) that does what was counted, in proportion; any action where a state was never seen.

    Each step is learned by itself: at the next one the expert may do something else (Rajaraman et al. 2020, Mimic-Emp).
    """
    seen = counts.sum(axis=2, keepdims=True)
    return np.where(seen > 0, counts / np.maximum(seen, 1), 1 / counts.shape[2])


def missing_mass(occupied: Floats, counts: Integers) -> float:
    """Probability of the states that were never seen, summed over the steps of an episode.

    Args:
        occupied: (H, S) probability of each state at each step, on the expert's way.
        counts: (H, S, A) what was seen.
    """
    return float(occupied[counts.sum(axis=2) == 0].sum())


def expected_missing_mass(occupied: Floats, episodes: int) -> float:
    """What `missing_mass` comes to on average over all that so many episodes of the expert may show."""
    return float((occupied * (1 - occupied) ** episodes).sum())
