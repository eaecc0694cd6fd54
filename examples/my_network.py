"""A network of one's own: an encoder and a head, each a class with a config, registered by name and trained by DAgger.

    python examples/my_network.py --rounds 3 --flights 20

The encoder reads pictures in patches, as Vision Transformers do. The head predicts how likely each of a few turns is
and takes the likeliest. In a package of its own, the two `register` lines are a plug-in (`examples/plugin` is one), and
then `forestpilot dagger --train.policy.encoder patches --train.policy.head votes --train.policy.head.bins 15` does it.

It takes about four minutes of one idle core, and crossed 18 of 20 test forests (one seed; 1 tree per 25 m2, 5 m/s).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional as F

from forestpilot.policies import PolicyConfig, TrainConfig
from forestpilot.policies.algorithms.dagger.config import DaggerConfig
from forestpilot.policies.algorithms.dagger.loop import run_dagger
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.networks.encoders import ENCODERS, EncoderConfig
from forestpilot.policies.networks.encoders.base import Encoder, EncoderShape
from forestpilot.policies.networks.heads import HEADS, HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, ActionsHead
from forestpilot.sim.envs.task_spec import TaskSpec


@dataclass(frozen=True)
class PatchesConfig(EncoderConfig):
    """Options of the encoder that reads patches."""

    part: ClassVar[str] = "patches"
    size: int = 8
    """Height and width of a patch in pixels."""
    width: int = 32
    """Size of a patch's features."""


class PatchEncoder(Encoder):
    """Patches of all views, each looking at all others once, joined with state and goal."""

    Config: ClassVar[type[EncoderConfig]] = PatchesConfig

    def __init__(self, config: PatchesConfig, shape: EncoderShape) -> None:
        super().__init__(config, shape)
        self.patches = nn.Conv2d(3, config.width, kernel_size=config.size, stride=config.size)
        count = (shape.view_height // config.size) * (shape.view_width // config.size) * shape.num_cameras
        self.places = nn.Parameter(0.02 * torch.randn(count, config.width))
        self.attention = nn.TransformerEncoderLayer(
            config.width, nhead=4, dim_feedforward=2 * config.width, dropout=0.0, batch_first=True
        )
        self.join = nn.Linear(count * config.width + shape.num_inputs, shape.features)

    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """(N, C, h, w, 3) uint8 and (N, I) float32 to (N, features) float32."""
        number = len(views)
        images = views.flatten(0, 1).permute(0, 3, 1, 2).float() / 64 - 2
        patches = self.patches(images).flatten(2).transpose(1, 2).reshape(number, len(self.places), -1)
        seen = self.attention(patches + self.places).flatten(1)
        return torch.relu(self.join(torch.cat((seen, inputs), dim=1)))


@dataclass(frozen=True)
class VotesConfig(HeadConfig):
    """Options of the head that votes."""

    part: ClassVar[str] = "votes"
    bins: int = 15
    """Turns to choose from, evenly spaced."""


class VotesHead(ActionsHead):
    """A score for each of a few turns, of which the likeliest is taken, and a number for go."""

    Config: ClassVar[type[HeadConfig]] = VotesConfig
    turns: Tensor

    def __init__(self, config: VotesConfig, features: int, spec: TaskSpec, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, outputs=config.bins + 1)
        self.register_buffer("turns", torch.linspace(-1.0, 1.0, config.bins), persistent=False)

    def action_loss(self, prediction: Tensor, actions: Tensor) -> Tensor:
        """Cross-entropy of the bin that the expert's turn falls into, and the squared error of go."""
        votes, go = prediction[..., :-1], prediction[..., -1]
        turn, wanted_go = actions.unbind(-1)
        nearest = (turn.unsqueeze(-1) - self.turns).abs().argmin(-1)
        missed = F.cross_entropy(votes.flatten(0, -2), nearest.flatten(), reduction="none").view_as(nearest)
        return missed + (torch.tanh(go) - wanted_go).square()

    def act(
        self, prediction: Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> Tensor:
        """The likeliest turn, and go."""
        votes, go = prediction[..., :-1], prediction[..., -1]
        return torch.stack((self.turns[votes.argmax(-1)], torch.tanh(go)), dim=-1)


ENCODERS.register("patches", PatchEncoder, "patches that look at one another")
HEADS.register("votes", VotesHead, "a score for each of a few turns")


@dataclass(frozen=True)
class Args:
    """DAgger with an encoder and a head of one's own."""

    rounds: int = 3
    """Rounds after the first, which is cloning."""
    flights: int = 20
    """Training flights in each round."""
    steps: int = 600
    """Gradient steps in each round."""
    test_flights: int = 20
    """Test forests that the best policy flies through."""
    out: str = "runs/my-network"
    """Run folder."""


def main(args: Args) -> None:
    """Train in rounds, and fly the best policy through test forests."""
    policy = PolicyConfig(encoder=PatchesConfig(), head=VotesConfig())
    config = DaggerConfig(
        out=args.out,
        rounds=args.rounds,
        expert_episodes=args.flights,
        episodes=args.flights,
        first_steps=args.steps,
        steps=args.steps,
        last_steps=args.steps,
        validation_episodes=args.test_flights,
        train=TrainConfig(policy=policy, tensorboard=False),
        workers=1,  # other processes would not know what this script has registered
    )
    run_dagger(config)
    evaluation = EvaluateConfig(policy=(args.out,), out=f"{args.out}/evaluation", episodes=args.test_flights, workers=1)
    (score,) = evaluate(evaluation)
    print(f"{score.successes} of {score.episodes} test forests crossed")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
