"""The inverse model: p(a | o, o'), what was done between two observations (Torabi et al. 2018, section 4.1).

It reads the observation before and the one after: state and goal, standardised, with their change, and the center
camera's two pictures with their difference (or more of them in a row), by an encoder of policies. A head of policies
makes an action of that.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forestpilot.policies.algorithms.bco.config import InverseConfig
from forestpilot.policies.algorithms.bco.transitions import PairReader, Pairs
from forestpilot.policies.networks.checkpoint import load_state, save_state
from forestpilot.policies.networks.config import part_class
from forestpilot.policies.networks.encoders import ENCODERS
from forestpilot.policies.networks.encoders.base import EncoderShape
from forestpilot.policies.networks.heads import HEADS
from forestpilot.policies.networks.heads.base import ActContext, Head, Target
from forestpilot.policies.networks.threads import torch_threads
from forestpilot.sim.envs.task_spec import TaskSpec

FILE = "inverse.safetensors"
AT_ONCE = 512
"""Pairs that are answered at once."""
LEAST_VARIANCE = 1e-6
"""What varies less is held: an expert that always goes at full speed."""
WARMUP = 0.15
"""Share of the steps in which the learning rate rises."""
FLOOR = 1e-4
"""Least spread of an input, in its own unit, so that a constant one is not blown up."""


class InverseModel(nn.Module):
    """Tells what was done between two observations.

    Args:
        config: its shape.
        spec: the task.
    """

    mean: Tensor
    spread: Tensor
    head: Head

    def __init__(self, config: InverseConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = spec
        self.reader = PairReader(spec, config)
        size = 2 * len(self.reader.mirror)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        view = config.view
        self.encoder: nn.Module | None = None
        joined = size
        if self.reader.reads_pictures:
            seen = 1 + 2 * (config.back + config.ahead)
            shape = EncoderShape(view.height, view.width, num_cameras=seen, num_inputs=size, features=config.features)
            self.encoder = part_class(ENCODERS, config.encoder)(config.encoder, shape)
            joined = size + config.features
        # Beside what the encoder makes of all, the numbers go straight to the head.
        self.join = nn.Sequential(nn.Linear(joined, config.features), nn.ReLU())
        self.head = part_class(HEADS, config.head)(config.head, config.features, spec, 1)

    @classmethod
    def seeded(cls, config: InverseConfig, spec: TaskSpec, seed: int) -> InverseModel:
        """A new model whose first weights follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config, spec)

    def forward(self, before: Tensor, after: Tensor, views: Tensor) -> Tensor:
        """Predictions (N, *P) of the head, for pairs as `Pairs` has them."""
        inputs = (torch.cat((before, after - before), dim=-1) - self.mean) / self.spread
        features = inputs
        if self.encoder is not None:
            # Where nothing moves the difference is grey, which encoders read as zero.
            change = (views[:, 1:].to(torch.int16) - views[:, :-1]).clamp(-127, 127).add_(128).to(torch.uint8)
            features = torch.cat((self.encoder(torch.cat((views, change), dim=1), inputs), inputs), dim=-1)
        prediction: Tensor = self.head(self.join(features))
        return prediction

    def standardise(self, pairs: Pairs) -> None:
        """Measure inputs by their mean and spread in these pairs, mirrored ones included."""
        own = np.concatenate([pairs.before, pairs.after - pairs.before], axis=1).astype(np.float64)
        signs = np.tile(self.reader.mirror, 2)
        both = np.concatenate([own, signs * own])
        self.mean.copy_(torch.from_numpy(both.mean(0)))
        self.spread.copy_(torch.from_numpy(np.maximum(both.std(0), FLOOR)))

    @torch.inference_mode()
    def infer(self, pairs: Pairs, seed: int = 0) -> NDArray[np.float32]:
        """(N, 2) what was done, for pairs whose actions are not looked at.

        Args:
            pairs: what was seen.
            seed: of the noise, for heads that draw.
        """
        self.eval()
        generator = torch.Generator().manual_seed(seed)
        answers = [np.zeros((0, 2), np.float32)]
        with torch_threads(1):
            for first in range(0, len(pairs), AT_ONCE):
                rows = np.arange(first, min(first + AT_ONCE, len(pairs)))
                prediction = self(*_tensors(pairs, rows))
                noise = None
                if self.head.noise_shape:
                    noise = torch.randn((len(rows), *self.head.noise_shape), generator=generator)
                answers.append(self.head.act(prediction, ActContext(noise=noise), generator)[:, 0].numpy())
        return np.clip(np.concatenate(answers), -1.0, 1.0).astype(np.float32)

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Store it with facts about it, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        save_state(folder / FILE, self.state_dict(), facts)

    def load(self, folder: Path) -> dict[str, Any]:
        """Take the weights that `save` stored; returns the facts.

        Raises:
            CheckpointError: they are missing or damaged.
        """
        tensors, facts = load_state(folder / FILE)
        self.load_state_dict(tensors)
        return facts


@dataclasses.dataclass(frozen=True)
class InverseErrors:
    """How far inferred actions are from those that were done."""

    pairs: int
    """Transitions that it was measured on."""
    turn_error_deg: float
    """Mean distance of turns, in degrees."""
    go_error: float
    """Mean distance of go, which goes from -1 to 1."""
    turn_r2: float
    """Share of the turns' variance that is explained; 0 where they do not vary."""
    go_r2: float
    """Share of go's variance that is explained, likewise."""


def errors_of(inferred: NDArray[np.float32], done: NDArray[np.float32], spec: TaskSpec) -> InverseErrors:
    """Errors of inferred actions (N, 2) against what was done (N, 2)."""
    off = inferred.astype(np.float64) - done
    variance = done.astype(np.float64).var(0)
    explained = 1.0 - np.square(off).mean(0) / np.maximum(variance, LEAST_VARIANCE)
    turn_r2, go_r2 = np.where(variance > LEAST_VARIANCE, explained, 0.0)
    turn, go = np.abs(off).mean(0)
    return InverseErrors(len(done), math.degrees(turn * spec.max_turn_rad), float(go), float(turn_r2), float(go_r2))


def learn_from(model: InverseModel, learned: Pairs, measured: Pairs, seed: int) -> dict[str, float]:
    """Fit a model to pairs with actions, and measure it on others.

    Args:
        model: changed in place.
        learned: what it learns from.
        measured: what its errors are measured on.
        seed: of what is drawn.

    Returns:
        `learned_pairs`, `loss`, and the fields of `InverseErrors`.
    """
    loss = train_inverse(model, learned, seed)
    errors = errors_of(model.infer(measured), measured.actions, model.spec)
    return {"learned_pairs": len(learned), "loss": loss, **dataclasses.asdict(errors)}


def train_inverse(model: InverseModel, pairs: Pairs, seed: int) -> float:
    """Fit a model to pairs with actions, by the head's own loss; half of each batch is mirrored.

    Args:
        model: changed in place.
        pairs: what was seen and done.
        seed: of what is drawn: the same pairs and seed come to the same weights.

    Returns:
        Mean loss over the last tenth of the steps.
    """
    config = model.config
    model.standardise(pairs)
    rng = np.random.default_rng(seed)
    noise = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=1e-4)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps + 1, pct_start=WARMUP
    )
    losses = []
    model.train()
    with torch_threads(1):
        for step in range(config.steps):
            rows = rng.integers(len(pairs), size=min(config.batch, len(pairs)))
            half = len(rows) // 2
            *inputs, actions = _mirrored(_tensors(pairs, rows, with_actions=True), half, model.reader.mirror)
            known = torch.ones(len(rows), 1, dtype=torch.bool)
            target = Target(actions[:, None], known, None, step / config.steps)
            loss = model.head.loss(model(*inputs), target, noise).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            rates.step()
            losses.append(float(loss.detach()))
    model.eval()
    return float(np.mean(losses[-max(1, config.steps // 10) :]))


def _tensors(pairs: Pairs, rows: NDArray[np.integer[Any]], with_actions: bool = False) -> list[Tensor]:
    """Some pairs as tensors, in the order of `InverseModel.forward`; then their actions, if asked for."""
    arrays: list[NDArray[Any]] = [pairs.before, pairs.after, pairs.views]
    if with_actions:
        arrays.append(pairs.actions)
    return [torch.from_numpy(values[rows]) for values in arrays]


def _mirrored(tensors: list[Tensor], count: int, mirror: NDArray[np.float32]) -> list[Tensor]:
    """The same with the first `count` pairs mirrored left to right."""
    before, after, views, actions = tensors
    signs = torch.from_numpy(mirror)
    before[:count] *= signs
    after[:count] *= signs
    actions[:count, 0] *= -1
    if views.shape[2]:
        views[:count] = views[:count].flip(3)
    return [before, after, views, actions]
