"""Tasks as whoever reads needs them: also those whose plug-in is not installed any more."""

from __future__ import annotations

from forestpilot.sim.registry import UnknownNameError
from forestpilot.sim.tasks import TASKS, Task


def task_named(name: str) -> Task:
    """The task of a name; one that nobody has registered is told in general words."""
    try:
        return TASKS.get(name)
    except UnknownNameError:
        return Task(name=name, summary="", env_id="", presets=(), speed_mps=1.0, max_speed_mps=1.0)


def task_of_env(env_id: str) -> Task:
    """The task whose environment has this id; the module before the colon may be another, or left out."""
    bare_id = env_id.split(":")[-1]
    for name in TASKS:
        task = TASKS.get(name)
        if task.bare_env_id == bare_id:
            return task
    return task_named(bare_id)


def task_of_preset(preset: str, has_density: bool) -> Task:
    """The task of worlds in version 0.1, which told it by the preset, and by forests alone having a density."""
    for name in TASKS:
        task = TASKS.get(name)
        if preset in task.presets:
            return task
    return TASKS.get("drone" if has_density else "drive")
