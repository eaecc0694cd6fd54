"""Figures of a policy that need no flight: how likely it takes what demonstrators did, and how long a step takes."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence

import numpy as np
import torch

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.policies.networks.heads.base import DistributionHead, Head
from forestpilot.policies.networks.heads.generative import GenerativeHead
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.policies.training.batches import Place, draw
from forestpilot.policies.training.loop import make_reader
from forestpilot.policies.training.train_config import TrainConfig

DRAWS = 32
"""Draws from a policy at each step of the held-out demonstrations."""
KERNEL = 0.05
"""Standard deviation of the normal distribution that each draw stands for, in action units: 3 degrees."""
HELD_OUT_STEPS = 512
"""Steps of held-out demonstrations that are looked at."""
TIMED_STEPS = 40


@torch.inference_mode()
def log_likelihood(policy: VisuomotorPolicy, held_out: Sequence[Dataset], training: TrainConfig) -> float:
    """Mean log density of the demonstrator's turns, per unit of turn, under a kernel estimate that all heads share.

    Args:
        policy: whose draws are looked at; the answer itself where its head has but one.
        held_out: demonstrations that it has not learned from.
        training: how it learned; windows are as long.
    """
    windows = max(1, HELD_OUT_STEPS // training.policy.window)
    config = dataclasses.replace(
        training, batch_windows=windows, shards=1, flip=False, jitter=False, side_labels="none", seed=0
    )
    batch = draw(policy, make_reader(policy, held_out, config), config, Place(0, 0))
    prediction, _ = policy(batch.views, batch.state, batch.goal, goal_view=batch.goal_seen, shown=batch.shown)
    drawn = drawn_turns(policy.head, prediction, torch.Generator().manual_seed(0))
    error = (drawn - batch.target.actions[..., 0, 0]) / KERNEL
    density = torch.logsumexp(-0.5 * error.square(), dim=0) - math.log(len(drawn) * KERNEL * math.sqrt(2 * math.pi))
    return float(density[batch.weights > 0].mean())


def drawn_turns(head: Head, prediction: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """`DRAWS` turns (D, B, T) for predictions (B, T, ...); one, (1, B, T), of heads that have a single answer."""
    if not isinstance(head, (DistributionHead, GenerativeHead)):
        return head.act(prediction)[None, ..., 0, 0]
    repeated = prediction.expand(DRAWS, *prediction.shape)
    return head.sample(repeated, generator)[..., 0, 0]


def step_ms(policy: VisuomotorPolicy) -> float:
    """Processor time of one step of one flight on one thread, in milliseconds: the median of some."""
    spec = policy.spec
    observations: dict[str, np.ndarray] = {
        name: np.zeros((1, spec.image_height, spec.image_width, 3), np.uint8) for name in policy.camera_names
    }
    observations["state"] = np.zeros((1, spec.state_size), np.float32)
    observations["goal"] = np.array([[1.0, 0.0]], np.float32)
    carry = policy.begin(1)
    times_ms = []
    with torch_threads(1):
        for _ in range(TIMED_STEPS):
            started = time.process_time()
            policy.act(observations, carry)
            times_ms.append(1000 * (time.process_time() - started))
    return float(np.median(times_ms))
