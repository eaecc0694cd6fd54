"""Adversarial imitation in tables: of all policies, one that no discriminator tells from the demonstrations.

GAIL (Ho & Ermon 2016) is a game. The discriminator pays for what the demonstrations do more often than the learner,
and the learner goes where it is paid. With a table for a discriminator, values from 0 to 1 and a world whose
transitions are known, the game's value is the sum over the steps of the total variation between the visits (h, s, a) of
the learner and those that were demonstrated; its solution is a linear program over the visits that a policy can have,
which is solved here exactly (total variation adversarial imitation: Xu, Li & Yu 2020, "Error Bounds of Imitating
Policies and Environments", arXiv 2010.11876; 2021, "On Generalization of Adversarial Imitation Learning and Beyond",
arXiv 2106.10424). Rewards are never read.

Many policies match equally well, and they are not equally good, so it matters which one is meant. GAIL's objective has
the policy's entropy with a small weight. As that weight goes to zero, what matching leaves free is done at random. Here
it is spread over as many interchangeable actions as there are, which is the part of the entropy that is linear, and the
larger one where actions are many: a second linear program, among the solutions of the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.tabular.mdp import Floats, Integers, TabularMDP

TOLERANCE = 1e-10
"""Feasibility and optimality of the linear programs; the smallest that HiGHS takes."""
SLACK = 1e-11
"""By how much the second program may match worse than the first. A slip early in an episode may cost as little as a
rare state's probability, so that a larger slack would let the policy slip."""
NEVER = 1e-12
"""Probabilities below are rounding errors."""


@dataclass(frozen=True, eq=False)
class Crowds:
    """Pairs of state and action, where actions of a state that nobody showed and that lead to the same are one.

    By symmetry a solution treats these alike, so that many actions cost no more than few.
    """

    of_pair: NDArray[np.int64]
    """(S A,) crowd of each pair, row by row."""
    first: NDArray[np.int64]
    """(G,) first pair of each crowd."""
    sizes: NDArray[np.int64]
    """(G,) number of its actions."""


def match(mdp: TabularMDP, counts: Integers) -> Floats:
    """The policy whose visits are nearest to those demonstrated, given the transitions.

    Args:
        mdp: the world; its rewards are not read.
        counts: (H, S, A) what was demonstrated, equally often at each step.

    Returns:
        (H, S, A); any action where the policy never comes.
    """
    crowds = find_crowds(mdp, counts.sum(axis=0) > 0)
    shown = _sum_crowds(counts, crowds) / counts[0].sum()
    visits = _nearest_visits(mdp, crowds, shown)
    pairs = (visits / crowds.sizes)[:, crowds.of_pair].reshape(counts.shape)
    total = pairs.sum(axis=2, keepdims=True)
    return np.where(total > NEVER, pairs / np.maximum(total, NEVER), 1 / mdp.actions)


def find_crowds(mdp: TabularMDP, shown: NDArray[np.bool_]) -> Crowds:
    """Which actions are interchangeable to a learner.

    Args:
        mdp: where.
        shown: (S, A) whether anybody has ever taken an action in a state; those stay by themselves.
    """
    pairs = mdp.states * mdp.actions
    alone = np.where(shown.ravel(), np.arange(pairs), -1)
    state = np.arange(pairs) // mdp.actions
    rows = np.column_stack([state, alone, mdp.transitions.reshape(pairs, -1)])
    _, first, of_pair, sizes = np.unique(rows, axis=0, return_index=True, return_inverse=True, return_counts=True)
    return Crowds(of_pair.ravel(), first, sizes)


def _sum_crowds(counts: Integers, crowds: Crowds) -> Floats:
    """(H, G) counts of each crowd."""
    pairs = counts.reshape(len(counts), -1)
    groups = len(crowds.first)
    return np.stack([np.bincount(crowds.of_pair, weights=row, minlength=groups) for row in pairs])


def _nearest_visits(mdp: TabularMDP, crowds: Crowds, shown: Floats) -> Floats:
    """(H, G) visits of a policy: nearest to those shown, and of these the most spread over crowds.

    Both are distributions at each step, so that their total variation is the sum of what is missing of the one where it
    is larger. The variables are the visits and, of each pair that was shown, what is missing.
    """
    places = np.flatnonzero(shown)
    visits = shown.size
    missing = len(places)
    picked = sparse.csr_array((np.ones(missing), (np.arange(missing), places)), shape=(missing, visits))
    at_most = sparse.hstack([-picked, -sparse.eye_array(missing)])
    limits = -shown.ravel()[places]
    flow = sparse.hstack([_flow(mdp, crowds), sparse.csr_array((mdp.horizon * mdp.states, missing))])
    begun = np.concatenate([mdp.start, np.zeros((mdp.horizon - 1) * mdp.states)])

    distance = np.concatenate([np.zeros(visits), np.ones(missing)])
    nearest = _solve(distance, at_most, limits, flow, begun)
    spread = np.concatenate([np.tile(np.log(crowds.sizes), mdp.horizon), np.zeros(missing)])
    as_near = sparse.vstack([at_most, sparse.csr_array(distance[None])])
    solution = _solve(-spread, as_near, np.append(limits, distance @ nearest + SLACK), flow, begun)
    return np.maximum(solution[:visits], 0.0).reshape(shown.shape)


def _flow(mdp: TabularMDP, crowds: Crowds) -> sparse.sparray:
    """(H S, H G): what visits take out of each state at each step, less what those of the step before bring."""
    groups = len(crowds.first)
    leaves = sparse.csr_array((np.ones(groups), (crowds.first // mdp.actions, np.arange(groups))))
    brings = sparse.csr_array(mdp.transitions.reshape(-1, mdp.states)[crowds.first].T)
    here = sparse.eye_array(mdp.horizon)
    before = sparse.eye_array(mdp.horizon, k=-1)
    return sparse.kron(here, leaves) - sparse.kron(before, brings)


def _solve(
    cost: Floats, at_most: sparse.sparray, limits: Floats, equal: sparse.sparray, totals: Floats
) -> NDArray[np.float64]:
    """The x of 0 or more with the least cost, with at_most x <= limits and equal x = totals.

    Raises:
        ForestPilotError: the solver gives up.
    """
    options = {"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE}
    found = linprog(cost, at_most, limits, equal, totals, method="highs-ds", options=options)
    if found.status != 0:
        raise ForestPilotError(f"the linear program of adversarial imitation has no solution: {found.message}")
    return found.x
