"""Heads that learn from more of the expert's answer: what they are taught, and how costs and action are reconciled."""

import math

import pytest
import torch

from forestpilot.policies.networks.heads.base import Target
from forestpilot.policies.networks.heads.categorical import CategoricalHead
from forestpilot.policies.networks.heads.options import CategoricalConfig, TurnCostsConfig
from forestpilot.policies.networks.heads.signal_options import CostsAndActionConfig, SoftTurnsConfig
from forestpilot.policies.networks.heads.signals import CostsAndActionHead, SoftTurnsHead
from forestpilot.policies.networks.heads.turn_costs import TurnCostsHead
from tests.helpers.specs import make_spec

COUNT = 21


def target(costs: torch.Tensor | None, turn: float = 0.0) -> Target:
    return Target(torch.tensor([[[turn, 1.0]]]), torch.ones(1, 1, dtype=torch.bool), costs)


def two_valleys() -> torch.Tensor:
    """Left and right are alike, between them stands a trunk."""
    costs = torch.full((1, COUNT), 5.0)
    costs[0, [4, 16]] = 0.0
    return costs


def test_soft_turns_learn_the_softmax_of_the_costs():
    head = SoftTurnsHead(SoftTurnsConfig(temperature=0.5), 8, make_spec())
    costs = torch.rand(1, COUNT)
    wanted = (-costs / 0.5).softmax(-1)
    prediction = torch.cat((wanted.log(), torch.full((1, 1), 10.0)), dim=-1)[:, None]
    least = -(wanted * wanted.log()).sum()
    assert float(head.loss(prediction, target(costs))) == pytest.approx(float(least), abs=1e-4)
    other = prediction + torch.cat((torch.randn(1, 1, COUNT), torch.zeros(1, 1, 1)), dim=-1)
    assert head.loss(other, target(costs)) > least + 0.01


def test_soft_turns_keep_both_ways_and_take_one():
    head = SoftTurnsHead(SoftTurnsConfig(), 8, make_spec())
    logits = (-two_valleys() / 0.1).log_softmax(-1)
    prediction = torch.cat((logits, torch.zeros(1, 1)), dim=-1)[:, None]
    assert float(prediction[0, 0, 4].exp()) == pytest.approx(0.5, abs=1e-3)
    assert abs(float(head.act(prediction)[0, 0, 0])) == pytest.approx(0.6, abs=1e-4)
    density = head.turn_log_prob(prediction, torch.tensor([[[-0.6, 1.0]]]))
    assert float(density) == pytest.approx(math.log(0.5 / 0.1), abs=1e-3)


def test_without_temperature_it_is_the_categorical_heads_answer():
    """At a small temperature the cheapest candidate has all of the choice, as a label at its centre has."""
    head, hard = (
        SoftTurnsHead(SoftTurnsConfig(temperature=1e-3), 8, make_spec()),
        CategoricalHead(CategoricalConfig(bins=COUNT), 8, make_spec()),
    )
    costs = torch.rand(1, COUNT)
    costs[0, 13] = -1.0
    prediction = torch.randn(1, 1, COUNT + 1)
    assert torch.allclose(head.loss(prediction, target(costs)), hard.loss(prediction, target(None, 0.3)), atol=1e-4)


def test_costs_and_action_take_the_finer_turn_where_both_agree_and_the_costs_where_they_do_not():
    head = CostsAndActionHead(CostsAndActionConfig(hysteresis_per_rad=0.0), 8, make_spec())
    costs = two_valleys()
    costs[0, 16] = 1.0

    def acted(regressed: float) -> float:
        parts = (head.scaled(costs), torch.zeros(1, 1), torch.atanh(torch.tensor([[regressed]])))
        return float(head.act(torch.cat(parts, dim=-1))[0, 0, 0])

    assert acted(-0.55) == pytest.approx(-0.55, abs=1e-5)
    assert acted(0.0) == pytest.approx(-0.6, abs=1e-5), "the mean of left and right is the trunk"
    assert acted(0.6) == pytest.approx(-0.6, abs=1e-5)


def test_costs_and_action_learn_both():
    head = CostsAndActionHead(CostsAndActionConfig(action_weight=2.0), 8, make_spec())
    alone = TurnCostsHead(TurnCostsConfig(), 8, make_spec())
    prediction = torch.randn(1, COUNT + 2)
    told = target(two_valleys(), -0.6)
    squared = (torch.tanh(prediction[..., -1]) + 0.6).square()
    assert torch.allclose(head.loss(prediction, told), alone.loss(prediction[..., :-1], told) + 2.0 * squared)
    assert torch.equal(head.costs(prediction), alone.costs(prediction[..., :-1]))
    figures = head.diagnostics(prediction, told, torch.ones(1, dtype=torch.bool))
    assert set(figures) == {"argmin_agreement", "regret", "agreement"}


@pytest.mark.parametrize("head", [SoftTurnsHead, CostsAndActionHead])
def test_labels_without_costs_and_chunks_are_refused(head):
    made = head(head.Config(), 8, make_spec())
    with pytest.raises(ValueError, match="learns from the planner's costs"):
        made.loss(made(torch.zeros(1, 8)), target(None))
    with pytest.raises(ValueError, match="predicts one action at a time"):
        head(head.Config(), 8, make_spec(), 4)


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (SoftTurnsConfig, {"temperature": 0.0}),
        (CostsAndActionConfig, {"agreement": -0.1}),
        (CostsAndActionConfig, {"action_weight": -1.0}),
    ],
)
def test_options_out_of_range_are_refused(config, values):
    with pytest.raises(ValueError, match=next(iter(values))):
        config(**values)
