"""One step of a policy as a plain function: observations and what it carries in, an action and what it carries out.

Whatever is carried begins an episode as zeros, so that whoever runs an exported policy needs to know nothing of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from forestpilot.data_collection.export import ExportError
from forestpilot.policies.export.levelling import GraphViews
from forestpilot.policies.networks.heads.base import ActContext
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.sim.goals import GOAL_IMAGE


class Feature(NamedTuple):
    """An input or output of a step, without its first axis, the batch."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """As NumPy names it."""


class PolicyStep(nn.Module):
    """A policy's next action.

    Args:
        policy: in evaluation mode.

    Raises:
        ExportError: its head draws from a generator, which a graph has not; or it reads demonstrations.
    """

    def __init__(self, policy: VisuomotorPolicy) -> None:
        super().__init__()
        if policy.head.draws_noise and not policy.head.noise_shape:
            raise ExportError(
                f"the head {policy.config.head.part!r} draws from a generator while it acts, and a graph cannot; give "
                "it a noise_shape, so that its noise becomes an input, or choose another head"
            )
        if policy.goal_encoder.reads_demonstration:
            raise ExportError(
                f"the goal encoder {policy.config.goal_encoder.part!r} reads a demonstration, and graphs have no input "
                "for one yet; export a policy that is told its goals"
            )
        self.policy = policy
        self.views = GraphViews(policy.prepare)
        self.observations = tuple(self._observation(key) for key in policy.observation_keys)
        """What is seen and told, by the environment's names."""
        self.noise = tuple(Feature("noise", shape, "float32") for shape in [policy.head.noise_shape] if shape)
        """What is drawn from a standard normal distribution: nothing, or one feature."""
        self.carried = tuple(self._carried())
        """What the next step must be given; zeros before the first."""
        self.answers = [Feature("action", (2,), "float32")]
        """What a step comes to, apart from what is carried."""
        head = policy.head
        predicted = head.costs(head(torch.zeros(1, policy.config.features)))
        if predicted is not None:
            self.answers.append(Feature("costs", tuple(predicted.shape[1:]), "float32"))

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """All inputs in their order."""
        return (*self.observations, *self.noise, *self.carried)

    @property
    def outputs(self) -> tuple[Feature, ...]:
        """All outputs in their order; what is carried is named `next_` and its input."""
        carried = [feature._replace(name=f"next_{feature.name}") for feature in self.carried]
        return (*self.answers, *carried)

    def _observation(self, key: str) -> Feature:
        spec = self.policy.spec
        told = {"state": spec.state_size, "goal": spec.goal_size}
        if key in told:
            return Feature(key, (told[key],), "float32")
        return Feature(key, self.policy.prepare.image_shape, "uint8")

    def _carried(self) -> list[Feature]:
        """The memory's tensors; the turn commanded last, radians, and 1 once there was one; chunks and their number."""
        carried = []
        for index, tensor in enumerate(self.policy.memory.initial(1)):
            dtype = str(tensor.dtype).removeprefix("torch.")
            carried.append(Feature(f"memory_{index}", tuple(tensor.shape[1:]), dtype))
        carried.append(Feature("previous_turn", (2,), "float32"))
        chunk = self.policy.config.chunk
        if chunk > 1:
            carried.append(Feature("chunks", (chunk, chunk, 2), "float32"))
            carried.append(Feature("chunks_made", (), "int64"))
        return carried

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs for inputs (B, ...), both in their order."""
        given = dict(zip((feature.name for feature in self.inputs), inputs, strict=True))
        policy = self.policy
        state = given["state"]
        memory = tuple(given[name] for name in given if name.startswith("memory_"))
        goal_view = None
        if policy.goal_encoder.reads_picture:
            goal_view = self.views(given[GOAL_IMAGE], None)
        views = self._seen(given)
        prediction, memory = policy(views, state[:, None], given["goal"][:, None], memory, goal_view)
        prediction = prediction[:, 0]
        context = ActContext(self._previous_turn(given["previous_turn"], state), given.get("noise"))
        chunks = policy.head.act(prediction, context)
        action, carried_chunks = self._next(chunks, given)
        turn_rad = action[:, :1] * policy.spec.max_turn_rad
        answers = [action]
        costs = policy.head.costs(prediction)
        if costs is not None:
            answers.append(costs)
        begun = 0 * turn_rad + 1  # of ones_like, tracing would make a constant for one size of batch
        return (*answers, *memory, torch.cat((turn_rad, begun), dim=1), *carried_chunks)

    def _seen(self, given: dict[str, Tensor]) -> Tensor:
        """Views (B, 1, C, h, w, 3) uint8 of all cameras."""
        side_yaw_rad = self.policy.spec.side_yaw_rad
        yaws = {"left": side_yaw_rad, "center": 0.0, "right": -side_yaw_rad}
        views = [self.views(given[name], given["state"], yaws[name]) for name in self.policy.camera_names]
        return torch.stack(views, dim=1)[:, None]

    def _previous_turn(self, previous: Tensor, state: Tensor) -> Tensor:
        """(B,) the turn commanded last as it would be now, in action units; NaN before the first step."""
        spec = self.policy.spec
        turn_rad, begun = previous.unbind(1)
        # Sums and products of arrays are the same in words for tensors; what differs, the comparison with torch finds.
        now_rad = cast(Any, spec.turn).previous_now_rad(spec, turn_rad, state)
        return torch.where(begun > 0, now_rad / spec.max_turn_rad, torch.tensor(float("nan")))

    def _next(self, chunks: Tensor, given: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The action (B, 2) to execute of chunks (B, K, 2), and the chunks to carry; see `ChunkQueue`."""
        if "chunks" not in given:
            return chunks[:, 0], ()
        config = self.policy.config
        made = given["chunks_made"]
        past = torch.cat((chunks[:, None], given["chunks"][:, :-1]), dim=1)
        ages = torch.arange(config.chunk)
        said_of_now = past[:, ages, ages]
        if config.chunk_execution == "averaged":
            weights = torch.exp(config.chunk_decay * ages.float())
            there = ages <= made[:, None]
            weights = torch.where(there, weights, torch.tensor(0.0))[..., None]
            action = (said_of_now * weights).sum(1) / weights.sum(1)
        else:
            chosen = (ages == (made % config.chunk_steps)[:, None]).float()[..., None]
            action = (said_of_now * chosen).sum(1)
        return action, (past, made + 1)
