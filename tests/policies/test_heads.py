"""Heads: what they learn from left-or-right demonstrations, and how predictions become actions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from forestpilot.policies.networks.heads import HEADS
from forestpilot.policies.networks.heads.base import ActContext, DistributionHead, Head, Target
from forestpilot.policies.networks.heads.cvae import CVAEHead
from forestpilot.policies.networks.heads.diffusion import cosine_schedule
from forestpilot.policies.networks.heads.generative import likeliest
from forestpilot.policies.networks.heads.mixture import MixtureHead
from forestpilot.policies.networks.heads.normal import log_density
from forestpilot.policies.networks.heads.turn_costs import TurnCostsConfig, TurnCostsHead
from tests.helpers.made_up import make_observations, make_policy
from tests.helpers.specs import make_spec

FEATURES = 8
TURNS = torch.linspace(-1, 1, 21)
JOINT = "categorical over turn-go"
GENERATIVE = ["cvae", "diffusion", "flow"]
QUICKLY: dict[str, Any] = {"steps": 120, "learning_rate": 3e-2}
"""How heads learn that draw nothing while they do."""
WITHOUT_COSTS = [JOINT, *(name for name in HEADS.names() if not HEADS.get(name).needs_costs)]


def make_head(name: str, chunk: int = 1, **options: Any) -> Head:
    name, _, over = name.partition(" over ")
    part = HEADS.get(name)
    return part(part.Config(**options, **({"over": over} if over else {})), FEATURES, make_spec(), chunk)


def make_turn_costs(**options: Any) -> TurnCostsHead:
    config = TurnCostsConfig(**{"scale": 10.0, "curve": "linear", "hysteresis_per_rad": 0.0} | options)
    return TurnCostsHead(config, FEATURES, make_spec())


def predict(head: TurnCostsHead, costs: torch.Tensor, go: float = 0.5) -> torch.Tensor:
    """The prediction that stands for these costs (..., C)."""
    scaled = costs.sqrt() if head.config.curve == "sqrt" else costs
    return torch.cat((scaled / head.config.scale, torch.full((*costs.shape[:-1], 1), math.atanh(go))), dim=-1)


def target(actions: torch.Tensor, costs: torch.Tensor | None = None) -> Target:
    """What there is to learn where all of the actions (..., K, 2) are known."""
    return Target(actions, torch.ones(actions.shape[:-1], dtype=torch.bool), costs)


def fit(head: Head, turns: torch.Tensor, steps: int = 400, learning_rate: float = 1e-2) -> torch.Tensor:
    """The action after learning these equally frequent turns for one and the same features."""
    torch.manual_seed(0)
    for module in head.modules():
        if isinstance(module, torch.nn.Linear):
            module.reset_parameters()
    features = torch.ones(len(turns), FEATURES)
    actions = torch.stack((turns, torch.full_like(turns, 0.3)), dim=-1)[:, None]
    optimizer = torch.optim.Adam(head.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        optimizer.zero_grad()
        wanted = target(actions)._replace(progress=step / steps)
        head.loss(head(features), wanted, generator).mean().backward()
        optimizer.step()
    return head.act(head(features[:1])).detach()[0, 0]


@pytest.mark.parametrize("name", WITHOUT_COSTS)
def test_heads_fit_a_single_action(name: str) -> None:
    how = {"steps": 200, "learning_rate": 2e-2} if name in GENERATIVE else QUICKLY
    turn, go = fit(make_head(name), torch.full((8,), 0.4), **how)
    assert float(turn) == pytest.approx(0.4, abs=0.05)
    assert float(go) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("name", ["mixture", "categorical", JOINT])
def test_multimodal_heads_choose_a_side_where_regression_takes_the_middle(name: str) -> None:
    either = torch.tensor([-0.5, 0.5]).repeat(8)
    assert abs(float(fit(make_head(name), either, **QUICKLY)[0])) == pytest.approx(0.5, abs=0.1)
    assert abs(float(fit(make_head("regression"), either, **QUICKLY)[0])) < 0.1


@pytest.mark.parametrize("name", GENERATIVE)
def test_generative_heads_draw_both_sides_and_seldom_the_middle(name: str) -> None:
    head = make_head(name)
    fit(head, torch.tensor([-0.5, 0.5]).repeat(8))
    prediction = head(torch.ones(500, FEATURES)).detach()
    turns = head.act(prediction, generator=torch.Generator().manual_seed(1))[:, 0, 0]
    assert float((turns.abs() > 0.35).float().mean()) > 0.75
    assert 0.3 < float((turns > 0).float().mean()) < 0.7


@pytest.mark.parametrize("name", GENERATIVE)
def test_of_several_samples_the_likeliest_is_taken(name: str) -> None:
    learned = make_head(name)
    fit(learned, torch.tensor([-0.5, 0.5, 0.5]).repeat(8))
    drawn = []
    for samples in (1, 16):
        head = make_head(name, samples=samples)
        head.load_state_dict(learned.state_dict())
        prediction = head(torch.ones(200, FEATURES)).detach()
        turns = head.act(prediction, generator=torch.Generator().manual_seed(1))[:, 0, 0]
        drawn.append(float((turns > 0.35).float().mean()))
    assert 0.5 < drawn[0] < 0.85 and drawn[1] > drawn[0] + 0.1


def test_the_likeliest_sample_is_the_one_in_the_crowd() -> None:
    turns = torch.tensor([[-0.9, -0.5, 0.4, 0.45, 0.5], [0.0, 0.05, -0.05, 0.7, 0.75]])
    samples = torch.stack((turns, torch.zeros_like(turns)), dim=-1)[:, :, None, :]
    assert likeliest(samples)[:, 0, 0].tolist() == pytest.approx([0.45, 0.0])


@pytest.mark.parametrize("name", GENERATIVE)
def test_generative_heads_learn_a_chunk_where_it_is_known(name: str) -> None:
    head = make_head(name, chunk=3)
    prediction = head(torch.randn(4, FEATURES)).detach().requires_grad_()
    known = torch.tensor([[True, True, False]]).expand(4, 3)
    losses = []
    for unknown in (math.nan, 7.0):
        actions = torch.zeros(4, 3, 2)
        actions[:, 2] = unknown
        losses.append(head.loss(prediction, Target(actions, known, None), torch.Generator().manual_seed(0)))
    assert torch.equal(*losses)
    losses[0].sum().backward()
    assert prediction.grad is not None and torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("draw_each", ["episode", "step"])
@pytest.mark.parametrize("name", GENERATIVE)
def test_noise_is_drawn_for_an_episode_or_at_every_step(name: str, draw_each: str) -> None:
    policy = make_policy(head={"part": name, "draw_each": draw_each}, memory="none")
    observations = make_observations(np.random.default_rng(0), 1, policy.spec)
    carry = policy.begin(1, [3])
    turns = [float(policy.act(observations, carry)[0][0, 0]) for _ in range(2)]
    assert (turns[0] == turns[1]) == (draw_each == "episode")
    carry.restart([0], [4])
    other = float(policy.act(observations, carry)[0][0, 0])
    carry.restart([0], [3])
    assert other != turns[0] == float(policy.act(observations, carry)[0][0, 0])


def test_the_kl_term_of_a_cvae_is_warmed_up() -> None:
    head = make_head("cvae", kl_weight=2.0, kl_warmup=0.5)
    prediction = head(torch.randn(4, FEATURES)).detach()
    losses = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        wanted = target(torch.zeros(4, 1, 2))._replace(progress=progress)
        losses.append(float(head.loss(prediction, wanted, torch.Generator().manual_seed(0)).detach().mean()))
    nats = head.diagnostics(prediction, target(torch.zeros(4, 1, 2)), torch.ones(4, dtype=torch.bool))["kl_nats"]
    assert nats > 0
    assert np.diff(losses) == pytest.approx([nats, nats, 0.0], abs=1e-5)


def test_what_a_cvae_says_of_likelihood_is_a_bound_that_is_close() -> None:
    head = make_head("cvae")
    assert isinstance(head, CVAEHead)
    fit(head, torch.tensor([-0.5, 0.5]).repeat(8), steps=150)
    prediction = head(torch.ones(FEATURES)).detach()
    actions = torch.tensor([[[turn, 0.3]] for turn in (-0.5, 0.0, 0.5)])
    many = (prediction.expand(300, 3, -1), actions.expand(300, 3, 1, 2))
    bounds = head.log_prob(*many).detach()[..., 0]
    z = torch.randn(50_000, head.config.latent, generator=torch.Generator().manual_seed(5))
    mean, log_std = head._decoded(prediction, z)
    exact = log_density(mean, log_std, actions[:, None]).sum((-1, -2)).logsumexp(1).detach() - math.log(len(z))
    assert torch.equal(bounds, head.log_prob(*many).detach()[..., 0])
    assert (bounds.mean(0) < exact + 0.05).all() and (bounds.mean(0) > exact - 0.5).all()
    assert torch.allclose(bounds.logsumexp(0) - math.log(300), exact, atol=0.15), "the weights are right"


def test_the_cosine_schedule_goes_from_the_action_to_noise() -> None:
    signal = cosine_schedule(100)
    assert (signal.diff() < 0).all() and signal[0] > 0.999 and signal[-1] < 1e-4
    assert float(signal[49]) == pytest.approx(math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) ** 2, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cvae", {"latent": 0}, "latent is 0; allowed: 1"),
        ("cvae", {"kl_weight": -1.0}, "kl_weight is -1.0; allowed: 0"),
        ("cvae", {"kl_weight": math.nan}, "kl_weight is nan"),
        ("cvae", {"draw_each": "flight"}, "draw_each is 'flight'; allowed: episode, step"),
        ("flow", {"samples": 0}, "samples is 0; allowed: 1"),
        ("diffusion", {"steps": 0}, "steps is 0; allowed: 1 to 10"),
        ("diffusion", {"steps": 11}, "steps is 11; allowed: 1 to 10"),
        ("diffusion", {"levels": 4}, "steps is 10; allowed: 1 to levels = 4"),
        ("flow", {"steps": 5}, "steps is 5; allowed: 1 to 4"),
        ("flow", {"scale": 0.0}, "scale is 0.0; allowed: above 0"),
        ("categorical", {"over": "go"}, "over is 'go'; allowed: turn, turn-go"),
        ("categorical", {"go_bins": 2}, "go_bins is 2; allowed: 3"),
    ],
)
def test_options_that_no_head_could_use_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_head(name, **options)


def test_mixture_components_start_spread_and_say_when_they_collapse() -> None:
    head = make_head("mixture")
    assert isinstance(head, MixtureHead)
    prediction = torch.zeros(1, 1, head.outputs)
    assert torch.allclose(head._split(prediction).mean, torch.tensor([-0.3, 0.0, 0.3]), atol=1e-5)
    mask = torch.ones(1, dtype=torch.bool)
    nothing = target(torch.zeros(1, 1, 2))
    assert head.diagnostics(prediction, nothing, mask)["components_in_use"] == pytest.approx(3)
    prediction[..., 0] = 50
    assert head.diagnostics(prediction, nothing, mask)["components_in_use"] == pytest.approx(1, abs=1e-3)


DISTRIBUTIONS = [JOINT, *(name for name in HEADS.names() if issubclass(HEADS.get(name), DistributionHead))]


def random_distribution(name: str) -> tuple[DistributionHead, torch.Tensor]:
    """A head and one prediction (1, 1, P) of it that is neither flat nor sharp."""
    head = make_head(name, **({"bins": 9, "go_bins": 5} if name == JOINT else {}))
    assert isinstance(head, DistributionHead)
    return head, 0.7 * torch.randn(1, 1, head.outputs, generator=torch.Generator().manual_seed(4))


def turn_density(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Turns, and how likely each is to be drawn, go summed out."""
    head, prediction = random_distribution(name)
    turns = torch.linspace(-1, 1, 481) if name == JOINT else torch.linspace(-10, 10, 10_001)
    goes = torch.zeros(1)
    if name in ("gaussian", JOINT):
        goes = torch.linspace(-1, 1, 401) if name == JOINT else torch.linspace(-10, 10, 401)
    grid = torch.stack(torch.meshgrid(turns, goes, indexing="ij"), dim=-1).reshape(-1, 1, 2)
    density = head.log_prob(prediction, grid).exp().view(len(turns), len(goes))
    return turns, torch.trapezoid(density, goes) if len(goes) > 1 else density[:, 0]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_densities_integrate_to_one(name: str) -> None:
    turns, density = turn_density(name)
    assert float(torch.trapezoid(density, turns)) == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_samples_are_as_often_as_the_density_says(name: str) -> None:
    turns, density = turn_density(name)
    head, prediction = random_distribution(name)
    drawn = head.sample(prediction.expand(20_000, 1, -1), torch.Generator().manual_seed(0))
    assert drawn.shape == (20_000, 1, 2)
    below = torch.cumulative_trapezoid(density, turns)
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        quantile = float(turns[int((below < share).sum()) + 1])
        assert float((drawn[..., 0] <= quantile).float().mean()) == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_gradients_of_log_prob_flow_and_samples_repeat(name: str) -> None:
    head, prediction = random_distribution(name)
    prediction = prediction.expand(6, 3, -1).clone().requires_grad_()
    first, again = (head.sample(prediction.detach(), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    head.log_prob(prediction, first).sum().backward()
    assert torch.isfinite(prediction.grad).all()
    assert (prediction.grad.abs().sum((0, 1)) > 0).sum() >= 3


def test_the_gaussians_loss_is_its_log_prob() -> None:
    head, prediction = random_distribution("gaussian")
    actions = torch.tensor([[[0.2, -0.3]]])
    assert torch.equal(head.loss(prediction, target(actions)), -head.log_prob(prediction, actions)[..., 0])


def test_a_chunk_is_learned_where_it_is_known() -> None:
    head = make_head("regression", chunk=3)
    prediction = head(torch.randn(4, FEATURES))
    assert prediction.shape == (4, 3, 2)
    actions = torch.zeros(4, 3, 2)
    known = torch.tensor([[True, True, False]]).expand(4, 3)
    actions[:, 2] = math.nan
    loss = head.loss(prediction, Target(actions, known, None))
    assert torch.allclose(loss, torch.tanh(prediction[:, :2]).square().sum(-1).mean(-1))
    loss.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in head.parameters())


def test_costs_are_for_one_action() -> None:
    with pytest.raises(ValueError, match=r"policy.chunk is 3, but the head 'turn-costs' predicts one action"):
        make_head("turn-costs", chunk=3)


@pytest.mark.parametrize("curve", ["linear", "sqrt"])
def test_turn_costs_recovers_the_costs_it_was_trained_on(curve: str) -> None:
    head = make_turn_costs(curve=curve)
    costs = torch.rand(3, 21, generator=torch.Generator().manual_seed(0)) * 29
    costs -= costs.amin(-1, keepdim=True)
    prediction = torch.cat((head.scaled(costs + 7.0), torch.zeros(3, 1)), dim=-1)
    assert torch.allclose(head.costs(prediction), costs, atol=1e-3)


def test_what_turn_costs_learns_is_relative_and_clipped() -> None:
    assert torch.allclose(make_turn_costs().scaled(torch.tensor([5.0, 10.0, 500.0])), torch.tensor([0.0, 0.5, 3.0]))


@pytest.mark.parametrize("best", [-0.37, -0.05, 0.0, 0.52])
def test_turn_costs_finds_the_vertex_between_candidates(best: float) -> None:
    head = make_turn_costs()
    turn, go = head.act(predict(head, 8 * (TURNS - best).square()))[0]
    assert float(turn) == pytest.approx(best, abs=1e-4)
    assert float(go) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_turn_costs_at_the_end_takes_the_end(end: float) -> None:
    head = make_turn_costs()
    assert float(head.act(predict(head, 5 * (TURNS - end).abs()))[0, 0]) == pytest.approx(end)


def test_turn_costs_keeps_to_the_side_it_chose() -> None:
    head = make_turn_costs(hysteresis_per_rad=1.0)
    costs = torch.full((21,), 10.0)
    costs[5], costs[15] = 1.0, 0.9
    prediction = predict(head, costs)

    def turn(previous: float | None) -> float:
        context = ActContext(None if previous is None else torch.tensor(previous))
        return float(head.act(prediction, context)[0, 0])

    assert turn(None) > 0
    assert turn(-0.5) < 0
    assert turn(math.nan) > 0


def test_turn_costs_can_fly_at_the_full_set_point() -> None:
    head = make_turn_costs(predict_go=False)
    assert float(head.act(predict(head, TURNS.square(), go=-0.9))[0, 1]) == 1.0


def test_turn_costs_says_that_it_needs_costs() -> None:
    with pytest.raises(ValueError, match="choose another head"):
        make_turn_costs().loss(torch.zeros(1, 22), target(torch.zeros(1, 1, 2)))


def test_turn_costs_agreement_counts_the_neighbours() -> None:
    head = make_turn_costs()
    mask = torch.ones(3, dtype=torch.bool)
    costs = (TURNS - 0.3).square().expand(3, 21)
    prediction = torch.stack([predict(head, (TURNS - best).square()) for best in (0.3, 0.4, 0.8)])
    figures = head.diagnostics(prediction, target(torch.zeros(3, 1, 2), costs), mask)
    assert figures["argmin_agreement"] == pytest.approx(2 / 3)
    assert figures["regret"] > 0


def test_the_smooth_turn_of_costs_moves_where_the_cheapest_jumps() -> None:
    head = make_turn_costs()
    left, right = (predict(head, 8 * (TURNS - 0.5).square() * (TURNS + 0.5).square() + c * TURNS) for c in (-0.1, 0.1))
    assert float((head.act(left) - head.act(right))[0, 0].abs()) > 0.8
    assert float((head.smooth_turn(left) - head.smooth_turn(right)).abs()) < 0.4


@pytest.mark.parametrize("name", HEADS.names())
def test_options_know_whether_their_head_needs_costs(name: str) -> None:
    assert HEADS.get(name).Config.needs_costs in (None, HEADS.get(name).needs_costs)


def test_only_heads_that_learn_costs_need_costs() -> None:
    needing = [name for name in HEADS.names() if HEADS.get(name).needs_costs]
    assert needing == ["turn-costs", "soft-turns", "costs-and-action"]
    assert np.all([HEADS.get(name).Config.part == name for name in HEADS.names()])
