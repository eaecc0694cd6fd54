"""Task specs for tests: those of the environments themselves, so that no test learns something else than is flown."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.tasks import TASKS

SMALL: dict[str, Any] = {"image_height": 12, "image_width": 16}
"""Pictures that cost next to nothing."""


@cache
def spec_of(task: str) -> TaskSpec:
    """The spec that a task's environment tells of itself, by name of the task."""
    return task_spec_of(TASKS.get(task), ScenarioMix())


def make_spec(**changes: Any) -> TaskSpec:
    """The drone's spec, with some fields changed."""
    return dataclasses.replace(spec_of("drone"), **changes) if changes else spec_of("drone")


def make_drive_spec(**changes: Any) -> TaskSpec:
    """The car's spec, with some fields changed."""
    return dataclasses.replace(spec_of("drive"), **changes)


def small_spec(**changes: Any) -> TaskSpec:
    """The drone's spec with small pictures."""
    return make_spec(**(SMALL | changes))


def small_drive_spec(**changes: Any) -> TaskSpec:
    """The car's spec with small pictures."""
    return make_drive_spec(**(SMALL | changes))
