"""What a policy looked at in the moments before something happened, camera by camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from forestpilot.launch.pages.blocks import Frame
from forestpilot.launch.pages.media import picture_of
from forestpilot.launch.reading.evaluations import EpisodeFacts
from forestpilot.launch.reports.behaviour import Trace
from forestpilot.policies.evaluation.entrants import network_acted

BEFORE_S = (2.0, 1.0, 0.5, 0.1)
"""How long before the event the frames were taken, seconds."""

Frames = dict[str, list[Frame]]
"""Frames by camera."""


def look_closely(trace: Trace, first: int, at: int, facts: EpisodeFacts) -> tuple[Frames, str]:
    """Frames of what the policy that acted looked at before a state, or why there are none.

    Args:
        trace: the episode, with its observations.
        first: first state that may be shown.
        at: the state.
        facts: says which weights acted.
    """
    path = trace.episode.policy_path
    if not network_acted(path):
        return {}, f"{path} has no network to look into."
    from forestpilot.policies.networks.checkpoint import CheckpointError

    try:
        return _frames(trace, _states(trace, first, at), at, facts), ""
    except CheckpointError as error:
        return {}, f"The checkpoint that acted cannot be looked into: {error}"
    except _OtherWeightsError as error:
        return {}, str(error)
    except ValueError as error:
        return {}, f"The checkpoint does not fit these pictures: {error}."


class _OtherWeightsError(Exception):
    """The folder of the checkpoint holds other weights by now."""


def _states(trace: Trace, first: int, at: int) -> list[int]:
    """The states whose frames are shown."""
    states = set()
    for before_s in BEFORE_S:
        states.add(max(first, at - round(before_s / trace.dt_s)))
    return sorted(states - {at}) or [at]


def _frames(trace: Trace, states: list[int], at: int, facts: EpisodeFacts) -> Frames:
    """The frames at some states before `at`.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ValueError: it does not fit the pictures.
    """
    from forestpilot.policies.evaluation.saliency import overlay, saliency
    from forestpilot.policies.networks.checkpoint import describe_policy, load_policy

    path = trace.episode.policy_path
    found = describe_policy(path)["policy_id"]
    if facts.fingerprint and found != facts.fingerprint:
        raise _OtherWeightsError(
            f"The checkpoint in {Path(path).name} holds other weights by now ({found}, not {facts.fingerprint}), so "
            "nobody can say what these looked at."
        )
    policy = load_policy(path)
    # A memory was trained on windows, so as many steps fill it; without one, each frame stands for itself.
    needed = states
    if policy.config.memory != "none":
        needed = list(range(max(0, states[0] - policy.config.window), states[-1] + 1))
    observations = {}
    for name in trace.steps[0].observation:
        observations[name] = np.stack([trace.steps[state].observation[name] for state in needed])
    places = list(map(needed.index, states))
    frames: Frames = {}
    for camera, maps in saliency(policy, observations, places).items():
        frames[camera] = []
        for state, image, where in zip(states, observations[camera][places], maps, strict=True):
            seen = picture_of(image, "png")
            looked_at = picture_of(overlay(image, where), "png")
            frames[camera].append(Frame((at - state) * trace.dt_s, seen, looked_at))
    return frames
