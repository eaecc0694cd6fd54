"""Failures replayed: where a learner crashed, it begins again some seconds earlier, and the expert shows how.

An episode is repeated by its world's seed and its actions; what is left out is the end. So the new one begins in the
very state, to the bit, and says itself how it came there (`lead_in` among the arguments of its environment).
"""

from __future__ import annotations

from collections.abc import Iterable

from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.sim.outcomes import CRASHES


def failures_again(headers: Iterable[EpisodeHeader], seconds: float) -> list[Scenario]:
    """Scenarios that begin some time before each crash.

    Args:
        headers: of the episodes of a learner; those that did not crash, and those that began anew already, are left
            out.
        seconds: how long before the crash; where the episode was shorter, it begins at its start.
    """
    scenarios = []
    for header in headers:
        meta = header.meta
        if meta.outcome in CRASHES and not header.rerun.take:
            steps_left_out = max(1, round(seconds * meta.control_hz))
            actions = load_episode(header.path, keys=()).actions[: max(0, header.num_steps - steps_left_out)]
            scenarios.append(Scenario(meta.seed, {**meta.env_kwargs, "lead_in": actions.tolist()}))
    return scenarios
