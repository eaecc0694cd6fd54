"""The study of several right answers: what flights tell, how likely policies take what was shown, and its sizes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.launch.studies.answers import gaps_passed, was_ahead
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.multimodality import ARMS, MOST_GAPS, Multimodality, differences
from forestpilot.launch.studies.policy_figures import DRAWS, KERNEL, drawn_turns, log_likelihood, step_ms
from forestpilot.policies.networks.heads import HEADS
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.worlds.rows import TrunkRow
from tests.helpers.episodes import make_episode
from tests.helpers.made_up import make_policy, make_policy_config
from tests.helpers.specs import make_spec


def straight_way(end: float, y: float = 0.0) -> np.ndarray:
    """A way along x, a step every half metre."""
    x = np.arange(0.0, end + 0.1, 0.5)
    return np.stack([x, np.full_like(x, y)], axis=1)


def trunk(x: float, y: float) -> np.ndarray:
    return np.array([[x, y, 0.2, 5.0, 1.0, 1.0, 0.0]], np.float32)


def test_a_trunk_in_the_course_was_ahead_and_one_that_was_turned_into_was_not() -> None:
    way = straight_way(9.5)
    assert was_ahead(way, trunk(10.0, 0.1), 10)
    swerved = way.copy()
    swerved[-5:, 1] = [0.3, 0.6, 0.9, 1.2, 1.5]
    assert not was_ahead(swerved, trunk(9.9, 1.7), 10)
    assert was_ahead(way, np.concatenate([trunk(10.0, 0.1), trunk(3.0, 2.0)]), 10), "the one that was met counts"


def test_gaps_are_counted_from_the_right_where_a_row_was_passed() -> None:
    rows = (TrunkRow(5.0, (-1.0, 1.0)), TrunkRow(9.0, (-2.0, 0.0, 2.0)), TrunkRow(20.0, (-1.0, 1.0)))
    assert gaps_passed(straight_way(12.0, 0.8), rows) == [0, 2, 0]
    assert gaps_passed(straight_way(8.0, -1.2), rows) == [1, 0, 0]
    assert gaps_passed(straight_way(8.0), ()) == []


@pytest.mark.parametrize("head", ["regression", "gaussian", "flow", "cvae", "categorical", "turn-costs"])
def test_all_heads_are_measured_alike(tmp_path: Path, head: str) -> None:
    spec = make_spec()
    dataset = Dataset.create(tmp_path, spec, "ForestPilot/Drone-v0")
    dataset.add(make_episode(0, 9, spec))
    training = TrainConfig(policy=make_policy_config(head=head, window=3))
    policy = make_policy(head=head, window=3).eval()
    first, again = (log_likelihood(policy, [dataset], training) for _ in range(2))
    assert math.isfinite(first) and first == again
    assert first < -math.log(KERNEL * math.sqrt(2 * math.pi)) + 1e-6, "no draw can be better than the answer itself"
    drawn = drawn_turns(policy.head, policy.head(torch.zeros(2, 3, 16)), torch.Generator().manual_seed(0))
    assert drawn.shape == ((1 if head in ("regression", "turn-costs") else DRAWS), 2, 3)
    assert step_ms(policy) > 0


def test_differences_are_paired_by_seed_and_world() -> None:
    def cell(arm: str, seed: int, wins: tuple[int, ...]) -> Cell:
        rows = [{"seed": world, "success": win} for world, win in enumerate(wins)]
        return Cell(arm, 64, seed, rows)

    cells = [cell("regression", seed, (0, 0, 1, 0)) for seed in range(3)]
    cells += [cell("flow", seed, (1, 1, 1, 1)) for seed in range(3)]
    sentences = differences(cells, 64)
    assert len(sentences) == 1 and sentences[0].startswith("flow against regression, 64 demonstrations: +75.0 points")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"demonstrations": (2,)}, "demonstrations"),
        ({"demonstrations": (9, 8)}, "ascending"),
        ({"gaps": ()}, "gaps"),
        ({"gaps": (1, 2)}, "gaps"),
        ({"test_worlds": 1}, "test_worlds"),
        ({"side_cameras": "above"}, "side_cameras"),
    ],
)
def test_sizes_that_cannot_work_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Multimodality.full, **changes)


def test_its_arms_are_heads_and_rows_fit_into_its_cells() -> None:
    assert {arm.head.part for arm in ARMS} <= set(HEADS.names())
    assert len({arm.name for arm in ARMS}) == len(ARMS) == 10
    assert max(Multimodality.full.gaps) <= MOST_GAPS
