"""The task `drive`: drive a car along a winding forest road to its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from forestpilot.sim.cameras import FIXED, RANDOM, RANDOM_SPEED
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import BEARING, ROAD_KINDS
from forestpilot.sim.looks import NO_DASHBOARD
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import name_of
from forestpilot.sim.tasks.keys import KeyShaping
from forestpilot.sim.tasks.task import PRETRAINED, Task, TaskOptions, TaskWords
from forestpilot.sim.worlds.roads.routes import ROUTES, SHORTEST_ROUTE_M, is_route

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

    routes: tuple[str, ...] = ()
    """Each road has three junctions, with three ways at each; each episode draws one of these routes over them, for
    example left-right-straight. `training` stands for 18 routes, `held-out` for the 9 others, `all` for both. Empty for
    roads as their preset has them."""

    goal_kind: str = ""
    """How a route is told: by the `way` that is left alone, with the commands at all its junctions (`order`), or with a
    `demonstration` in another world. Empty, or `bearing`, for the command at each junction."""

    shown: str = ""
    """The route that is demonstrated, where that is not the episode's own: a wrong demonstration."""

    def __post_init__(self) -> None:
        require_ranges(self)
        for name in ("hazard_kinds", "routes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        kinds = ("goal_kind", ("", *ROAD_KINDS))
        for name, allowed in (("side_cameras", SIDE_CAMERAS), ("interventions", INTERVENTIONS), kinds):
            if getattr(self, name) not in allowed:
                named = ", ".join(value for value in allowed if value)
                raise InvalidArgumentError(f"{name} is {getattr(self, name)!r}; allowed: {named}")
        self._require_routes()

    def _require_routes(self) -> None:
        """Raise InvalidArgumentError where routes do not go with the rest."""
        ROUTES.named(self.routes)
        missing = "there are no routes over three junctions; give options.routes, for example all"
        ROUTES.require_shown(bool(self.routes), self.shown, self.goal_kind, missing, "options.goal-kind")
        if self.routes and self.length < SHORTEST_ROUTE_M:
            raise InvalidArgumentError(
                f"length is {self.length:g} m, and a road with three junctions has {SHORTEST_ROUTE_M:g} m or more"
            )

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """`length` in metres, `side_cameras`, `interventions`, and where there are any `hazards`, their kinds,
        a `dashboard` and a `route`, of which drives of earlier versions say nothing; besides the route the same for
        every episode."""
        drawn = dataclasses.asdict(self)
        drawn["hazard_kinds"] = list(self.hazard_kinds)
        for name in ("hazards", "hazard_kinds", "goal_kind", "shown"):
            if not drawn[name]:
                del drawn[name]
        del drawn["routes"]
        if self.routes:
            routes = ROUTES.named(self.routes)
            drawn["route"] = routes[rng.integers(len(routes))]
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

    def with_goals_told(self, goal_kind: str) -> DriveOptions:
        """The same roads, told in this way.

        Raises:
            ValueError: another way was asked for, or no route can be told so.
        """
        told = self.goal_kind or BEARING
        if self.goal_kind and told != goal_kind:
            raise InvalidArgumentError(
                f"goal_kind is {told}, but the policy was taught goals of kind {goal_kind}; leave options.goal-kind out"
            )
        if goal_kind not in ROAD_KINDS:
            raise InvalidArgumentError(f"the policy reads goals of kind {goal_kind}, which this task does not tell")
        return self if told == goal_kind else dataclasses.replace(self, goal_kind=goal_kind)

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
    """The car's task, which tells a road by its preset, length, route and rule."""

    def describe(self, env_kwargs: Mapping[str, Any]) -> str:
        """For example `winding road of 600 m, 10 m/s, put back when 1 m off the line`."""
        road = f"{env_kwargs.get('preset') or self.presets[0]} road"
        if env_kwargs.get("length"):
            road += f" of {env_kwargs['length']:g} m"
        parts = [road]
        if is_route(env_kwargs.get("route") or ""):
            parts.append(f"route {env_kwargs['route']}")
        if env_kwargs.get("shown"):
            parts.append(f"{env_kwargs['shown']} shown")
        if env_kwargs.get("goal_kind"):
            parts.append(f"goals told as {env_kwargs['goal_kind']}")
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
    orders=ROUTES,
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
