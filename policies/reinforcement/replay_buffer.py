"""A replay buffer of views: what an off-policy learner has seen, within a memory that is stated and never outgrown.

Each state is kept once, as the policy sees it (views, uint8), and not as three whole pictures: a transition is a row
and the number of the row that followed. Of one center view of 32x64 pixels a step takes 6.2 KB, of three views 18.5 KB;
Stable-Baselines3's buffer of dictionaries keeps every picture twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.errors import InvalidArgumentError

NO_ROW = -1
"""There is none."""
TRUNCATED = "TimeLimit.truncated"
"""Key of `info` under which Stable-Baselines3 is told that an episode ended for want of time."""
LEAST_ROWS = 64
"""Fewer are no buffer."""


class Transitions(NamedTuple):
    """B transitions over one or several steps, drawn from a buffer."""

    observations: dict[str, NDArray[Any]]
    """(B, ...) what was seen before, by name."""
    actions: NDArray[np.float32]
    """(B, 2) what was done there."""
    rewards: NDArray[np.float32]
    """(B,) sum of the discounted rewards of the steps."""
    discounts: NDArray[np.float32]
    """(B,) what the value of the state after them counts: 0 where the episode had ended by then."""
    next_observations: dict[str, NDArray[Any]]
    """(B, ...) what was seen after them."""


class RowReward(Protocol):
    """What the transitions of some rows earn; another one may be put in place of that which was recorded."""

    def __call__(self, buffer: ReplayBuffer, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n,) float32 rewards of the transitions that begin at rows (n,)."""
        ...


def recorded_reward(buffer: ReplayBuffer, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The reward that was recorded with each transition."""
    return buffer.rewards[rows]


class ReplayBuffer:
    """A ring of states and of the transitions between them.

    Args:
        space: of one observation; each entry is kept in its own type.
        num_rows: states that it holds.
        num_envs: environments whose steps are added side by side.

    Raises:
        InvalidArgumentError: it would hold next to nothing.
    """

    def __init__(self, space: gymnasium.spaces.Dict, num_rows: int, num_envs: int = 1) -> None:
        if num_rows < max(LEAST_ROWS, 4 * num_envs):
            raise InvalidArgumentError(
                f"a replay buffer of {num_rows} steps is too small for {num_envs} environments; give it more memory"
            )
        self.num_rows = num_rows
        self.observations: dict[str, NDArray[Any]] = {
            name: np.zeros((num_rows, *_shape(box)), box.dtype) for name, box in space.spaces.items()
        }
        """(R, ...) the state of each row."""
        self.actions = np.zeros((num_rows, 2), np.float32)
        """(R, 2) what was done there."""
        self.rewards = np.zeros(num_rows, np.float32)
        """(R,) what the step from there earned."""
        self.terminated = np.zeros(num_rows, bool)
        """(R,) whether the episode ended with it; not where time ran out."""
        self.next_row = np.full(num_rows, NO_ROW, np.int64)
        """(R,) row of the state after it; `NO_ROW` where nothing has been done, as in the last state of an episode."""
        self.num_written = 0
        """States written so far; the next one goes to the row of this number, modulo R."""
        self._open = [NO_ROW] * num_envs

    @classmethod
    def of_size(cls, space: gymnasium.spaces.Dict, megabytes: float, num_envs: int = 1) -> ReplayBuffer:
        """A buffer that takes at most so many MB (of 10^6 bytes)."""
        return cls(space, int(megabytes * 1e6 // row_bytes(space)), num_envs)

    @property
    def num_bytes(self) -> int:
        """Memory taken, in bytes."""
        return sum(array.nbytes for array in self._arrays().values())

    def begin(self) -> None:
        """Forget where the environments are: what comes next does not follow from what came last."""
        self._open = [NO_ROW] * len(self._open)

    def add(
        self,
        observation: Mapping[str, NDArray[Any]],
        next_observation: Mapping[str, NDArray[Any]],
        action: NDArray[np.float32],
        reward: NDArray[np.float32],
        done: NDArray[np.bool_],
        infos: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add a step of each environment, as Stable-Baselines3 does.

        Args:
            observation: (E, ...) by name, before the step.
            next_observation: (E, ...) after it; of an episode that ended its last.
            action, reward, done: (E, 2), (E,) and (E,).
            infos: of each environment, with `TRUNCATED` where time ran out.
        """
        for env, info in enumerate(infos):
            row = self._open[env]
            if row == NO_ROW:
                row = self._write(observation, env)
            after = self._write(next_observation, env)
            ended = bool(done[env])
            self._link(row, after, action[env], reward[env], ended and not info.get(TRUNCATED, False))
            self._open[env] = NO_ROW if ended else after

    def sample(
        self,
        count: int,
        rng: np.random.Generator,
        discount: float,
        steps: int = 1,
        reward_of: RowReward = recorded_reward,
    ) -> Transitions:
        """Draw transitions, each equally likely, with replacement.

        Args:
            count: how many.
            rng: draws them.
            discount: of a reward one step later, 0 to 1.
            steps: that each goes over, fewer where the episode ends before.
            reward_of: what each step earns.

        Raises:
            InvalidArgumentError: there is none to draw.
        """
        known = np.flatnonzero(self.next_row != NO_ROW)
        if not len(known):
            raise InvalidArgumentError("the replay buffer has no transition yet")
        rows = known[rng.integers(len(known), size=count)]
        rewards = reward_of(self, rows).astype(np.float32)
        discounts = np.where(self.terminated[rows], 0.0, discount).astype(np.float32)
        after = self.next_row[rows]
        for _ in range(steps - 1):
            goes_on = (discounts > 0) & (self.next_row[after] != NO_ROW)
            at = after[goes_on]
            if len(at):
                rewards[goes_on] += discounts[goes_on] * reward_of(self, at)
                discounts[goes_on] *= np.where(self.terminated[at], 0.0, discount).astype(np.float32)
                after[goes_on] = self.next_row[at]
        return Transitions(self.seen(rows), self.actions[rows], rewards, discounts, self.seen(after))

    def seen(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """(n, ...) the states of rows (n,), by name."""
        return {name: values[rows] for name, values in self.observations.items()}

    def rows_since(self, number: int, most: int) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        """What was written from the state of a number on, and is still there: for storing.

        Args:
            number: of the first state, counted from the beginning of all.
            most: rows in a piece.

        Yields:
            The number of the first state of each piece, and its rows by name of the array.
        """
        first = max(number, self.num_written - self.num_rows)
        for start in range(first, self.num_written, most):
            rows = np.arange(start, min(start + most, self.num_written)) % self.num_rows
            yield start, {name: values[rows] for name, values in self._arrays().items()}

    def put_back(self, number: int, piece: Mapping[str, NDArray[Any]]) -> None:
        """Write a piece that `rows_since` gave; pieces must come in their order."""
        count = len(piece["next_row"])
        rows = np.arange(number, number + count) % self.num_rows
        for name, values in self._arrays().items():
            values[rows] = piece[name]
        self.num_written = number + count

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """All that is kept, by name."""
        kept: dict[str, NDArray[Any]] = {f"observations/{name}": seen for name, seen in self.observations.items()}
        for name in ("actions", "rewards", "terminated", "next_row"):
            kept[name] = getattr(self, name)
        return kept

    def _write(self, observations: Mapping[str, NDArray[Any]], index: int) -> int:
        """Put a state in place of the oldest; returns its row."""
        row = self.num_written % self.num_rows
        for name, kept in self.observations.items():
            kept[row] = observations[name][index]
        # Whatever led from the state that stood here is gone; what led to it was written before it, and gone already.
        self.next_row[row] = NO_ROW
        self.num_written += 1
        return row

    def _link(self, row: int, after: int, action: NDArray[np.float32], reward: float, terminated: bool) -> None:
        """Note what was done in the state of a row."""
        self.actions[row] = action
        self.rewards[row] = reward
        self.terminated[row] = terminated
        self.next_row[row] = after


def joined(parts: Sequence[Transitions]) -> Transitions:
    """Transitions of several draws, one after the other."""
    if len(parts) == 1:
        return parts[0]

    def all_of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    def all_seen(name: str) -> dict[str, NDArray[Any]]:
        first = getattr(parts[0], name)
        return {key: np.concatenate([getattr(part, name)[key] for part in parts]) for key in first}

    return Transitions(
        all_seen("observations"),
        all_of("actions"),
        all_of("rewards"),
        all_of("discounts"),
        all_seen("next_observations"),
    )


def row_bytes(space: gymnasium.spaces.Dict) -> int:
    """Memory of one state and what was done there, in bytes."""
    seen = 0
    for box in space.spaces.values():
        seen += int(np.prod(_shape(box))) * np.dtype(box.dtype).itemsize
    return seen + 2 * 4 + 4 + 1 + 8


def shifted(views: NDArray[np.uint8], most_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Views (B, C, h, w, 3) moved at random, each by up to so many pixels along both axes; the rim is repeated.

    The random shift of DrQ (Kostrikov et al. 2021, arXiv:2004.13649), without which critics of pictures overfit.
    """
    if not most_px:
        return views
    number, _, height, width, _ = views.shape
    along = (most_px, most_px)
    padded = np.pad(views, ((0, 0), (0, 0), along, along, (0, 0)), mode="edge")
    moved = np.empty_like(views)
    for i, (top, left) in enumerate(rng.integers(0, 2 * most_px + 1, (number, 2)).tolist()):
        moved[i] = padded[i, :, top : top + height, left : left + width]
    return moved


def _shape(box: gymnasium.Space[Any]) -> tuple[int, ...]:
    assert box.shape is not None
    return box.shape
