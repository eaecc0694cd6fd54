"""Every camera's view of an episode as an episode of its own, for tools that learn from one camera.

What a side camera saw is what the vehicle would see if it stood there; state and goal are told as they would read
there, and the lesson is the expert's answer there. So one flight shows what being beside the way looks like, and the
way back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.episode import CAMERAS, Episode
from forestpilot.data_collection.windows.side_labels import fixed_offsets
from forestpilot.data_collection.windows.training_steps import read_at
from forestpilot.sim.cameras import CENTER
from forestpilot.sim.envs.task_spec import TaskSpec


def views_apart(episode: Episode, spec: TaskSpec) -> Iterator[tuple[int, Episode]]:
    """Index of each camera at whose pose somebody said what to do, and the episode as that camera tells it; the center
    camera comes first, and alone where no expert was asked.
    """
    yield CENTER, _as_seen_by(CENTER, episode, spec)
    if episode.labels.expert_actions() is not None:
        for camera in range(len(CAMERAS)):
            if camera != CENTER:
                yield camera, _as_seen_by(camera, episode, spec)


def _as_seen_by(camera: int, episode: Episode, spec: TaskSpec) -> Episode:
    """An episode as if one of its cameras were the center one.

    Args:
        camera: its index: left, center, right.
        episode: T steps.
        spec: names the elements of the state.

    Returns:
        The episode with one camera's pictures as `center`, and state, goal and the expert's answers as of its pose; the
        answers stand in the place of the center's.
    """
    offsets = episode.camera_offsets
    if offsets is None:
        offsets = np.broadcast_to(fixed_offsets(spec), (episode.num_steps + 1, len(CAMERAS), 2))
    seen = episode.observations
    state, goal = seen["state"], seen["goal"]
    if camera != CENTER:
        state, goal = read_at(spec, state, goal, offsets[:, camera], is_asked=True)
    own = {key: values for key, values in seen.items() if key not in CAMERAS}
    own |= {"center": seen[CAMERAS[camera]], "state": state, "goal": goal}
    told: dict[str, Any] = {}
    for name in ("expert_actions", "expert_costs"):
        answers = getattr(episode, name)
        if answers is not None:
            told[name] = np.repeat(answers[:, camera : camera + 1], len(CAMERAS), axis=1)
    return dataclasses.replace(episode, observations=own, **told)
