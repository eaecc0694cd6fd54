"""The policy: encoder + memory + head, from camera images, state and goal to an action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forestpilot.policies.networks.chunks import ChunkQueue
from forestpilot.policies.networks.config import CAMERAS, PolicyConfig, part_class
from forestpilot.policies.networks.encoders import ENCODERS
from forestpilot.policies.networks.encoders.base import Encoder, EncoderShape
from forestpilot.policies.networks.even_linear import EvenLinear
from forestpilot.policies.networks.goal_encoders import GOAL_ENCODERS
from forestpilot.policies.networks.goal_encoders.adapted import AdaptedGoal
from forestpilot.policies.networks.goal_encoders.base import (
    Demonstrated,
    GoalEncoder,
    GoalShape,
    GoalView,
    shown_in,
)
from forestpilot.policies.networks.heads import HEADS
from forestpilot.policies.networks.heads.base import ActContext, Head
from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.networks.memories.base import Memory, State
from forestpilot.policies.networks.noise import EpisodeNoise
from forestpilot.policies.networks.veil import Veil
from forestpilot.policies.networks.views import ViewPreparer, camera_views
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import DEMONSTRATED, DEMONSTRATED_STEPS, DEMONSTRATION, GOAL_IMAGE, IMAGE


@dataclass
class Carry:
    """Memory that a policy carries from one step of a batch of episodes to the next."""

    memory: State
    """The memory's state, batch first."""
    previous_turn_rad: np.ndarray
    """(B,) float32, turn commanded last (heading change or steering), NaN before the first step."""
    generators: list[torch.Generator]
    """Where each episode's noise is drawn; empty for heads that draw none."""
    chunks: ChunkQueue | None = None
    """Predictions that the next actions are taken from; None where each holds one action."""
    noise: EpisodeNoise | None = None
    """What the head draws for each episode; None where it draws otherwise, or not at all."""
    last_costs: np.ndarray | None = None
    """(B, C) float32, predicted cost of each candidate turn at the last step; None for heads without costs."""
    shown: Tensor | None = None
    """(B, K) float32, 1 where a cause of each episode is shown; None for the policy's own mask."""

    @torch.inference_mode()
    def restart(self, slots: Any, seeds: Sequence[int] | None = None) -> None:
        """Forget the episodes in these slots.

        Args:
            slots: indices, or a (B,) bool mask, of episodes that begin anew.
            seeds: of the noise of each of them; None draws on from where the last episode ended.
        """
        index = np.arange(len(self.previous_turn_rad))[slots]
        for tensor in self.memory:
            tensor[index] = 0
        self.previous_turn_rad[index] = np.nan
        if self.last_costs is not None:
            self.last_costs[index] = np.nan
        if self.chunks is not None:
            self.chunks.restart(index)
        if self.generators and seeds is not None:
            for slot, seed in zip(index, seeds, strict=True):
                self.generators[slot].manual_seed(seed)
        if self.noise is not None:
            self.noise.restart(index)


class VisuomotorPolicy(nn.Module):
    """Acts from camera images, state and goal. The previous action is not an input: with it, BC learns to copy itself.

    Args:
        config: its shape.
        spec: the task it is made for.

    Raises:
        ValueError: the config asks for state elements that the task does not have, or for parts that do not go with
            one another; UnknownNameError for parts that nobody has registered.
    """

    state_index: Tensor
    state_scale: Tensor
    goal_encoder: GoalEncoder
    encoder: Encoder
    mask: Tensor
    """(K,) float32, 1 for each cause of the config that is shown when it acts; only where there are any."""
    memory: Memory
    head: Head

    def __init__(self, config: PolicyConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = spec
        self.camera_names = CAMERAS[config.cameras]
        names = config.state_inputs or spec.state_names
        if unknown := [name for name in names if name not in spec.state_names]:
            raise InvalidArgumentError(
                f"policy.state_inputs has {', '.join(unknown)}; this task has {', '.join(spec.state_names)}"
            )
        self.prepare = ViewPreparer(spec, config.view)
        index = torch.tensor([spec.index(name) for name in names])
        scale = torch.tensor(spec.state_scale, dtype=torch.float32)[index]
        self.register_buffer("state_index", index, persistent=False)
        self.register_buffer("state_scale", scale, persistent=False)
        self.goal_encoder = _make_goal_encoder(config, spec)
        self.veil: Veil | None = None
        if config.hidden or config.causes:
            self.veil = Veil((*config.hidden, *config.causes), spec, config.view)
        if self.veil is not None and isinstance(self.goal_encoder, AdaptedGoal):
            raise InvalidArgumentError(
                "policy.goal_encoder maml goes neither with policy.hidden nor with policy.causes: demonstrations hide "
                "nothing"
            )
        if config.causes:
            self.register_buffer("mask", torch.ones(len(config.causes)))
        shape = EncoderShape(
            view_height=config.view.height,
            view_width=config.view.width,
            num_cameras=len(self.camera_names),
            num_inputs=len(names) + self.goal_encoder.size + len(config.causes),
            features=config.features,
        )
        self.encoder = part_class(ENCODERS, config.encoder)(config.encoder, shape)
        self.memory = part_class(MEMORIES, config.memory)(config.memory, config.features, config.window)
        self.head = part_class(HEADS, config.head)(config.head, config.features, spec, config.chunk)
        for layer in self.head.modules():
            if isinstance(layer, EvenLinear):
                layer.is_even = config.even_rows
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def seeded(cls, config: PolicyConfig, spec: TaskSpec, seed: int) -> VisuomotorPolicy:
        """A new policy whose first weights follow from the seed; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            policy = cls(config, spec)
        policy.encoder.first_weights()
        return policy

    @property
    def num_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where its weights lie, and it computes."""
        return self.state_scale.device  # looked up at each step: parameters() would walk through all modules

    @property
    def observation_keys(self) -> tuple[str, ...]:
        """Names of the observations that it reads."""
        pictures: tuple[str, ...] = (GOAL_IMAGE,) if self.goal_encoder.reads_picture else ()
        if self.goal_encoder.reads_demonstration:
            pictures = (DEMONSTRATED, DEMONSTRATED_STEPS)
        return (*self.camera_names, "state", "goal", *pictures)

    def forward(
        self,
        views: Tensor,
        state: Tensor,
        goal: Tensor,
        memory: State | None = None,
        goal_view: GoalView = None,
        shown: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Predict over windows.

        Args:
            views: (B, T, C, h, w, 3) uint8, made by `prepare`.
            state: (B, T, S) float32.
            goal: (B, T, G) float32.
            memory: carried from the steps before; None at the start of an episode or window.
            goal_view: (B, h, w, 3) uint8, made by `prepare`, where goals are pictures; where they are demonstrated,
                the demonstrations.
            shown: (B, K) float32, 1 where a cause is shown, 0 where it is hidden; None for the policy's own mask.

        Returns:
            predictions (B, T, P) float32, and the memory after the last step.
        """
        features, memory = self.memory(self.encode(views, state, goal, goal_view, shown), memory)
        return self.head(features), memory

    def encode(
        self,
        views: Tensor,
        state: Tensor,
        goal: Tensor,
        goal_view: GoalView = None,
        shown: Tensor | None = None,
    ) -> Tensor:
        """Features (B, T, F) of each step by itself; the arguments are those of `forward`."""
        batch, steps = views.shape[:2]
        told = [self._told_of(goal, goal_view)]
        if self.veil is not None:
            shown = self._shown(batch, shown)
            views, state = self.veil.hide(views, state, shown)
            told.append(shown[:, None, len(self.config.hidden) :].expand(-1, steps, -1))
        inputs = torch.cat((state[..., self.state_index] / self.state_scale, *told), dim=-1)
        features: Tensor = self.encoder(views.flatten(0, 1), inputs.flatten(0, 1))
        return features.view(batch, steps, -1)

    def _told_of(self, goal: Tensor, goal_view: GoalView) -> Tensor:
        """What joins the state (B, T, N) of goals (B, T, G)."""
        if not isinstance(self.goal_encoder, AdaptedGoal):
            told: Tensor = self.goal_encoder(goal, goal_view)
            return told
        shown = shown_in(goal_view)
        context = self.goal_encoder.adapted(lambda context: self._imitation_loss(shown, context), len(goal))
        return self.goal_encoder.join(goal, context)

    def _imitation_loss(self, shown: Demonstrated, context: Tensor) -> Tensor:
        """(B,) mean squared difference between the turns of B demonstrations and the policy's own there, each moment by
        itself, given contexts (B, N)."""
        assert isinstance(self.goal_encoder, AdaptedGoal)
        steps = shown.steps.clone()  # made in inference mode, tensors have no gradients
        state, goal, actions = steps.split((self.spec.state_size, steps.shape[-1] - self.spec.state_size - 2, 2), -1)
        told = self.goal_encoder.join(goal, context)
        inputs = torch.cat((state[..., self.state_index] / self.state_scale, told), dim=-1)
        features = self.encoder(shown.views.clone().flatten(0, 1)[:, None], inputs.flatten(0, 1))
        remembered, _ = self.memory(features[:, None], None)
        turns = self.head.smooth_turn(self.head(remembered)).view(actions.shape[:2])
        return (turns - actions[..., 0]).square().mean(dim=-1)

    def _shown(self, batch: int, shown: Tensor | None) -> Tensor:
        """(B, K) float32 for all causes of the config, those that are never shown first."""
        never = torch.zeros(batch, len(self.config.hidden), device=self.device)
        if not self.config.causes:
            return never
        if shown is None:
            shown = self.mask.expand(batch, -1)
        return torch.cat((never, shown), dim=-1)

    def begin(self, batch: int, seeds: Sequence[int] | None = None) -> Carry:
        """The carry before the first step of `batch` episodes; `seeds` of their noise, by default 0, 1, 2, ..."""
        config = self.config
        carry = Carry(self.memory.initial(batch), np.full(batch, np.nan, dtype=np.float32), [])
        if self.head.draws_noise:
            seeds = range(batch) if seeds is None else seeds
            carry.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        if self.head.noise_shape:
            carry.noise = EpisodeNoise(carry.generators, self.head.noise_shape, self.head.keeps_noise)
        if config.chunk > 1:
            carry.chunks = ChunkQueue(
                batch, config.chunk, config.chunk_execution, config.chunk_steps, config.chunk_decay
            )
        return carry

    @torch.inference_mode()
    def act(self, observations: dict[str, np.ndarray], carry: Carry | None = None) -> tuple[np.ndarray, Carry]:
        """One step of a batch of episodes.

        The network sees every step, also where an action of an earlier chunk is executed, so that its memory follows
        the episode.

        Args:
            observations: the environment's, batched: `left`, `center`, `right` (B, H, W, 3) uint8 (only those the
                policy sees are needed), `state` (B, S) float32, `goal` (B, G) float32; where it reads goals as
                pictures `goal_image` (B, H, W, 3) uint8, where it reads demonstrations `demonstration`
                (B, F, H, W, 3) uint8 and `demonstration_steps` (B, F, D) float32.
            carry: from the step before; None at the first.

        Returns:
            actions (B, 2) float32 in [-1, 1], and the carry for the next step (the one given, changed).
        """
        state = np.array(observations["state"], dtype=np.float32)
        goal = np.array(observations["goal"], dtype=np.float32)
        self._require_goal(goal)
        carry = carry or self.begin(len(state))
        views = self.views_of(observations)
        step = [torch.from_numpy(values).to(self.device)[:, None] for values in (views, state, goal)]
        prediction, carry.memory = self(*step, carry.memory, self.goal_view_of(observations), carry.shown)
        prediction = prediction[:, 0]
        max_turn_rad = np.float32(self.spec.max_turn_rad)
        previous_rad = self.spec.turn.previous_now_rad(self.spec, carry.previous_turn_rad, state)
        chunks = self._chunks(prediction, torch.from_numpy(previous_rad / max_turn_rad).to(self.device), carry)
        actions = chunks[:, 0] if carry.chunks is None else carry.chunks.next(chunks)
        costs = self.head.costs(prediction)
        carry.last_costs = None if costs is None else costs.cpu().numpy()
        carry.previous_turn_rad = actions[:, 0] * max_turn_rad
        return actions, carry

    def _require_goal(self, goal: np.ndarray) -> None:
        """Raise InvalidArgumentError where goals are told otherwise than this policy was taught."""
        if goal.shape[-1] != self.spec.goal_size:
            raise InvalidArgumentError(
                f"goals have {goal.shape[-1]} elements here, and this policy was taught goals of kind "
                f"{self.spec.goal_kind}, which have {self.spec.goal_size}; make the environment with "
                f"goal_kind={self.spec.goal_kind!r}"
            )

    def _chunks(self, prediction: Tensor, previous: Tensor, carry: Carry) -> np.ndarray:
        """Actions (B, K, 2) that the head makes of predictions (B, ...)."""
        if carry.noise is not None:
            return self.head.act(prediction, ActContext(previous, carry.noise.next().to(self.device))).cpu().numpy()
        if not carry.generators:
            return self.head.act(prediction, ActContext(previous)).cpu().numpy()
        # One by one, so that what an episode draws does not depend on the others of the batch.
        chunks = []
        for row, generator in enumerate(carry.generators):
            own = slice(row, row + 1)
            chunks.append(self.head.act(prediction[own], ActContext(previous[own]), generator))
        return torch.cat(chunks).cpu().numpy()

    def goal_view_of(self, observations: dict[str, np.ndarray]) -> GoalView:
        """What is seen of the goals of a batch of observations, as `forward` takes it."""
        if self.goal_encoder.reads_demonstration:
            return self._demonstrated_in(observations)
        if not self.goal_encoder.reads_picture:
            return None
        pictures = observations[GOAL_IMAGE]
        views = self.prepare(pictures, np.zeros((len(pictures), self.spec.state_size), np.float32))
        return torch.from_numpy(views).to(self.device)

    def _demonstrated_in(self, observations: dict[str, np.ndarray]) -> Demonstrated:
        """The demonstrations of a batch of observations, each view levelled with the tilt of its own camera."""
        frames = np.asarray(observations[DEMONSTRATED])
        steps = np.array(observations[DEMONSTRATED_STEPS], np.float32)
        states = steps[..., : self.spec.state_size].reshape(-1, self.spec.state_size)
        views = self.prepare(frames.reshape(-1, *frames.shape[2:]), states)
        shown = torch.from_numpy(views).to(self.device).unflatten(0, frames.shape[:2])
        return Demonstrated(shown, torch.from_numpy(steps).to(self.device))

    def views_of(self, observations: dict[str, np.ndarray]) -> np.ndarray:
        """Views (B, C, h, w, 3) uint8 of a batch of observations, each levelled with the tilt of its own camera."""
        return camera_views(self.spec, self.prepare, self.camera_names, observations)


def _make_goal_encoder(config: PolicyConfig, spec: TaskSpec) -> GoalEncoder:
    """The part that reads the goal.

    Raises:
        InvalidArgumentError: it reads a picture where goals are told in numbers, or the other way round.
    """
    part = part_class(GOAL_ENCODERS, config.goal_encoder)
    # Whoever does not look at a demonstration is told direction and distance.
    misses_it = part.reads_demonstration and spec.goal_kind != DEMONSTRATION
    if misses_it or part.reads_picture != (spec.goal_kind == IMAGE):
        needed = {IMAGE: "picture", DEMONSTRATION: "demonstration"}.get(spec.goal_kind, "told")
        raise InvalidArgumentError(
            f"policy.goal_encoder is {config.goal_encoder.part}, and the goals here are of kind {spec.goal_kind}; give "
            f"--policy.goal-encoder {needed} (--train.policy.goal-encoder in dagger and bc)"
        )
    shape = GoalShape(spec.goal_size, config.view.height, config.view.width, spec.state_scale)
    return part(config.goal_encoder, shape)
