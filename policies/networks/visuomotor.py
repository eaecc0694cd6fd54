"""The policy: encoder + memory + head, from camera images, state and goal to an action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from forestpilot.policies.networks.encoders import ViewEncoder
from forestpilot.policies.networks.heads import (
    HEADS,
    CategoricalHead,
    GaussianHead,
    Head,
    MixtureHead,
    RegressionHead,
    TurnCostsHead,
)
from forestpilot.policies.networks.memories import MEMORIES, Memory, State, make_memory
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.sim.envs.task_spec import TaskSpec, side_view
from forestpilot.sim.errors import InvalidArgumentError

CAMERAS = {"center": ("center",), "all": ("left", "center", "right")}
"""What PolicyConfig.cameras may say, and the cameras it means, in order."""


@dataclass(frozen=True)
class PolicyConfig:
    """Everything that shapes a policy; stored with its weights."""

    cameras: Literal["center", "all"] = "center"
    """Cameras it sees: `center`, or `all` three at once."""
    memory: Literal["none", "lstm", "transformer"] = "lstm"
    """Memory: `none`, `lstm` or `transformer`."""
    head: Literal["regression", "gaussian", "mixture", "categorical", "turn-costs"] = "turn-costs"
    """What it predicts: `regression`, `gaussian`, `mixture`, `categorical` or `turn-costs`."""
    view_height: int = 32
    """Rows of the view, pixels."""
    view_width: int = 64
    """Columns of the view, pixels."""
    level_view: bool = True
    """Turn the image back by the IMU's roll and pitch before it is seen."""
    horizon_offset_px: float = 0.0
    """View pixels by which the horizon lies above the middle row; positive shows more ground."""
    channels: tuple[int, int, int] = (16, 32, 64)
    """Output channels of the three convolutions."""
    features: int = 96
    """Size of the feature vector of one step, and of the memory."""
    state_inputs: tuple[str, ...] = ()
    """Names of the state elements it reads; empty for all of them."""
    window: int = 8
    """Steps of a training window, and steps a Transformer looks back on, itself included."""
    memory_layers: int = 1
    """Layers of a Transformer memory."""
    memory_heads: int = 4
    """Attention heads of a Transformer memory."""
    hysteresis_per_rad: float = 0.3
    """Turn-costs: cost (expert's units) per radian away from the heading, or steering, commanded last."""
    cost_clip: float = 30.0
    """Turn-costs: cost (expert's units) above the cheapest candidate beyond which all is equally bad."""
    cost_scale: float = 1.0
    """Turn-costs: divides the target of the network."""
    cost_curve: Literal["linear", "sqrt"] = "sqrt"
    """Turn-costs: `linear`, or `sqrt` to spread the small differences near the cheapest."""
    predict_go: bool = True
    """Turn-costs: learn the expert's go; False goes at the full set point."""
    mixture_components: int = 3
    """Mixture: number of Gaussians."""
    turn_bins: int = 33
    """Categorical: number of bins over the turn."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "state_inputs", tuple(self.state_inputs))
        choices = {"cameras": tuple(CAMERAS), "memory": MEMORIES, "head": HEADS, "cost_curve": ("linear", "sqrt")}
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise InvalidArgumentError(
                    f"policy.{field} must be one of {', '.join(allowed)}, got {getattr(self, field)!r}"
                )
        for field in (
            "view_height",
            "view_width",
            "features",
            "window",
            "memory_layers",
            "memory_heads",
            "mixture_components",
        ):
            if getattr(self, field) < 1:
                raise InvalidArgumentError(f"policy.{field} must be at least 1, got {getattr(self, field)}")
        if self.turn_bins < 3:
            raise InvalidArgumentError(f"policy.turn_bins must be at least 3, got {self.turn_bins}")
        if self.cost_clip <= 0 or self.cost_scale <= 0 or self.hysteresis_per_rad < 0:
            raise InvalidArgumentError(
                "policy.cost_clip and policy.cost_scale must be positive, policy.hysteresis_per_rad not negative"
            )


@dataclass
class Carry:
    """What a policy carries from one step of a batch of episodes to the next."""

    memory: State
    """The memory's state, batch first."""
    previous_turn_rad: np.ndarray
    """(B,) float32, turn commanded last (heading change or steering), NaN before the first step."""
    last_costs: np.ndarray | None = None
    """(B, K) float32, predicted cost of each candidate turn at the last step; None for heads without costs."""

    @torch.inference_mode()
    def restart(self, slots: Any) -> None:
        """Forget the episodes in these slots.

        Args:
            slots: indices, or a (B,) bool mask, of episodes that begin anew.
        """
        index = self._index(slots)
        for tensor in self.memory:
            tensor[index] = 0
        self.previous_turn_rad[index] = np.nan
        if self.last_costs is not None:
            self.last_costs[index] = np.nan

    def _index(self, slots: Any) -> np.ndarray:
        return np.arange(len(self.previous_turn_rad))[slots]


class VisuomotorPolicy(nn.Module):
    """Acts from camera images, state and goal. The previous action is not an input: with it, BC learns to copy itself.

    Args:
        config: its shape.
        spec: the task it is made for.

    Raises:
        ValueError: the config asks for state elements that the task does not have.
    """

    state_index: Tensor
    state_scale: Tensor
    memory: Memory

    def __init__(self, config: PolicyConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.camera_names = CAMERAS[config.cameras]
        names = config.state_inputs or spec.state_names
        if unknown := [name for name in names if name not in spec.state_names]:
            raise InvalidArgumentError(
                f"policy.state_inputs has {', '.join(unknown)}; this task has {', '.join(spec.state_names)}"
            )
        self.prepare = ViewPreparer(
            spec.image_height,
            spec.image_width,
            spec.horizontal_fov_deg,
            config.view_height,
            config.view_width,
            config.horizon_offset_px,
            _index_or_none(spec, "roll_rad"),
            _index_or_none(spec, "pitch_rad"),
            config.level_view,
        )
        index = torch.tensor([spec.index(name) for name in names])
        self.register_buffer("state_index", index, persistent=False)
        self.register_buffer(
            "state_scale", torch.tensor(spec.state_scale, dtype=torch.float32)[index], persistent=False
        )
        self.encoder = ViewEncoder(
            config.view_height,
            config.view_width,
            len(self.camera_names),
            config.channels,
            len(names) + spec.goal_size,
            config.features,
        )
        self.memory = make_memory(
            config.memory, config.features, config.window, config.memory_layers, config.memory_heads
        )
        self.head = _make_head(config, spec)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def seeded(cls, config: PolicyConfig, spec: TaskSpec, seed: int) -> VisuomotorPolicy:
        """A new policy whose first weights follow from the seed; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config, spec)

    @property
    def num_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, views: Tensor, state: Tensor, goal: Tensor, memory: State | None = None) -> tuple[Tensor, State]:
        """Predict over windows.

        Args:
            views: (B, T, C, h, w, 3) uint8, made by `prepare`.
            state: (B, T, S) float32.
            goal: (B, T, G) float32.
            memory: carried from the steps before; None at the start of an episode or window.

        Returns:
            predictions (B, T, P) float32, and the memory after the last step.
        """
        batch, steps = views.shape[:2]
        inputs = torch.cat((state[..., self.state_index] / self.state_scale, goal), dim=-1)
        features = self.encoder(views.flatten(0, 1), inputs.flatten(0, 1)).view(batch, steps, -1)
        features, memory = self.memory(features, memory)
        return self.head(features), memory

    def begin(self, batch: int) -> Carry:
        """The carry before the first step of `batch` episodes."""
        return Carry(self.memory.initial(batch), np.full(batch, np.nan, dtype=np.float32))

    @torch.inference_mode()
    def act(self, observations: dict[str, np.ndarray], carry: Carry | None = None) -> tuple[np.ndarray, Carry]:
        """One step of a batch of episodes.

        Args:
            observations: the environment's, batched: `left`, `center`, `right` (B, H, W, 3) uint8 (only those the
                policy sees are needed), `state` (B, S) float32, `goal` (B, G) float32.
            carry: from the step before; None at the first.

        Returns:
            actions (B, 2) float32 in [-1, 1], and the carry for the next step (the one given, changed).
        """
        state = np.array(observations["state"], dtype=np.float32)
        goal = np.array(observations["goal"], dtype=np.float32)
        carry = carry or self.begin(len(state))
        views = self.views_of(observations)
        step = [torch.from_numpy(values)[:, None] for values in (views, state, goal)]
        prediction, carry.memory = self(*step, carry.memory)
        prediction = prediction[:, 0]
        previous_turn = torch.from_numpy(self._previous_turn_rad(carry, state) / np.float32(self.spec.max_turn_rad))
        actions = self.head.decode(prediction, previous_turn).numpy()
        costs = self.head.costs(prediction)
        carry.last_costs = None if costs is None else costs.numpy()
        carry.previous_turn_rad = actions[:, 0] * np.float32(self.spec.max_turn_rad)
        return actions, carry

    def _previous_turn_rad(self, carry: Carry, state: np.ndarray) -> np.ndarray:
        """(B,) what the last command would be now; NaN where there was none."""
        if self.spec.turn_kind == "steering":
            return carry.previous_turn_rad  # wheels stay turned as they are, wherever the car heads
        # The vehicle has turned since the last command, so the same heading is now a smaller turn away.
        return carry.previous_turn_rad - state[:, self.spec.index("yaw_rate_radps")] / self.spec.control_hz

    def views_of(self, observations: dict[str, np.ndarray]) -> np.ndarray:
        """Views (B, C, h, w, 3) uint8 of a batch of observations, each levelled with the tilt of its own camera."""
        state, goal = observations["state"], observations["goal"]
        yaws = {"left": self.spec.side_yaw_rad, "center": 0.0, "right": -self.spec.side_yaw_rad}
        views = []
        for name in self.camera_names:
            camera_state = side_view(self.spec, state, goal, yaws[name])[0] if yaws[name] else state
            views.append(self.prepare(observations[name], camera_state))
        return views[0][:, None] if len(views) == 1 else np.stack(views, axis=1)


def _index_or_none(spec: TaskSpec, name: str) -> int | None:
    return spec.index(name) if name in spec.state_names else None


def _make_head(config: PolicyConfig, spec: TaskSpec) -> Head:
    if config.head == "regression":
        return RegressionHead(config.features)
    if config.head == "gaussian":
        return GaussianHead(config.features)
    if config.head == "mixture":
        return MixtureHead(config.features, config.mixture_components)
    if config.head == "categorical":
        return CategoricalHead(config.features, config.turn_bins)
    if spec.turn_kind == "steering" and not config.predict_go:
        raise InvalidArgumentError("policy.predict_go is False, which is full throttle in a car; set it to True")
    turns = torch.tensor(spec.candidate_turns_rad, dtype=torch.float32) / spec.max_turn_rad
    return TurnCostsHead(
        config.features,
        turns,
        config.cost_clip,
        config.cost_scale,
        config.cost_curve,
        config.hysteresis_per_rad * spec.max_turn_rad,
        config.predict_go,
    )
