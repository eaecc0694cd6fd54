"""Where a batch comes from: windows of the data, mirrored and in another light, and what is to be learned from them.

Everything that is drawn follows from (seed, round, step, shard) alone, never from what was drawn before, nor from which
process draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from forestpilot.data_collection.windows.augmentation import augment
from forestpilot.data_collection.windows.batch import Batch
from forestpilot.data_collection.windows.drawing import WindowDrawer
from forestpilot.policies.networks.goal_encoders.base import Demonstrated, GoalView
from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.input_noise import make_input_noise
from forestpilot.policies.training.train_config import TrainConfig


class Place(NamedTuple):
    """Which batch of a training it is."""

    round: int
    """DAgger round, 0 for plain behavioural cloning."""
    step: int
    """Gradient step in the round, from 0."""
    shard: int = 0
    """Part of the step's batch."""


class Reader(Protocol):
    """Where windows come from: a `forestpilot.data_collection.windows.windows.WindowReader`, or anything that samples
    like one.
    """

    @property
    def has_gaps(self) -> bool:
        """True where some steps have no label."""
        ...

    def sample(self, batch: int, rng: np.random.Generator, *, burn_in: int = 0) -> Batch:
        """Draw `batch` windows of which the first `burn_in` steps are not learned from."""
        ...


@runtime_checkable
class SharedReader(Reader, Protocol):
    """A reader that other processes can have too."""

    def share(self) -> ReaderRecipe:
        """What another process opens a reader with that draws the same windows; picklable."""
        ...


@runtime_checkable
class ReaderInParts(Reader, Protocol):
    """A reader that has only part of its data at hand."""

    def go_to(self, step: int) -> None:
        """Have the part whose turn it is at a gradient step."""
        ...


class ReaderRecipe(Protocol):
    """A reader on its way to another process."""

    def open(self) -> Reader:
        """The reader; it can be closed."""
        ...


@dataclass(frozen=True)
class TrainingBatch:
    """A batch as tensors, augmented."""

    views: Tensor
    """(B, T, C, h, w, 3) uint8."""
    state: Tensor
    """(B, T, S) float32."""
    goal: Tensor
    """(B, T, G) float32."""
    target: Target
    """What to learn at each step."""
    weights: Tensor
    """(B, T) float32, zero where there is nothing to learn."""
    generator: torch.Generator
    """Draws what the loss draws; it follows from (seed, round, step, shard) too."""
    goal_view: Tensor | None = None
    """(B, h, w, 3) uint8, the view at each window's goal, or (B, F, h, w, 3), views of a demonstration; None where
    goals are told in numbers."""
    goal_steps: Tensor | None = None
    """(B, F, D) float32, what the demonstrator did at each of its views; None where nothing is demonstrated."""
    goal_order: Tensor | None = None
    """(B, 3) int64, numbers of the choices that are demonstrated; None where nothing is."""
    shown: Tensor | None = None
    """(B, K) float32, 1 where a cause of the policy's config is shown; None where it has none."""

    @property
    def goal_seen(self) -> GoalView:
        """What is seen of the goals, as a policy takes it."""
        if self.goal_view is None or self.goal_steps is None:
            return self.goal_view
        return Demonstrated(self.goal_view, self.goal_steps)

    def ready_for(self, device: torch.device) -> TrainingBatch:
        """The batch in memory from where a GPU fetches it by itself; for the CPU as it is."""
        return self._each(Tensor.pin_memory) if device.type == "cuda" else self

    def to(self, device: torch.device) -> TrainingBatch:
        """The batch where it is computed with. The generator stays with the CPU."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> TrainingBatch:
        def changed(value: Any) -> Any:
            return change(value) if isinstance(value, Tensor) else value

        own = {field.name: changed(getattr(self, field.name)) for field in fields(self)}
        return TrainingBatch(**own | {"target": Target(*map(changed, self.target))})


class Objective:
    """Objective of a training: labels, each as much as any other, by the head's own loss. Subclasses differ."""

    def step_weights(self, batch: Batch) -> np.ndarray | None:
        """Weight (B, T) of each step of a batch in the loss; None for equal weights."""
        return None

    def losses(self, policy: VisuomotorPolicy, prediction: Tensor, batch: TrainingBatch) -> Tensor:
        """Loss (B, T) of each step, given what the policy predicts, (B, T, *P)."""
        losses = policy.head.loss(prediction, batch.target, batch.generator)
        if batch.goal_order is None:
            return losses
        return losses + policy.goal_encoder.naming_loss(batch.goal_order)[:, None]


def draw(
    policy: VisuomotorPolicy,
    reader: Reader,
    config: TrainConfig,
    place: Place,
    objective: Objective | None = None,
) -> TrainingBatch:
    """The batch of one shard of a step: windows, mirrored and in another light, drawn from (seed, round, step, shard).

    Args:
        policy: whose views and chunks the windows are for.
        reader: draws windows.
        config: how.
        place: which batch.
        objective: weighs the steps.
    """
    # A zero at the end changes nothing. So the only shard of a batch is drawn as versions up to 0.2 drew the batch.
    as_in_0_2 = config.shards == 1
    rng = np.random.default_rng((config.seed, *place))
    windows = config.windows_of(place.shard)
    if isinstance(reader, ReaderInParts):
        reader.go_to(place.step)
    batch = reader.sample(windows, rng, burn_in=config.burn_in)
    if isinstance(reader, WindowDrawer):  # the disk reads while the gradient is computed
        next_rng = np.random.default_rng((config.seed, *place._replace(step=place.step + 1)))
        reader.look_ahead(windows, next_rng, burn_in=config.burn_in)
    steps = batch.views.shape[1]
    weights = batch.mask[:, :steps].astype(np.float32)
    step_weights = objective.step_weights(batch) if objective is not None else None
    if step_weights is not None:
        weights *= step_weights
    weights[:, : config.burn_in] = 0
    if reader.has_gaps:
        # A label among labels is drawn in many windows, a lone one in its own only; so that both weigh the same in the
        # end, windows do.
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    augmented = augment(batch, policy.spec, rng, flip=config.flip, jitter=config.jitter, fresh_noise=as_in_0_2)
    if config.dropped_pictures:
        augmented = drop_pictures(policy, augmented, config.dropped_pictures, rng)
    generator = _generator(rng)
    augmented = make_input_noise(config.noise, policy.spec, policy.config.view).apply(augmented, rng)
    shown = None
    if policy.config.causes:
        shown = torch.from_numpy(rng.integers(0, 2, (windows, len(policy.config.causes))).astype(np.float32))
    tensors = Batch(*(None if values is None else torch.from_numpy(values) for values in augmented))
    return TrainingBatch(
        views=tensors.views,
        state=tensors.state,
        goal=tensors.goal,
        target=_target(tensors, policy.config.chunk, place.step / max(1, config.steps - 1)),
        weights=torch.from_numpy(weights),
        generator=generator,
        goal_view=tensors.goal_view,
        goal_steps=tensors.goal_steps,
        goal_order=tensors.goal_order,
        shown=shown,
    )


def drop_pictures(policy: VisuomotorPolicy, batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    """Have some steps show what the policy sees of black pictures; nothing else of them changes.

    Args:
        policy: prepares the views.
        batch: windows; left as they are.
        share: of the steps, each drawn by itself.
        rng: draws.
    """
    dropped = rng.random(batch.views.shape[:2]) < share
    if not dropped.any():
        return batch
    seen = {"state": batch.state[dropped], "goal": batch.goal[dropped]}
    spec = policy.spec
    black = np.zeros((int(dropped.sum()), spec.image_height, spec.image_width, 3), np.uint8)
    views = batch.views.copy()
    views[dropped] = policy.views_of({**seen, **dict.fromkeys(policy.camera_names, black)})
    return batch._replace(views=views)


def _target(batch: Batch, chunk: int, progress: float) -> Target:
    """At each step of a batch of tensors the actions of the next K steps, as far as they are there."""
    missing = batch.views.shape[1] + chunk - 1 - batch.mask.shape[1]
    actions = pad(batch.actions, (0, 0, 0, missing))
    known = pad(batch.mask, (0, missing))
    return Target(actions.unfold(1, chunk, 1).transpose(-1, -2), known.unfold(1, chunk, 1), batch.costs, progress)


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**63)))
