"""Environments between two episodes: another reset takes less time than another environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forestpilot.data_collection.rollouts.scenarios import make_env
from forestpilot.sim.tasks import Task

if TYPE_CHECKING:
    from forestpilot.sim.envs.base import VehicleEnv


class SpareEnvs:
    """Lends environments, and makes one where none with the same arguments is spare. Episodes do not depend on it: a
    reset leaves nothing of the last one. Use it as a context manager, at whose end all are closed.
    """

    def __init__(self) -> None:
        self._spare: dict[str, list[VehicleEnv]] = {}
        self._lent: dict[int, tuple[str, VehicleEnv]] = {}

    def __enter__(self) -> SpareEnvs:
        return self

    def __exit__(self, *error: object) -> None:
        lent = [env for _, env in self._lent.values()]
        for env in [*lent, *(env for spare in self._spare.values() for env in spare)]:
            env.close()
        self._lent.clear()
        self._spare.clear()

    def take(self, task: Task, **kwargs: Any) -> VehicleEnv:
        """An environment of the task with these arguments, to be reset before anything else."""
        key = repr((task.name, sorted(kwargs.items())))
        spare = self._spare.get(key)
        env = spare.pop() if spare else make_env(task, **kwargs)
        self._lent[id(env)] = (key, env)
        return env

    def give_back(self, env: VehicleEnv) -> None:
        """Somebody is done with an environment."""
        key, _ = self._lent.pop(id(env))
        if env.has_lead_in:  # of use to its own episode only
            env.close()
            return
        self._spare.setdefault(key, []).append(env)
