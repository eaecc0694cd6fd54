"""DAgger by counting (Ross, Gordon & Bagnell 2011): the learner acts, the expert says what it would have done."""

from __future__ import annotations

import numpy as np

from forestpilot.sim.tabular.cloning import clone, count, demonstrate
from forestpilot.sim.tabular.mdp import Draws, Floats, Integers, TabularMDP, roll_out


def dagger(mdp: TabularMDP, expert: Floats, episodes: int, rng: np.random.Generator) -> Integers:
    """Counts of the expert's answers, as many as cloning has after so many episodes.

    The first episode is the expert's. Each round then doubles what there is: the learner, cloned from all answers so
    far, acts, and the expert answers in every state that it comes to.

    Returns:
        (H, S, A) counts.
    """
    counts = demonstrate(mdp, expert, 1, rng)
    done = 1
    while done < episodes:
        added = min(done, episodes - done)
        states, _ = roll_out(mdp, clone(counts), added, rng)
        counts += count(mdp, states, answers(expert, states, rng))
        done += added
    return counts


def answers(expert: Floats, states: Integers, rng: np.random.Generator) -> Integers:
    """What an expert (H, S, A) does in states (episodes, H); actions (episodes, H)."""
    return np.stack([Draws(expert[step]).draw(states[:, step], rng) for step in range(len(expert))], axis=1)
