"""The training loop: it fits a policy to labels; every algorithm that learns from labels calls it.

Read from top to bottom: the loop, where a batch comes from, what is measured.

Exact resume: windows, flips and jitter of a step follow from (seed, round, step) alone, never from what was drawn
before. So weights, the optimizer's moments and the step number are all there is to keep, and a run that was killed
ends at the same numbers, bit for bit, as one that was not (same machine, same number of threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.windows.augmentation import augment
from forestpilot.data_collection.windows.windows import Batch, WindowReader
from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.visuomotor import CAMERAS, VisuomotorPolicy
from forestpilot.policies.training.metrics import MetricsLog
from forestpilot.policies.training.state import TrainingState
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.errors import InvalidArgumentError

STATE_FILE = "checkpoints/training.safetensors"
"""Where in the run folder an unfinished training stands."""


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


@dataclass(frozen=True)
class TrainResult:
    """Result of a round of training."""

    steps: int
    """Gradient steps done in this call."""
    frames_per_s: float
    """Frames (window steps, padding included) learned from per second in this call, data and augmentation included."""
    figures: dict[str, float]
    """The last row of metrics."""


def train(
    policy: VisuomotorPolicy,
    reader: Reader,
    config: TrainConfig,
    run_folder: str | Path,
    round_number: int = 0,
    progress: Progress | None = None,
    objective: Objective | None = None,
) -> TrainResult:
    """Train a policy in place, from the weights it has.

    Called again with the same arguments after a crash, it goes on from the last saved state of this round; called for
    a round that is finished, it loads the result. A new round starts a new learning-rate cycle.

    Args:
        policy: changed in place; in evaluation mode afterwards.
        reader: draws windows of `config.policy.window` steps made with `policy.prepare`. What it draws for a
            generator must not have changed since the state was saved.
        config: how.
        run_folder: where states and metrics go.
        round_number: DAgger round; its draws differ from those of other rounds.
        progress: who watches.
        objective: what is learned; by default labels, by the head's own loss.

    Returns:
        Speed and last figures.

    Raises:
        CheckpointError: the run folder holds a damaged state, or one of another config.
        DivergedError: the loss is no longer a number.
    """
    run_folder = Path(run_folder)
    objective = objective or Objective()
    training = TrainingState(policy.train(), config, round_number, run_folder / STATE_FILE)
    first_step = training.step
    started = time.perf_counter()
    with (
        closing(MetricsLog(run_folder, (round_number, first_step), config.tensorboard)) as log,
        (progress or SilentProgress()).stage(f"train round {round_number}", config.steps) as stage,
    ):
        stage.advance(first_step)
        while training.step < config.steps:
            batch = draw(policy, reader, config, (round_number, training.step), objective)
            prediction, _ = policy(batch.views, batch.state, batch.goal)
            losses = objective.losses(policy, prediction, batch)
            training.update((losses * batch.weights).sum() / batch.weights.sum().clamp_min(1.0))
            if training.step % config.log_every == 0 or training.step == config.steps:
                training.figures = measure(policy, prediction.detach(), batch) | training.summary()
                training.figures["frames_per_s"] = _rate(training.step - first_step, config, started)
                log.write(round_number, training.step, training.total_steps_before + training.step, training.figures)
                stage.advance(0, **{name: training.figures[name] for name in ("loss", "turn_error_deg")})
            if training.step % config.checkpoint_every == 0 and training.step < config.steps:
                training.save()
            stage.advance(1)
        if training.step > first_step:
            training.finish()
    policy.eval()
    return TrainResult(training.step - first_step, _rate(training.step - first_step, config, started), training.figures)


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
    """Draws what the loss draws; it follows from (seed, round, step) too."""


class Objective:
    """Objective of a training: labels, each as much as any other, by the head's own loss. Subclasses differ."""

    def step_weights(self, batch: Batch) -> np.ndarray | None:
        """Weight (B, T) of each step of a batch in the loss; None for equal weights."""
        return None

    def losses(self, policy: VisuomotorPolicy, prediction: Tensor, batch: TrainingBatch) -> Tensor:
        """Loss (B, T) of each step, given what the policy predicts, (B, T, *P)."""
        return policy.head.loss(prediction, batch.target, batch.generator)


def draw(
    policy: VisuomotorPolicy,
    reader: Reader,
    config: TrainConfig,
    place: tuple[int, int],
    objective: Objective | None = None,
) -> TrainingBatch:
    """The batch of one step: windows, mirrored and jittered, all of it drawn from (seed, round, step).

    Args:
        policy: whose views and chunks the windows are for.
        reader: draws windows.
        config: how.
        place: round, and step in the round.
        objective: weighs the steps.
    """
    rng = np.random.default_rng((config.seed, *place))
    batch = reader.sample(config.batch_windows, rng, burn_in=config.burn_in)
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
    augmented = augment(batch, policy.spec, rng, flip=config.flip, jitter=config.jitter)
    tensors = Batch(*(None if values is None else torch.from_numpy(values) for values in augmented))
    return TrainingBatch(
        views=tensors.views,
        state=tensors.state,
        goal=tensors.goal,
        target=_target(tensors, policy.config.chunk),
        weights=torch.from_numpy(weights),
        generator=_generator(rng),
    )


def _target(batch: Batch, chunk: int) -> Target:
    """At each step of a batch of tensors the actions of the next K steps, as far as they are there."""
    missing = batch.views.shape[1] + chunk - 1 - batch.mask.shape[1]
    actions = pad(batch.actions, (0, 0, 0, missing))
    known = pad(batch.mask, (0, missing))
    return Target(actions.unfold(1, chunk, 1).transpose(-1, -2), known.unfold(1, chunk, 1), batch.costs)


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**63)))


@torch.no_grad()
def measure(policy: VisuomotorPolicy, prediction: Tensor, batch: TrainingBatch) -> dict[str, float]:
    """Figures of a batch in words.

    Returns:
        turn_error_deg: mean difference between the policy's and the expert's turn, degrees.
        go_error: mean difference in go, action units.
        Further figures of the head: for turn-costs `argmin_agreement` (share of steps at which the cheapest candidate
        is the planner's or its neighbour) and `regret` (planner's cost of the policy's choice above its best, clipped);
        for the mixture `components_in_use` (one means that it has collapsed).
    """
    mask = batch.weights > 0
    acted = policy.head.act(prediction, generator=batch.generator)
    # The first action of a chunk is the one that is sure to be executed.
    errors = (acted[..., 0, :] - batch.target.actions[..., 0, :]).abs()[mask]
    turn_errors, go_errors = errors.unbind(-1)
    return {
        "turn_error_deg": float(turn_errors.mean()) * math.degrees(policy.spec.max_turn_rad),
        "go_error": float(go_errors.mean()),
        **policy.head.diagnostics(prediction, batch.target, mask),
    }


def _rate(steps: int, config: TrainConfig, started: float) -> float:
    """Frames per second since the start."""
    return steps * config.batch_windows * config.policy.window / max(time.perf_counter() - started, 1e-9)


def make_reader(policy: VisuomotorPolicy, datasets: Sequence[Dataset], config: TrainConfig) -> WindowReader:
    """The reader that gives this policy the windows it trains on."""
    cameras = CAMERAS[policy.config.cameras]
    return WindowReader(
        datasets,
        policy.config.window,
        cameras,
        config.side_labels if cameras == ("center",) else "none",
        int(config.cache_gb * 1e9),
        policy.prepare,
        human_delay_s=config.human_delay,
        ahead=policy.config.chunk - 1,
        disk_cache_bytes=int(config.disk_cache_gb * 1e9),
        keep_disk_cache=config.keep_disk_cache,
    )


def require_costs(policy: VisuomotorPolicy, reader: WindowReader) -> None:
    """Raise ValueError where the policy's head learns from costs, and there are none."""
    if policy.head.needs_costs and not reader.has_costs:
        raise InvalidArgumentError(
            f"the {policy.config.head.part} head learns from the expert's costs, which some of these episodes lack; "
            "collect with the expert's labels, or choose another head, for example --policy.head mixture"
        )
