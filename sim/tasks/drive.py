"""The task `drive`: drive a car along a winding forest road to its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from forestpilot.sim.cameras import FIXED, RANDOM, RANDOM_SPEED
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.looks import NO_DASHBOARD
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import name_of
from forestpilot.sim.tasks.keys import KeyShaping
from forestpilot.sim.tasks.task import PRETRAINED, Task, TaskOptions, TaskWords

SIDE_CAMERAS = (FIXED, RANDOM, RANDOM_SPEED)
RULES = {
    "none": "nobody intervenes",
    "line": "put back when 1 m off the line",
    "road": "put back when off the road",
}
"""When a car is put back, in words."""
INTERVENTIONS = tuple(RULES)


@dataclass(frozen=True)
class DriveOptions(TaskOptions):
    """Roads to drive, and what happens to a car that leaves its line."""

    length: Annotated[float, Range(40, 3000)] = 600.0
    """Length of the road in metres."""
    side_cameras: str = "fixed"
    """Side cameras `fixed` at 0.5 m and 8 degrees, or drawn anew for every picture (`random`), and the speed that the
    expert is asked about with them (`random-speed`)."""
    interventions: str = "none"
    """Put the car back when it is more than 1 m off its `line`, off the `road`, or never (`none`: the episode ends)."""

    hazards: Annotated[int, Range(0, 100)] = 0
    """Hazards along each road, one per 25 m at most: what moves when somebody comes."""

    hazard_kinds: tuple[str, ...] = ()
    """Kinds of hazards to draw from: deer, crossing, car; by default all of them."""

    dashboard: str = field(default=NO_DASHBOARD, metadata=name_of("forestpilot.sim.envs.dashboards:DASHBOARDS"))
    """A dashboard in all three pictures: `brake-light` has a lamp that shows the brake of the step before, which the
    state tells too."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "hazard_kinds", tuple(self.hazard_kinds))
        for name, allowed in (("side_cameras", SIDE_CAMERAS), ("interventions", INTERVENTIONS)):
            if getattr(self, name) not in allowed:
                raise InvalidArgumentError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """`length` in metres, `side_cameras`, `interventions`, and where there are any `hazards`, their kinds
        and a `dashboard`, of which drives of earlier versions say nothing; the same for every episode."""
        drawn = dataclasses.asdict(self)
        drawn["hazard_kinds"] = list(self.hazard_kinds)
        for name in ("hazards", "hazard_kinds"):
            if not drawn[name]:
                del drawn[name]
        if self.dashboard == NO_DASHBOARD:
            del drawn["dashboard"]
        return drawn

    def with_dashboard(self, dashboard: str) -> DriveOptions:
        """The same roads with the dashboard that a policy reads; who reads none sees the one that is asked for.

        Raises:
            ValueError: another one was asked for.
        """
        if dashboard in (NO_DASHBOARD, self.dashboard):
            return self
        if self.dashboard != NO_DASHBOARD:
            raise InvalidArgumentError(
                f"dashboard is {self.dashboard}, but the policy learned with {dashboard}; leave options.dashboard out"
            )
        return dataclasses.replace(self, dashboard=dashboard)

    @property
    def counts_interventions(self) -> bool:
        """True where a car that was put back goes on."""
        return self.interventions != "none"

    def for_validation(self) -> DriveOptions:
        """The same roads by PilotNet's rule: put back when more than 1 m off the line."""
        return dataclasses.replace(self, interventions="line")

    def for_evaluation(self) -> DriveOptions:
        """The same, the side cameras where they usually stand: somebody looks at these pictures."""
        return dataclasses.replace(self, interventions="line", side_cameras="fixed")


class DriveTask(Task):
    """The car's task, which tells a road by its preset, length and rule."""

    def describe(self, env_kwargs: Mapping[str, Any]) -> str:
        """For example `winding road of 600 m, 10 m/s, put back when 1 m off the line`."""
        road = f"{env_kwargs.get('preset') or self.presets[0]} road"
        if env_kwargs.get("length"):
            road += f" of {env_kwargs['length']:g} m"
        parts = [road]
        if env_kwargs.get("speed") is not None:
            parts.append(f"{env_kwargs['speed']:.3g} m/s")
        if env_kwargs.get("hazards"):
            parts.append(f"{env_kwargs['hazards']} hazards")
        if "interventions" in env_kwargs:
            parts.append(RULES.get(env_kwargs["interventions"], str(env_kwargs["interventions"])))
        return ", ".join(parts)


DRIVE = DriveTask(
    name="drive",
    summary="drive a car along a winding forest road",
    env_id="forestpilot:ForestPilot/Drive-v0",
    presets=("winding", "easy", "junctions", "obstacles"),
    speed_mps=10.0,
    max_speed_mps=20.0,
    Options=DriveOptions,
    evaluation_options=DriveOptions(interventions="line"),
    baselines={
        "blind": "forestpilot.policies.evaluation.baselines:BlindDriver",
        "expert": "forestpilot.data_collection.rollouts.pilots:ExpertPilot",
    },
    pretrained=PRETRAINED / "drive",
    # A car's turn is its steering angle.
    keys=KeyShaping(turn_per_s=1.6, turn_back_per_s=2.4, go_per_s=2.5, go_back_per_s=4.0, full_turn_mps=5.0),
    # On a road there is one way.
    head_for_actions="regression",
    put_back=True,
    map_share=0.30,  # the surroundings of a car are not narrow
    words=TaskWords(
        vehicle="car",
        episode="drive",
        episodes="drives",
        world="road",
        aim="along the road to its end",
        worlds="roads",
        verb="drive",
        third="drives",
        past="drove",
        participle="driven",
        success="drove without intervention on",
        turn="steering",
        go=("brake", "roll", "gas"),
        go_meaning="Throttle and brake.",
        clearance="Least distance from the body to a trunk or obstacle during a drive, cut off at 1.15 m.",
        expert="The expert of the car steers smoothly, so an arm whose wheels tremble changes more than it.",
        side_rule="back to the line in 2 s",
    ),
)
