"""What a policy looked at in the moments before something happened, camera by camera."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from forestpilot.launch.pages.media import Picture, picture_of
from forestpilot.launch.reading.evaluations import EpisodeFacts
from forestpilot.launch.reports.behaviour import Trace
from forestpilot.policies.evaluation.entrants import network_acted

BEFORE_S = (2.0, 1.0, 0.5, 0.1)
"""How long before the event the frames were taken, seconds."""


@dataclass
class SaliencyFrames:
    """Frames with what was looked at, or why there are none."""

    before_s: list[float] = field(default_factory=list)
    """How long before the event each was taken."""
    cameras: dict[str, list[tuple[Picture, Picture]]] = field(default_factory=dict)
    """Camera to (picture, the same with what was looked at) for each of these times."""
    why_not: str = ""
    """Why there are none."""


def look_closely(trace: Trace, first: int, at: int, facts: EpisodeFacts) -> SaliencyFrames:
    """What the policy that acted looked at before a state of its episode.

    Args:
        trace: the episode, with its observations.
        first: first state that may be shown.
        at: the state.
        facts: says which weights acted.
    """
    path = trace.episode.policy_path
    if not network_acted(path):
        return SaliencyFrames(why_not=f"The baseline {path} has no network to look into.")
    from forestpilot.policies.networks.checkpoint import CheckpointError, describe_policy, load_policy

    try:
        found = describe_policy(path)["policy_id"]
        if facts.fingerprint and found != facts.fingerprint:
            why = f"The checkpoint in {Path(path).name} holds other weights by now ({found}, not {facts.fingerprint})"
            return SaliencyFrames(why_not=f"{why}, so nobody can say what these looked at.")
        policy = load_policy(path)
    except CheckpointError as error:
        return SaliencyFrames(why_not=f"The checkpoint that acted cannot be looked into: {error}")
    from forestpilot.policies.evaluation.saliency import overlay, saliency

    states = sorted({max(first, at - round(s * trace.spec.control_hz)) for s in BEFORE_S})
    states = [state for state in states if state < at] or [at]
    # A memory was trained on windows, so as many steps fill it; without one, each frame stands for itself.
    remembers = policy.config.memory != "none"
    needed = range(max(0, states[0] - policy.config.window), states[-1] + 1) if remembers else states
    shown = [trace.steps[state] for state in needed]
    observations = {name: np.stack([step.observation[name] for step in shown]) for name in shown[0].observation}
    try:
        at_states = [list(needed).index(state) for state in states]
        heat = saliency(policy, observations, at_states)
    except ValueError as error:
        return SaliencyFrames(why_not=f"The checkpoint does not fit these pictures: {error}.")
    frames = SaliencyFrames(before_s=[(at - state) * trace.dt_s for state in states])
    for camera, maps in heat.items():
        images = zip(observations[camera][at_states], maps)
        frames.cameras[camera] = [
            (picture_of(image, "png"), picture_of(overlay(image, where), "png")) for image, where in images
        ]
    return frames
