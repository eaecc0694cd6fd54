"""The replay buffer: what is drawn is what was added, in bounded memory; stored in pieces it comes back the same."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from forestpilot.policies.reinforcement.replay_buffer import (
    NO_ROW,
    TRUNCATED,
    ReplayBuffer,
    row_bytes,
    shifted,
)
from forestpilot.sim.errors import InvalidArgumentError

Box = gymnasium.spaces.Box
SPACE = gymnasium.spaces.Dict(
    {"views": Box(0, 255, (1, 4, 6, 3), np.uint8), "state": Box(-np.inf, np.inf, (2,), np.float32)}
)
NO_ACTION = np.zeros(2, np.float32)


def seen(numbers: list[int]) -> dict[str, Any]:
    """Observations that tell their numbers, one of each environment."""
    states = np.array([[number, -number] for number in numbers], np.float32)
    views = np.stack([np.full((1, 4, 6, 3), number % 256, np.uint8) for number in numbers])
    return {"views": views, "state": states}


def drive(buffer: ReplayBuffer, episodes: list[tuple[int, bool]], first: int = 0) -> int:
    """One environment drives episodes of (steps, whether they terminate); states are numbered on from `first`."""
    number = first
    for steps, terminates in episodes:
        for step in range(steps):
            ends = step == steps - 1
            info = {TRUNCATED: True} if ends and not terminates else {}
            action = np.full((1, 2), number, np.float32)
            buffer.add(seen([number]), seen([number + 1]), action, np.array([number]), np.array([ends]), [info])
            number += 1
        number += 1  # the last state of an episode has a number of its own
    return number


def test_transitions_are_those_that_were_added() -> None:
    buffer = ReplayBuffer(SPACE, 100)
    drive(buffer, [(3, True), (4, False)])
    drawn = buffer.sample(200, np.random.default_rng(0), 0.5)
    before = drawn.observations["state"][:, 0]
    assert set(before) == {0, 1, 2, 4, 5, 6, 7}
    assert np.array_equal(drawn.next_observations["state"][:, 0], before + 1)
    assert np.array_equal(drawn.rewards, before)
    assert np.array_equal(drawn.actions[:, 0], before)
    # Only the end of an episode that terminated is worth nothing: out of time, it would have gone on.
    assert np.array_equal(drawn.discounts, np.where(before == 2, 0.0, 0.5))


def test_returns_over_several_steps_end_with_the_episode() -> None:
    buffer = ReplayBuffer(SPACE, 100)
    drive(buffer, [(4, True), (4, False)])
    drawn = buffer.sample(300, np.random.default_rng(0), 0.5, steps=3)
    found = {int(state): row for row, state in enumerate(drawn.observations["state"][:, 0])}
    assert drawn.rewards[found[0]] == 0 + 0.5 * 1 + 0.25 * 2
    assert drawn.next_observations["state"][found[0], 0] == 3
    assert drawn.discounts[found[0]] == 0.125
    assert drawn.rewards[found[2]] == 2 + 0.5 * 3
    assert drawn.discounts[found[2]] == 0.0
    # Out of time after the last of two steps: the value of the state there counts.
    assert drawn.rewards[found[7]] == 7 + 0.5 * 8
    assert drawn.next_observations["state"][found[7], 0] == 9
    assert drawn.discounts[found[7]] == 0.25


def test_memory_is_bounded_and_the_oldest_make_room() -> None:
    megabytes = 100 * row_bytes(SPACE) / 1e6
    buffer = ReplayBuffer.of_size(SPACE, megabytes)
    taken = buffer.num_bytes
    assert taken <= megabytes * 1e6
    drive(buffer, [(7, True)] * 40)
    drawn = buffer.sample(500, np.random.default_rng(0), 0.9, steps=4)
    assert buffer.num_bytes == taken
    before = drawn.observations["state"][:, 0]
    assert before.min() >= 320 - 100
    # Nothing that was overwritten is led to: what comes after has a higher number, and no more than four on.
    gone = drawn.next_observations["state"][:, 0] - before
    assert gone.min() >= 1
    assert gone.max() <= 4


def test_environments_side_by_side_are_kept_apart() -> None:
    buffer = ReplayBuffer(SPACE, 64, num_envs=2)
    for step in range(5):
        now = [step, 100 + step]
        then = [step + 1, 101 + step]
        done = np.array([step == 2, False])
        buffer.add(seen(now), seen(then), np.zeros((2, 2), np.float32), np.zeros(2), done, [{}, {}])
    drawn = buffer.sample(200, np.random.default_rng(0), 0.9)
    before = drawn.observations["state"][:, 0]
    assert set(before) == {0, 1, 2, 3, 4, 100, 101, 102, 103, 104}
    assert np.array_equal(drawn.next_observations["state"][:, 0], before + 1)


def test_no_transition_leads_over_a_new_beginning() -> None:
    buffer = ReplayBuffer(SPACE, 64)
    buffer.add(seen([0]), seen([1]), NO_ACTION[None], np.zeros(1), np.array([False]), [{}])
    buffer.begin()
    buffer.add(seen([50]), seen([51]), NO_ACTION[None], np.zeros(1), np.array([False]), [{}])
    drawn = buffer.sample(50, np.random.default_rng(0), 0.9, steps=5)
    before = drawn.observations["state"][:, 0]
    assert set(before) == {0, 50}
    assert np.array_equal(drawn.next_observations["state"][:, 0], before + 1)


def test_another_reward_takes_the_place_of_the_recorded_one() -> None:
    buffer = ReplayBuffer(SPACE, 64)
    drive(buffer, [(4, True)])

    def by_action(of: ReplayBuffer, rows: np.ndarray) -> np.ndarray:
        return 10 * of.actions[rows, 0]

    drawn = buffer.sample(20, np.random.default_rng(0), 0.5, steps=2, reward_of=by_action)
    before = drawn.observations["state"][:, 0]
    assert np.array_equal(drawn.rewards, 10 * before + np.where(before == 3, 0, 5 * (before + 1)))


@pytest.mark.parametrize("rounds", [1, 4])
def test_stored_in_pieces_it_comes_back_the_same(rounds: int) -> None:
    buffer = ReplayBuffer(SPACE, 64)
    back = ReplayBuffer(SPACE, 64)
    number = 0
    for _ in range(rounds):
        written = buffer.num_written
        buffer.begin()
        number = drive(buffer, [(5, True), (20, False)], number)
        for start, piece in buffer.rows_since(written, most=10):
            back.put_back(start, piece)
    assert back.num_written == buffer.num_written
    first = buffer.sample(100, np.random.default_rng(1), 0.9, steps=3)
    second = back.sample(100, np.random.default_rng(1), 0.9, steps=3)
    assert np.array_equal(first.observations["views"], second.observations["views"])
    assert np.array_equal(first.rewards, second.rewards)
    assert np.array_equal(buffer.next_row, back.next_row)


def test_an_empty_or_a_tiny_buffer_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="no transition"):
        ReplayBuffer(SPACE, 64).sample(1, np.random.default_rng(0), 0.9)
    with pytest.raises(InvalidArgumentError, match="too small for 100"):
        ReplayBuffer(SPACE, 399, num_envs=100)
    assert (ReplayBuffer(SPACE, 64).next_row == NO_ROW).all()


def test_views_are_shifted_each_by_itself_and_the_rim_is_repeated() -> None:
    picture = np.arange(4 * 6, dtype=np.uint8).reshape(1, 1, 4, 6, 1).repeat(3, axis=-1)
    views = np.repeat(picture, 60, axis=0)
    moved = shifted(views, 1, np.random.default_rng(0))
    found = {moved[i, 0, 1, 1, 0] for i in range(60)}
    assert found == {picture[0, 0, 1 + down, 1 + right, 0] for down in (-1, 0, 1) for right in (-1, 0, 1)}
    whole = next(view for view in moved if view[0, 1, 1, 0] == picture[0, 0, 2, 2, 0])
    assert np.array_equal(whole[0, -1, :, 0], [*picture[0, 0, 3, 1:, 0], picture[0, 0, 3, 5, 0]])
    assert shifted(views, 0, np.random.default_rng(0)) is views
