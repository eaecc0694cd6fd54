"""Heads: what they learn from left-or-right demonstrations, and how predictions become actions."""

from __future__ import annotations

import math

import pytest
import torch

from forestpilot.policies.networks.heads import (
    HEADS,
    CategoricalHead,
    GaussianHead,
    Head,
    MixtureHead,
    RegressionHead,
    TurnCostsHead,
)
from tests.helpers.made_up import make_policy

TURNS = torch.linspace(-1, 1, 21)


def make_turn_costs(curve: str = "linear", hysteresis: float = 0.0, predict_go: bool = True) -> TurnCostsHead:
    return TurnCostsHead(8, TURNS, clip=30.0, scale=10.0, curve=curve, hysteresis=hysteresis, predict_go=predict_go)


def predict(head: TurnCostsHead, costs: torch.Tensor, go: float = 0.5) -> torch.Tensor:
    """The prediction that stands for these costs (..., K)."""
    scaled = costs.sqrt() if head.curve == "sqrt" else costs
    return torch.cat((scaled / head.scale, torch.full((*costs.shape[:-1], 1), math.atanh(go))), dim=-1)


def make_heads() -> list[Head]:
    return [RegressionHead(8), GaussianHead(8), MixtureHead(8, 3), CategoricalHead(8, 33), make_turn_costs()]


@pytest.mark.parametrize("head", make_heads(), ids=HEADS)
def test_actions_stay_in_range_whatever_is_predicted(head: Head) -> None:
    prediction = 50 * torch.randn(4, 5, head.size, generator=torch.Generator().manual_seed(0))
    actions = head.decode(prediction)
    assert actions.shape == (4, 5, 2)
    assert actions.abs().max() <= 1
    assert torch.isfinite(actions).all()


@pytest.mark.parametrize("head", make_heads(), ids=HEADS)
def test_loss_is_one_finite_number_a_step_with_gradients(head: Head) -> None:
    prediction = torch.randn(4, 5, head.size, requires_grad=True)
    loss = head.loss(prediction, torch.rand(4, 5, 2) * 2 - 1, torch.rand(4, 5, 21) * 500)
    assert loss.shape == (4, 5)
    loss.mean().backward()
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()
    assert (prediction.grad.abs().sum((0, 1)) > 0).all()


def fit(head: Head, turns: torch.Tensor, steps: int = 400) -> torch.Tensor:
    """The turn that a head acts on after learning these equally frequent turns for one and the same features."""
    torch.manual_seed(0)
    for module in head.modules():
        if isinstance(module, torch.nn.Linear):
            module.reset_parameters()
    features = torch.ones(len(turns), 8)
    actions = torch.stack((turns, torch.full_like(turns, 0.3)), dim=-1)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        head.loss(head(features), actions, None).mean().backward()
        optimizer.step()
    return head.decode(head(features[:1])).detach()[0]


@pytest.mark.parametrize("head", make_heads()[:4], ids=HEADS[:4])
def test_heads_fit_a_single_action(head: Head) -> None:
    turn, go = fit(head, torch.full((8,), 0.4))
    assert float(turn) == pytest.approx(0.4, abs=0.05)
    assert float(go) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("head", [MixtureHead(8, 3), CategoricalHead(8, 33)], ids=["mixture", "categorical"])
def test_multimodal_heads_choose_a_side_where_regression_takes_the_middle(head: Head) -> None:
    either = torch.tensor([-0.5, 0.5]).repeat(8)
    assert abs(float(fit(head, either)[0])) == pytest.approx(0.5, abs=0.1)
    assert abs(float(fit(RegressionHead(8), either)[0])) < 0.1


def test_mixture_components_start_spread_and_say_when_they_collapse() -> None:
    head = MixtureHead(8, 3)
    _, means, _ = head._split(torch.zeros(1, head.size))
    assert torch.allclose(means[0], torch.tensor([-0.3, 0.0, 0.3]), atol=1e-5)
    mask, prediction = torch.ones(1, dtype=torch.bool), torch.zeros(1, head.size)
    assert head.diagnostics(prediction, torch.zeros(1, 2), None, mask)["components_in_use"] == pytest.approx(3)
    prediction[:, 0] = 50
    assert head.diagnostics(prediction, torch.zeros(1, 2), None, mask)["components_in_use"] == pytest.approx(
        1, abs=1e-3
    )


@pytest.mark.parametrize("curve", ["linear", "sqrt"])
def test_turn_costs_recovers_the_costs_it_was_trained_on(curve: str) -> None:
    head = make_turn_costs(curve)
    costs = torch.rand(3, 21, generator=torch.Generator().manual_seed(0)) * 29
    costs -= costs.amin(-1, keepdim=True)
    prediction = torch.cat((head.target(costs + 7.0), torch.zeros(3, 1)), dim=-1)
    assert torch.allclose(head.costs(prediction), costs, atol=1e-3)


def test_turn_costs_target_is_relative_and_clipped() -> None:
    target = make_turn_costs().target(torch.tensor([5.0, 10.0, 500.0]))
    assert torch.allclose(target, torch.tensor([0.0, 0.5, 3.0]))


@pytest.mark.parametrize("best", [-0.37, -0.05, 0.0, 0.52])
def test_turn_costs_finds_the_vertex_between_candidates(best: float) -> None:
    head = make_turn_costs()
    action = head.decode(predict(head, 8 * (TURNS - best).square()))
    assert float(action[0]) == pytest.approx(best, abs=1e-4)
    assert float(action[1]) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_turn_costs_at_the_end_takes_the_end(end: float) -> None:
    head = make_turn_costs()
    assert float(head.decode(predict(head, 5 * (TURNS - end).abs()))[0]) == pytest.approx(end)


def test_turn_costs_keeps_to_the_side_it_chose() -> None:
    head = make_turn_costs(hysteresis=1.0)
    costs = torch.full((21,), 10.0)
    costs[5], costs[15] = 1.0, 0.9
    prediction = predict(head, costs)
    assert float(head.decode(prediction)[0]) > 0
    assert float(head.decode(prediction, torch.tensor(-0.5))[0]) < 0
    assert float(head.decode(prediction, torch.tensor(math.nan))[0]) > 0


def test_turn_costs_can_fly_at_the_full_set_point() -> None:
    head = make_turn_costs(predict_go=False)
    assert float(head.decode(predict(head, TURNS.square(), go=-0.9))[1]) == 1.0


def test_turn_costs_says_that_it_needs_costs() -> None:
    with pytest.raises(ValueError, match="choose another head"):
        make_turn_costs().loss(torch.zeros(1, 22), torch.zeros(1, 2), None)


def test_turn_costs_agreement_counts_the_neighbours() -> None:
    head, mask = make_turn_costs(), torch.ones(3, dtype=torch.bool)
    costs = (TURNS - 0.3).square().expand(3, 21)
    prediction = torch.stack([predict(head, (TURNS - best).square()) for best in (0.3, 0.4, 0.8)])
    figures = head.diagnostics(prediction, torch.zeros(3, 2), costs, mask)
    assert figures["argmin_agreement"] == pytest.approx(2 / 3)
    assert figures["regret"] > 0


@pytest.mark.parametrize("name", HEADS)
def test_every_head_can_be_chosen_by_name(name: str) -> None:
    policy = make_policy(head=name)
    assert policy.head.needs_costs == (name == "turn-costs")
