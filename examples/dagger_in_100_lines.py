"""Behavioural cloning and DAgger in a hundred lines: a drone learns from pictures to fly through a forest.

    python examples/dagger_in_100_lines.py --rounds 5 --flights 30

Round 0 is behavioural cloning: the expert flies, and the policy learns what it would do. In every further round the
policy flies, the expert says at each state what it would have done there, and the policy learns from all states so far
(DAgger: Ross, Gordon & Bagnell 2011). `forestpilot dagger` does the same with memory, mirrored pictures, side cameras,
several processes, validation, and a run folder that goes on where it was killed.

It takes about four minutes of one idle core. After the rounds, 6, 12, 16, 16, 19 and 19 of 20 test forests were crossed
(one seed; 1 tree per 25 m2, 5 m/s).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
import tyro

from forestpilot.policies import PolicyConfig, VisuomotorPolicy, save_policy
from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.memories.none import NoMemoryConfig
from forestpilot.sim.cameras import CENTER
from forestpilot.sim.seeds import seeds_of

BATCH = 192
"""States in a gradient step."""


@dataclass(frozen=True)
class Args:
    """Cloning, then DAgger."""

    rounds: int = 5
    """Rounds after the first, which is cloning."""
    flights: int = 30
    """Training flights in each round."""
    steps: int = 600
    """Gradient steps in each round."""
    test_flights: int = 20
    """Test forests that the policy flies through after each round."""
    seed: int = 0
    """Seed of the first weights and of sampling."""
    out: str = "runs/dagger-in-100-lines"
    """Where the policy is stored; `forestpilot evaluate --policy` flies it."""


class State(NamedTuple):
    """A state on the way, and what the expert would have done there."""

    views: np.ndarray
    """(1, h, w, 3) uint8, what the policy sees."""
    state: np.ndarray
    """(S,) float32."""
    goal: np.ndarray
    """(2,) float32."""
    action: np.ndarray
    """(2,) float32, the expert's."""
    costs: np.ndarray
    """(K,) float32, the expert's cost of each candidate turn."""


def fly(env: gymnasium.Env, seed: int, policy: VisuomotorPolicy, expert_flies: bool) -> tuple[list[State], bool]:
    """Fly through the forest of a seed; the states on the way, labelled, and whether the goal was reached."""
    observation, info = env.reset(seed=seed)
    states = []
    carry = None
    over = False
    while not over:
        batch = {name: value[None] for name, value in observation.items()}
        labels = env.unwrapped.expert_labels()
        views = policy.views_of(batch)[0]
        states.append(
            State(views, observation["state"], observation["goal"], labels.actions[CENTER], labels.costs[CENTER])
        )
        actions, carry = policy.act(batch, carry)
        action = labels.actions[CENTER] if expert_flies else actions[0]
        observation, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
    return states, info["is_success"]


def learn(policy: VisuomotorPolicy, states: list[State], steps: int, generator: torch.Generator) -> None:
    """Fit the policy to the labels of all states so far."""
    data = [torch.from_numpy(np.stack(column)) for column in zip(*states)]
    optimizer = torch.optim.AdamW(policy.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    policy.train()
    for _ in range(steps):
        drawn = torch.randint(len(states), (BATCH, 1), generator=generator)  # windows of one step
        views, state, goal, action, costs = (column[drawn] for column in data)
        prediction, _ = policy(views, state, goal)
        known = torch.ones(BATCH, 1, 1, dtype=torch.bool)
        loss = policy.head.loss(prediction, Target(action.unsqueeze(-2), known, costs), generator).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    policy.eval()


def main(args: Args) -> None:
    """Clone, improve, and say after each round how many test forests the policy crosses."""
    config = PolicyConfig(memory=NoMemoryConfig(), window=1)
    env = gymnasium.make("forestpilot:ForestPilot/Drone-v0")
    policy = VisuomotorPolicy.seeded(config, env.unwrapped.task_spec, args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    states: list[State] = []
    for number in range(args.rounds + 1):
        for seed in seeds_of("train", args.flights, offset=number * args.flights):
            seen, _ = fly(env, seed, policy, expert_flies=number == 0)
            states += seen
        learn(policy, states, args.steps, generator)
        tests = [fly(env, seed, policy, expert_flies=False) for seed in seeds_of("test", args.test_flights)]
        crossed = sum(arrived for _, arrived in tests)
        print(f"round {number}: {len(states)} labels, {crossed} of {args.test_flights} test forests crossed")
    save_policy(args.out, policy)
    env.close()


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
