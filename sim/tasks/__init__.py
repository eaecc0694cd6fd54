"""Tasks: what can be learned. Everything above asks the task; nobody branches on its name."""

from __future__ import annotations

from forestpilot.sim.registry import Registry
from forestpilot.sim.tasks.task import NoOptions, Task, TaskOptions, TaskWords, task_options

__all__ = ["DEFAULT_TASK", "TASKS", "NoOptions", "Task", "TaskOptions", "TaskWords", "task_options"]

DEFAULT_TASK = "drone"
"""The task of commands that are not told another."""

TASKS: Registry[Task] = Registry("task", "forestpilot.sim.tasks:TASKS")
TASKS.register("drone", "forestpilot.sim.tasks.drone:DRONE", "fly a quadrotor through a dense forest")
TASKS.register("drive", "forestpilot.sim.tasks.drive:DRIVE", "drive a car along a winding forest road")
