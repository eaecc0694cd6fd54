"""Reinforcement learning with Stable-Baselines3: PPO learns to fly from pictures, without an expert.

    pip install 'forestpilot[rl]'
    python examples/sb3_ppo.py --steps 100000 --density 0.02

The environment is an ordinary one of Gymnasium: images uint8, state and goal float32, metres of progress as reward. The
network is a small CNN on the center camera's picture, joined with the scaled state and the goal. It takes about eight
minutes of one idle core; at the end 85 of the last 100 training flights through these sparse forests arrived (one
seed).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gymnasium
import torch
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from forestpilot.sim.seeds import seeds_of

ENV_ID = "forestpilot:ForestPilot/Drone-v0"


@dataclass(frozen=True)
class Args:
    """PPO on a task of ForestPilot."""

    steps: int = 100_000
    """Steps in the environment, all environments together."""
    envs: int = 8
    """Environments side by side."""
    rollout: int = 256
    """Steps of each environment between two updates."""
    density: float = 0.02
    """Trees per square metre."""
    test_flights: int = 20
    """Test forests that the policy flies through in the end."""
    seed: int = 0
    """Seed of weights, worlds and sampling."""
    out: str = "runs/ppo.zip"
    """Where the policy is stored."""


class Eye(BaseFeaturesExtractor):
    """The center camera's picture through three convolutions, joined with the scaled state and the goal."""

    def __init__(self, space: gymnasium.spaces.Dict, scale: tuple[float, ...], features: int = 128) -> None:
        super().__init__(space, features)
        self.register_buffer("scale", torch.tensor(scale))
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, 16, kernel_size=5, stride=(2, 4), padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        # Stable-Baselines3 puts the colours of a picture first, and has scaled it to 0 to 1.
        picture = self.convolutions(torch.zeros(1, *space["center"].shape))
        self.join = nn.Linear(picture.shape[1] + len(scale) + 2, features)

    def forward(self, observation: dict[str, Tensor]) -> Tensor:
        """Features (N, features) of N observations."""
        picture = self.convolutions(observation["center"])
        state = observation["state"] / self.scale
        return torch.relu(self.join(torch.cat((picture, state, observation["goal"]), dim=1)))


def learn(args: Args) -> PPO:
    """Train; every episode is in another training forest."""
    envs = make_vec_env(ENV_ID, args.envs, seed=args.seed, env_kwargs={"density": args.density})
    scale = envs.get_attr("task_spec", indices=[0])[0].state_scale
    model = PPO(
        "MultiInputPolicy",
        envs,
        n_steps=args.rollout,
        batch_size=min(256, args.rollout * args.envs),
        ent_coef=0.005,
        policy_kwargs={"features_extractor_class": Eye, "features_extractor_kwargs": {"scale": scale}},
        seed=args.seed,
        verbose=1,
    )
    model.learn(args.steps)
    envs.close()
    return model


def test(model: PPO, args: Args) -> int:
    """Number of test forests that the policy crosses."""
    env = gymnasium.make(ENV_ID, density=args.density)
    crossed = 0
    for seed in seeds_of("test", args.test_flights):
        observation, info = env.reset(seed=seed)
        over = False
        while not over:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        crossed += info["is_success"]
    env.close()
    return crossed


def main(args: Args) -> None:
    """Train, store, test."""
    model = learn(args)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    model.save(args.out)
    print(f"{test(model, args)} of {args.test_flights} test forests crossed; the policy is {args.out}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
