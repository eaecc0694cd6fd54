"""What shapes a policy, apart from the networks: commands read it, and print it in their help, without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from forestpilot.policies.networks.chunks import EXECUTIONS, Execution
from forestpilot.policies.networks.encoders import EncoderConfig
from forestpilot.policies.networks.encoders.options import PatchConfig
from forestpilot.policies.networks.goal_encoders import GoalEncoderConfig
from forestpilot.policies.networks.goal_encoders.options import ToldGoalConfig
from forestpilot.policies.networks.heads import HEADS, HeadConfig
from forestpilot.policies.networks.heads.options import TurnCostsConfig
from forestpilot.policies.networks.memories import MemoryConfig
from forestpilot.policies.networks.memories.options import LSTMConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import PartConfig, Registry, part_of

CAMERAS = {"center": ("center",), "all": ("left", "center", "right")}
"""What PolicyConfig.cameras may say, and the cameras it means, in order."""
PartT = TypeVar("PartT")
PART_KINDS: dict[str, type[PartConfig]] = {
    "encoder": EncoderConfig,
    "goal_encoder": GoalEncoderConfig,
    "memory": MemoryConfig,
    "head": HeadConfig,
}
"""Fields of a policy's config that hold a part, and what each must be."""


@dataclass(frozen=True)
class ViewConfig:
    """Shape of a view; its horizontal field of view is the camera's."""

    height: Annotated[int, Range(1, 720)] = 32
    """Rows, pixels."""
    width: Annotated[int, Range(1, 1280)] = 64
    """Columns, pixels."""
    level: bool = True
    """Turn the image back by the IMU's roll and pitch, where the state tells them, before it is seen."""
    horizon_offset_px: Annotated[float, Range(-720, 720)] = 0.0
    """View pixels by which the horizon lies above the middle row; positive shows more ground."""

    def __post_init__(self) -> None:
        require_ranges(self)


USUAL_VIEW = ViewConfig()


@dataclass(frozen=True)
class PolicyConfig:
    """Everything that shapes a policy; stored with its weights."""

    cameras: Literal["center", "all"] = "center"
    """Cameras it sees: `center`, or `all` three at once."""
    view: ViewConfig = USUAL_VIEW
    """What it sees of their pictures."""
    state_inputs: tuple[str, ...] = ()
    """Names of the state elements it reads; empty for all of them."""
    hidden: tuple[str, ...] = ()
    """What it never sees: elements of the state, parts of the picture (picture:TOP:BOTTOM:LEFT:RIGHT, shares of its
    height and width), and other causes by name, for example lamp."""
    causes: tuple[str, ...] = ()
    """Of these it sees what a mask shows, and the mask; training draws the mask of each window at random (de Haan et
    al. 2019). All are shown when it acts, until `forestpilot intervene` has found which mask drives best."""
    encoder: EncoderConfig = field(
        default=PatchConfig(), metadata=part_of("forestpilot.policies.networks.encoders:ENCODERS")
    )
    """From the views, state and goal of a step to its features."""
    goal_encoder: GoalEncoderConfig = field(
        default=ToldGoalConfig(), metadata=part_of("forestpilot.policies.networks.goal_encoders:GOAL_ENCODERS")
    )
    """From what is told of the goal to what joins the state: its numbers, or a reading of the picture at the goal."""
    features: Annotated[int, Range(1, 2048)] = 96
    """Size of the feature vector of one step, and of the memory."""
    memory: MemoryConfig = field(
        default=LSTMConfig(), metadata=part_of("forestpilot.policies.networks.memories:MEMORIES")
    )
    """What it remembers of the steps before."""
    window: Annotated[int, Range(1, 1024)] = 8
    """Steps of a training window, and steps a Transformer looks back on, itself included."""
    head: HeadConfig = field(default=TurnCostsConfig(), metadata=part_of("forestpilot.policies.networks.heads:HEADS"))
    """What it predicts, and how that becomes an action."""
    chunk: Annotated[int, Range(1, 256)] = 1
    """Actions in a prediction, one for each of the next steps. What they are to be is what was done, or would have
    been, at those steps of the recorded episode: in demonstrations that is a plan, on a learner's own way it is not.
    """
    chunk_execution: Execution = "receding"
    """Chunks of several actions: execute some of each, then predict anew (receding), or the mean of what all
    predictions say of the present step (averaged).
    """
    chunk_steps: Annotated[int, Range(1, 256)] = 1
    """Receding: actions that are executed of each chunk."""
    chunk_decay: Annotated[float, Range(0, 1000)] = 0.01
    """Averaged: a prediction that is i steps old weighs exp(decay * i)."""
    even_rows: bool = True
    """Actions do not depend, in their last bit, on an episode's place among those that are acted on at once. Policies
    and runs stored without this setting go on as they were: no."""

    def __post_init__(self) -> None:
        require_ranges(self)
        for name in ("state_inputs", "hidden", "causes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if twice := set(self.hidden) & set(self.causes):
            raise InvalidArgumentError(f"policy.hidden and policy.causes both have {', '.join(sorted(twice))}")
        for name, kind in PART_KINDS.items():
            part = getattr(self, name)
            if not isinstance(part, kind):
                raise InvalidArgumentError(
                    f"policy.{name} must be the options of a part, a {kind.__name__}; got {part!r}"
                )
        if self.cameras not in CAMERAS:
            raise InvalidArgumentError(f"policy.cameras must be one of {', '.join(CAMERAS)}, got {self.cameras!r}")
        if self.chunk_execution not in EXECUTIONS:
            raise InvalidArgumentError(
                f"policy.chunk_execution must be one of {', '.join(EXECUTIONS)}, got {self.chunk_execution!r}"
            )
        if self.chunk_steps > self.chunk:
            raise InvalidArgumentError(f"policy.chunk_steps must be 1 to chunk = {self.chunk}, got {self.chunk_steps}")

    @property
    def needs_costs(self) -> bool:
        """True where its head learns from the planner's costs, so that a human's actions are not enough."""
        if self.head.needs_costs is None:
            return part_class(HEADS, self.head).needs_costs
        return self.head.needs_costs


def part_class(registry: Registry[PartT], config: PartConfig) -> PartT:
    """Class of the part that a config is of.

    Raises:
        UnknownNameError: nothing is registered under its name.
        ValueError: it has no name.
    """
    if not config.part:
        raise InvalidArgumentError(
            f"{type(config).__name__} does not say which {registry.kind} it is of; set `part: ClassVar[str]` to the "
            "name that it is registered under, or to package.module:Class"
        )
    return registry.get(config.part)
