"""An expert that was chosen by name, as the arguments of an environment hold it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from forestpilot.sim.cameras import Rig
from forestpilot.sim.courses.course import Course
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.experts import EXPERTS
from forestpilot.sim.experts.config import ExpertConfig
from forestpilot.sim.experts.expert import Expert
from forestpilot.sim.experts.own import OwnExpert
from forestpilot.sim.registry import closest
from forestpilot.sim.vehicles.vehicle import Vehicle

PART = "part"
"""Key of the name in a mapping of options."""


class ChosenExpert(NamedTuple):
    """An expert's class and its options."""

    kind: type[Expert]
    config: ExpertConfig | None
    """None for an expert that has none."""

    def begin(self, vehicle: Vehicle, course: Course, rig: Rig) -> Expert:
        """The expert of an episode."""
        if self.config is None:
            return self.kind(vehicle, course, rig)
        return self.kind(vehicle, course, rig, self.config)


def chosen_expert(advisor: str | Mapping[str, Any], own: type[Expert] | None) -> ChosenExpert | None:
    """The expert that an environment is told to ask.

    Args:
        advisor: name in `EXPERTS`, or the name under `part` with options beside it; empty for the own.
        own: the environment's own, which the name `own` stands for as well.

    Raises:
        UnknownNameError: the name is not registered.
        ValueError: an option is unknown or out of range.
    """
    options = dict(advisor) if isinstance(advisor, Mapping) else {}
    name = str(options.pop(PART, "")) if options else str(advisor)
    kind = EXPERTS.get(name) if name else OwnExpert
    if kind is OwnExpert:
        return None if own is None else ChosenExpert(own, None)
    fields = [field.name for field in dataclasses.fields(kind.Config)]
    if unknown := [key for key in options if key not in fields]:
        raise InvalidArgumentError(f"the expert {name} has no option {unknown[0]!r}; {closest(unknown[0], fields)}")
    return ChosenExpert(kind, kind.Config(**options) if fields else None)
