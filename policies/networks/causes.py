"""Causes: named parts of what a policy is given, which can be hidden from it.

A policy that sees an effect of its own actions, such as a lamp that lights when it has braked, may take it for their
cause: along demonstrations the effect tells what comes next better than the world does (de Haan, Jayaraman & Levine
2019, "Causal Confusion in Imitation Learning", arXiv:1905.11979). Whoever hides it can tell the two apart:

    --policy.hidden lamp                          never sees it
    --noise hide --noise.causes lamp              sees it in half of the windows of training
    --policy.causes lamp forward_mps              sees what a mask shows, and the mask; training draws masks at random

A cause is the name of an element of the state, a part of the picture (`picture:TOP:BOTTOM:LEFT:RIGHT`, as shares of
its height and width), or what is registered in `CAUSES`, for example `lamp`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from forestpilot.policies.networks.config import ViewConfig
from forestpilot.sim.envs.dashboards import BRAKE_LIGHT, LAMP_HALF_WIDTH, LAMP_ROWS
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.registry import Registry, closest

PICTURE = "picture:"
"""How the name of a part of the picture begins."""
TILTS_RAD = (-math.radians(3), 0.0, math.radians(3))
"""Roll and pitch that a part of the picture may move by when views are levelled; all of it is hidden at any of them."""


@dataclass(frozen=True)
class Region:
    """A part of each camera's picture, as shares of its height and width."""

    top: float
    bottom: float
    left: float
    right: float

    def __post_init__(self) -> None:
        if not (0 <= self.top < self.bottom <= 1 and 0 <= self.left < self.right <= 1):
            raise InvalidArgumentError(
                f"a part of the picture from {self.top:g} to {self.bottom:g} of its height and {self.left:g} to "
                f"{self.right:g} of its width; give shares from 0 to 1, the smaller one first"
            )


@dataclass(frozen=True)
class Cause:
    """What of a policy's inputs goes together."""

    state: tuple[str, ...] = ()
    """Names of elements of the state; a task that lacks one of them lacks the cause."""
    region: Region | None = None
    """A part of the picture."""


CAUSES: Registry[Cause] = Registry("cause", "forestpilot.policies.networks.causes:CAUSES")
"""Causes that are more than an element of the state or a part of the picture, by name."""
CAUSES.register(
    "lamp",
    Cause((BRAKE_LIGHT,), Region(*LAMP_ROWS, 0.5 - LAMP_HALF_WIDTH, 0.5 + LAMP_HALF_WIDTH)),
    "the lamp of the dashboard brake-light, in the picture and in the state",
)


def cause_named(name: str, spec: TaskSpec) -> Cause:
    """The cause of a name.

    Raises:
        InvalidArgumentError: the task has nothing of that name.
    """
    if name in spec.state_names:
        return Cause((name,))
    if name.startswith(PICTURE):
        return Cause(region=_region(name))
    known = (*CAUSES.names(), *spec.state_names)
    if name not in CAUSES:
        raise InvalidArgumentError(f"there is no cause {name!r} to hide; {closest(name, known)}")
    cause = CAUSES.get(name)
    if missing := [element for element in cause.state if element not in spec.state_names]:
        raise InvalidArgumentError(f"the cause {name!r} is not there to hide: the task's state has no {missing[0]}")
    return cause


def _region(name: str) -> Region:
    try:
        top, bottom, left, right = map(float, name.removeprefix(PICTURE).split(":"))
    except ValueError as error:
        raise InvalidArgumentError(
            f"{name!r} is no part of the picture; write {PICTURE}TOP:BOTTOM:LEFT:RIGHT, for example {PICTURE}0.8:1:0:1"
        ) from error
    return Region(top, bottom, left, right)


@dataclass(frozen=True)
class HiddenParts:
    """Where causes stand in what a policy is given."""

    state: np.ndarray
    """(K, S) bool: the elements of the state that each of K causes hides."""
    pixels: np.ndarray
    """(K, h, w) bool: the pixels of a view."""


@cache
def hidden_parts(names: tuple[str, ...], spec: TaskSpec, view: ViewConfig) -> HiddenParts:
    """Where causes stand in a task's state and in a policy's view.

    Raises:
        InvalidArgumentError: the task has no such cause.
    """
    causes = [cause_named(name, spec) for name in names]
    state = np.array([[element in cause.state for element in spec.state_names] for cause in causes], bool)
    pixels = np.zeros((len(causes), view.height, view.width), bool)
    for row, cause in zip(pixels, causes):
        if cause.region is not None:
            row[:] = _pixels_of(cause.region, spec, view)
    return HiddenParts(state.reshape(len(causes), spec.state_size), pixels)


def _pixels_of(region: Region, spec: TaskSpec, view: ViewConfig) -> np.ndarray:
    """(h, w) bool: pixels of a view that show a part of the picture, at some tilt at least."""
    from forestpilot.policies.networks.views import ViewPreparer  # imports Numba

    picture = np.zeros((spec.image_height, spec.image_width, 3), np.uint8)
    rows = slice(math.floor(region.top * spec.image_height), math.ceil(region.bottom * spec.image_height))
    columns = slice(math.floor(region.left * spec.image_width), math.ceil(region.right * spec.image_width))
    picture[rows, columns] = 255
    prepare = ViewPreparer(spec, view)
    tilts = list(itertools.product(TILTS_RAD, TILTS_RAD)) if prepare.tilt_index else [(0.0, 0.0)]
    states = np.zeros((len(tilts), spec.state_size), np.float32)
    for element, values in zip(prepare.tilt_index, zip(*tilts)):
        states[:, element] = values
    # What the camera did not see is grey, too; it is grey whatever is hidden.
    black = prepare(np.zeros((len(tilts), *picture.shape), np.uint8), states)
    seen = prepare(np.broadcast_to(picture, (len(tilts), *picture.shape)), states)
    return (seen != black).any((0, 3))
