"""Scenarios: which worlds are run with which arguments, each drawn from its seed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, cast

from forestpilot.data_collection.episodes.plain import to_plain
from forestpilot.sim.cameras import MAX_SIZE_PX, MIN_SIZE_PX
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts.config import ExpertConfig, OwnConfig
from forestpilot.sim.ranges import SPEEDS_MPS, Range, require_ranges
from forestpilot.sim.registry import name_of, part_of
from forestpilot.sim.seeds import SeedStream, rng_for
from forestpilot.sim.tasks import NoOptions, Task, TaskOptions, task_options

if TYPE_CHECKING:
    from forestpilot.sim.envs.base import VehicleEnv

SHARED = ("control_hz", "width", "height", "renderer", "domain_randomisation")
"""Arguments that every environment takes as a mix says them."""


@dataclass(frozen=True)
class Scenario:
    """One episode to run: a world and the arguments of its environment."""

    seed: int
    """World seed."""
    env_kwargs: dict[str, Any]
    """Arguments of the environment, plain JSON values."""


@dataclass(frozen=True)
class ScenarioMix:
    """Worlds and speeds that are run; each episode draws its own from its seed."""

    presets: tuple[str, ...] = ()
    """Presets of the worlds; each episode draws one. Forests: `default` (trunks 0.24-0.70 m), `loquercio` (0.6 m).
    Roads: `winding`, `easy`, `junctions`, `obstacles`. Empty for the task's first."""
    speeds: Annotated[tuple[float, ...], SPEEDS_MPS] = ()
    """Least and largest speed set point in m/s; each episode draws its own. Empty for the task's ordinary one."""
    options: TaskOptions = field(default=NoOptions(), metadata=task_options())
    """What else the task's worlds have, by default as the task has it."""
    expert: ExpertConfig = field(default=OwnConfig(), metadata=part_of("forestpilot.sim.experts:EXPERTS"))
    """Who is asked what is right, and demonstrates: the task's `own` expert, or one with habits."""
    control_hz: Annotated[int, Range(1, 240)] = 10
    """Actions per second; must divide 240."""
    width: Annotated[int, Range(MIN_SIZE_PX[0], MAX_SIZE_PX[0])] = 64
    """Width of each camera image in pixels."""
    height: Annotated[int, Range(MIN_SIZE_PX[1], MAX_SIZE_PX[1])] = 48
    """Height of each camera image in pixels."""
    renderer: str = field(default="raycast", metadata=name_of("forestpilot.sim.rendering:RENDERERS"))
    """Renderer of the pictures."""
    domain_randomisation: bool = True
    """Draw colours, light, fog and textures per world."""
    dropped_pictures: Annotated[float, Range(0, 1)] = 0.0
    """Share of the steps at which all three cameras are black, as when a picture does not arrive; state and goal are
    told. Which steps follows from the world's seed."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if not self.expert.part:
            raise InvalidArgumentError("this expert cannot be chosen here: its Config does not name it as its part")
        if self.speeds and not (len(self.speeds) == 2 and self.speeds[0] <= self.speeds[1]):
            raise InvalidArgumentError(f"speeds are {self.speeds} m/s; give two, the least and the largest")

    def complete(self, task: Task) -> ScenarioMix:
        """This mix with the task's ordinary preset, speed and options where none are given.

        Raises:
            ValueError: a preset, speed or options that the task does not have.
        """
        if unknown := [name for name in self.presets if name not in task.presets]:
            raise InvalidArgumentError(
                f"presets has {', '.join(unknown)}; the {task.name} task has {', '.join(task.presets)}"
            )
        speeds = self.speeds or (task.speed_mps, task.speed_mps)
        if speeds[-1] > task.max_speed_mps:
            raise InvalidArgumentError(
                f"speeds are {speeds} m/s; the {task.name} task goes up to {task.max_speed_mps:g}"
            )
        presets = self.presets or task.presets[:1]
        return dataclasses.replace(self.for_task(task), presets=presets, speeds=speeds)

    def for_task(self, task: Task) -> ScenarioMix:
        """This mix with the task's ordinary options where none are given.

        Raises:
            ValueError: those given are another task's.
        """
        if isinstance(self.options, task.Options):
            return self
        if not isinstance(self.options, NoOptions):
            given = type(self.options).__name__
            raise InvalidArgumentError(f"options are {given}; the {task.name} task takes {task.Options.__name__}")
        return dataclasses.replace(self, options=task.Options())

    def scenario(self, seed: int, task: Task) -> Scenario:
        """The episode through the world of this seed.

        Raises:
            ValueError: see `complete`.
        """
        mix = self.complete(task)
        rng = rng_for(seed, SeedStream.SCENARIO)
        # What is drawn when is part of what a seed means: preset, options, speed.
        preset = mix.presets[rng.integers(len(mix.presets))]
        options = mix.options.draw(rng)
        slowest, fastest = mix.speeds
        speed = round(float(rng.uniform(slowest, fastest)), 3)
        shared = {key: getattr(mix, key) for key in SHARED}
        if mix.dropped_pictures:  # where none are, nothing is stored, and environments need not know of it
            shared["dropped_pictures"] = mix.dropped_pictures
        return Scenario(seed, {"preset": preset, "speed": speed, **options, **shared, **self._advisor()})

    def _advisor(self) -> dict[str, Any]:
        """The environment's argument that says who is asked; nothing for the task's own expert."""
        if isinstance(self.expert, OwnConfig):
            return {}
        return {"advisor": to_plain(self.expert)}


def make_env(task: Task, **kwargs: Any) -> VehicleEnv:
    """The task's environment without Gymnasium's wrappers.

    Raises:
        ValueError: an argument out of range.
    """
    # Imported here, so that whoever only reads what episodes came to does not wait for the simulator.
    import gymnasium

    import forestpilot.sim.envs.registration  # noqa: F401  (registers the environments)

    env = gymnasium.make(task.env_id, disable_env_checker=True, **kwargs)
    return cast("VehicleEnv", env.unwrapped)


def task_spec_of(task: Task, mix: ScenarioMix) -> TaskSpec:
    """The task spec that all episodes of a mix share.

    Raises:
        UnsuitableExpertError: the mix's expert does not know the task's vehicle.
    """
    env = make_env(task, **mix.scenario(0, task).env_kwargs)
    try:
        if not isinstance(mix.expert, OwnConfig):
            env.draw_only(())
            env.reset(seed=0)  # which tells the expert
        return env.task_spec
    finally:
        env.close()
