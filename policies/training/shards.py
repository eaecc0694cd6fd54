"""What a process computes of a gradient step: the gradients of its shards of the batch.

A step's batch is the sum of its shards. Each is drawn from (seed, round, step, shard), computed on one thread, and
added in its turn; so a step comes to the same, bit for bit, whatever the number of processes and cores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.device import computing_in
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.batches import Objective, Place, TrainingBatch, draw
from forestpilot.policies.training.flat import FlatLayout
from forestpilot.policies.training.train_config import TrainConfig

FP16_SCALE = 1024.0
"""Gradients are as much larger on their way through numbers of 16 bits, or small ones would be zero there (Micikevicius
et al. 2018, arXiv:1710.03740, section 3.2); a power of two changes no digit."""


@dataclass(frozen=True)
class Lesson:
    """A round of training: what all its steps have in common."""

    policy: VisuomotorPolicy
    """Who learns."""
    reader: Any
    """Draws windows: a `Reader`; on the way to another process a `ReaderRecipe`."""
    config: TrainConfig
    """How."""
    round: int
    """DAgger round."""
    objective: Objective
    """What is learned."""


class ShardResult(NamedTuple):
    """Result of a shard besides its gradient."""

    loss: float
    """Mean over what there is to learn."""
    weight: float
    """Sum of the weights of what there is to learn."""
    figures: dict[str, float]
    """How good the policy is on it; empty where nobody asked."""


class StepResult(NamedTuple):
    """Result of a step besides its gradient."""

    loss: float
    """Mean over what there is to learn."""
    figures: dict[str, float]
    """How good the policy is on the batch; empty where nobody asked."""


def compute_shard(
    lesson: Lesson,
    layout: FlatLayout,
    step: int,
    shard: int,
    gradients: Tensor,
    measured: bool,
    drawn: TrainingBatch | None = None,
) -> ShardResult:
    """Draw a shard and compute the gradient of its mean loss.

    Args:
        lesson: what is learned, and how.
        layout: of the policy's parameters.
        step: gradient step in the round.
        shard: part of the step's batch.
        gradients: (shards, P) where gradients go, into the shard's row.
        measured: whether `ShardResult.figures` are wanted.
        drawn: the shard, where it was drawn already.
    """
    policy = lesson.policy
    precision = lesson.config.precision
    batch = (drawn or draw_shard(lesson, step, shard)).to(gradients.device)
    with dropout_from(batch.generator, policy), computing_in(precision, gradients.device):
        prediction, _ = policy(batch.views, batch.state, batch.goal, goal_view=batch.goal_seen, shown=batch.shown)
    prediction = prediction.float()
    losses = lesson.objective.losses(policy, prediction, batch)
    weight = batch.weights.sum()
    loss = (losses * batch.weights).sum() / weight.clamp_min(1.0)
    layout.collect_in(gradients[shard])
    if precision == "fp16":
        (loss * FP16_SCALE).backward()
        gradients[shard] /= FP16_SCALE
    else:
        loss.backward()
    figures = measure(policy, prediction.detach(), batch) if measured else {}
    return ShardResult(float(loss.detach()), float(weight), figures)


def draw_shard(lesson: Lesson, step: int, shard: int) -> TrainingBatch:
    """What a shard of a step learns from."""
    return draw(lesson.policy, lesson.reader, lesson.config, Place(lesson.round, step, shard), lesson.objective)


@contextmanager
def dropout_from(generator: torch.Generator, policy: nn.Module) -> Iterator[None]:
    """Have dropout draw from a generator; torch's own draws from the global one, which is left as it was.

    Args:
        generator: of the shard; nothing is drawn from it where the policy has no dropout.
        policy: who learns.
    """
    if not any(isinstance(module, nn.Dropout) and module.p > 0 for module in policy.modules()):
        yield
        return
    own = next(policy.parameters()).device
    with torch.random.fork_rng(devices=[own] if own.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield


def add_up(results: Sequence[ShardResult], gradients: Tensor) -> StepResult:
    """Combine the shards of a step, in their order.

    Args:
        results: one for each shard.
        gradients: (shards, P) their gradients; the first row becomes that of the step.
    """
    total = max(1.0, sum(result.weight for result in results))
    shares = [max(1.0, result.weight) / total for result in results]
    gradients[0] *= shares[0]
    for row, share in zip(gradients[1:], shares[1:], strict=True):
        gradients[0].add_(row, alpha=share)
    loss = sum(share * result.loss for share, result in zip(shares, results, strict=True))
    return StepResult(loss, _mean_figures(results))


def _mean_figures(results: Sequence[ShardResult]) -> dict[str, float]:
    """Figures of a batch: those of its shards, by what there was to learn from each."""
    taught = [result for result in results if result.weight > 0] or results
    total = sum(result.weight for result in taught) or math.nan
    figures = {}
    for name in results[0].figures:
        figures[name] = sum(result.weight * result.figures[name] for result in taught) / total
    return figures


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
