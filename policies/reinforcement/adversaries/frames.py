"""Frames: what an expert or a learner saw, knew and did, as a discriminator compares them.

Adversarial imitation compares how often the expert and the learner are where. An episode that ends early is nowhere
afterwards, and that is wrong twice over: a reward that is never negative then pays for not arriving, one that is never
positive for crashing soon, whatever was demonstrated. So an episode that ends goes on into an absorbing state
(Kostrikov et al. 2019, arXiv:1809.02925, section 4.2): a frame without a picture, told by a flag, in which there is
nothing to do and from which no way leads back. The discriminator sees it among the expert's frames and among the
learner's, as often as either would be there, and what it is worth is learned. An episode that the clock cuts does not
end in it.

Arriving and crashing lead to the same absorbing state: which of them it was nobody tells the learner.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode_file import open_episode
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.labels import ACTOR_POLICY, EpisodeLabels
from forestpilot.data_collection.windows.training_steps import StepLoader
from forestpilot.policies.networks.config import CAMERAS
from forestpilot.policies.networks.views import OUTSIDE_GREY
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.sim.errors import InvalidArgumentError

ABSORBING = -1
"""In `Frames.next_row`: the episode ended here."""
UNKNOWN = -2
"""In `Frames.next_row`: what came next is not among these frames."""


@dataclass(frozen=True)
class Frames:
    """N frames, in any order."""

    views: NDArray[np.uint8]
    """(N, C, h, w, 3) as the policy sees them."""
    state: NDArray[np.float32]
    """(N, S)."""
    goal: NDArray[np.float32]
    """(N, G)."""
    actions: NDArray[np.float32]
    """(N, 2) what was done there, in [-1, 1]."""
    next_row: NDArray[np.int64]
    """(N,) row of the frame that came next, `ABSORBING` or `UNKNOWN`."""
    absorbing_share: float
    """How much of its discounted time whoever made these frames spends in the absorbing state, 0 to below 1."""
    previous_turn: NDArray[np.float32] | None = None
    """(N,) the turn commanded just before, in action units, as a policy's head is told it; NaN in first frames."""
    log_prob: NDArray[np.float32] | None = None
    """(N,) log density of each action under the learner's policy; None where nobody asks."""

    def __len__(self) -> int:
        return len(self.state)

    def with_log_prob(self, log_prob: NDArray[np.float32]) -> Frames:
        """The same frames, and how likely the learner was to do what was done in each."""
        return dataclasses.replace(self, log_prob=log_prob)


class Windows(NamedTuple):
    """B windows of T frames as a discriminator reads them."""

    views: NDArray[np.uint8]
    """(B, T, C, h, w, 3)."""
    state: NDArray[np.float32]
    """(B, T, S)."""
    goal: NDArray[np.float32]
    """(B, T, G)."""
    actions: NDArray[np.float32]
    """(B, T, 2)."""
    absorbing: NDArray[np.bool_]
    """(B, T) which of them are the absorbing state."""
    log_prob: NDArray[np.float32]
    """(B,) log density of the first frame's action under the learner's policy; 0 in the absorbing state, in which there
    is one thing to do."""


def windows_at(frames: Frames, rows: NDArray[np.int64], length: int) -> Windows:
    """Windows that begin at some frames.

    Args:
        frames: where they are.
        rows: (B,) of the first frames; `ABSORBING` for the absorbing state.
        length: 1, or 2 for the frame that came next as well; where that is unknown, the frame stands in for it.
    """
    columns = [rows]
    if length > 1:
        following = frames.next_row[rows]
        following = np.where(following == UNKNOWN, rows, following)
        columns.append(np.where(rows == ABSORBING, ABSORBING, following))
    at = np.stack(columns, axis=1)
    absorbing = at == ABSORBING
    hidden = absorbing[:, :, None]
    log_prob = np.zeros(len(rows), np.float32)
    if frames.log_prob is not None:
        log_prob = np.where(rows == ABSORBING, np.float32(0), frames.log_prob[rows])
    views = frames.views[at]
    views[absorbing] = OUTSIDE_GREY
    return Windows(
        views=views,
        state=np.where(hidden, np.float32(0), frames.state[at]),
        goal=np.where(hidden, np.float32(0), frames.goal[at]),
        actions=np.where(hidden, np.float32(0), frames.actions[at]),
        absorbing=absorbing,
        log_prob=log_prob,
    )


def draw_rows(frames: Frames, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(count,) rows of frames, each as likely as any other, and `ABSORBING` as often as its share says.

    Raises:
        InvalidArgumentError: there is no frame.
    """
    if not len(frames):
        raise InvalidArgumentError("there are no frames to draw from")
    rows = rng.integers(len(frames), size=count)
    return np.where(rng.random(count) < frames.absorbing_share, ABSORBING, rows)


def absorbing_share(starts: Iterable[int], stops: Iterable[int], ended: Iterable[bool], discount: float) -> float:
    """Share of discounted time that is spent in the absorbing state.

    A step t of an episode weighs discount^t, and the absorbing state after an episode of T steps all that is left,
    discount^T / (1 - discount): whoever crashes early is there for most of the time, the expert for less.

    Args:
        starts: step of its episode at which each piece of an episode begins, 0 for a whole one.
        stops: step of its episode after the last of the piece.
        ended: whether the episode ended there; cut by the clock, or going on, it did not.
        discount: per step, 0 to below 1.
    """
    under_way = 0.0
    afterwards = 0.0
    for start, stop, has_ended in zip(starts, stops, ended, strict=True):
        left = discount**stop / (1 - discount)
        under_way += discount**start / (1 - discount) - left
        afterwards += left * has_ended
    total = under_way + afterwards
    return afterwards / total if total else 0.0


def expert_frames(
    datasets: Sequence[Dataset], policy: VisuomotorPolicy, discount: float, most_bytes: int = 4 * 10**9
) -> Frames:
    """All frames of the episodes that an expert or a human drove from beginning to end.

    Args:
        datasets: where the episodes lie.
        policy: whose views they are prepared for.
        discount: per step.
        most_bytes: bound of the memory that they take.

    Raises:
        DatasetError: there is no such episode.
        InvalidArgumentError: they do not fit into the memory that they may take.
    """
    headers = demonstrated_by_teachers(datasets)
    loader = StepLoader(policy.spec, CAMERAS[policy.config.cameras], "none", policy.prepare)
    needed = sum(loader.num_bytes(header) for header in headers)
    if needed > most_bytes:
        raise InvalidArgumentError(
            f"{len(headers)} demonstrated episodes take {needed / 1e9:.1f} GB, and they may take "
            f"{most_bytes / 1e9:g} (--train.cache-gb); give that more room, or fewer episodes"
        )
    parts = []
    count = 0
    for header in headers:
        parts.append(_frames_of(header, loader, count))
        count += len(parts[-1])
    ends = [header.num_steps for header in headers]
    ended = [bool(part.next_row[-1] == ABSORBING) for part in parts]
    share = absorbing_share([0] * len(ends), ends, ended, discount)
    return dataclasses.replace(joined(parts), absorbing_share=share)


def demonstrated_by_teachers(datasets: Sequence[Dataset]) -> list[EpisodeHeader]:
    """The episodes that an expert or a human drove from beginning to end.

    Raises:
        DatasetError: there is none.
    """
    headers = [
        header
        for dataset in datasets
        for header in dataset.episodes
        if header.num_labels and (header.actor != ACTOR_POLICY).all()
    ]
    if not headers:
        where = ", ".join(str(dataset.folder) for dataset in datasets)
        raise DatasetError(f"{where} has no episode that an expert or a human drove, and so nobody to imitate")
    return headers


def joined(parts: Sequence[Frames]) -> Frames:
    """Frames one after the other, whose rows are counted through all of them already; the share is that of none."""
    return Frames(
        views=np.concatenate([part.views for part in parts]),
        state=np.concatenate([part.state for part in parts]),
        goal=np.concatenate([part.goal for part in parts]),
        actions=np.concatenate([part.actions for part in parts]),
        next_row=np.concatenate([part.next_row for part in parts]),
        absorbing_share=0.0,
        previous_turn=np.concatenate([part.previous_turn for part in parts if part.previous_turn is not None]),
    )


def _frames_of(header: EpisodeHeader, loader: StepLoader, first_row: int) -> Frames:
    """Frames of one episode, whose rows count from `first_row`."""
    with open_episode(header.path) as demo:
        steps = loader.load(demo, 0, header.num_steps)
        deeds = EpisodeLabels(demo).deeds(loader.spec.control_hz)
        has_ended = bool(demo["terminated"][-1])
    next_row = first_row + np.arange(1, header.num_steps + 1)
    for _, stop in header.stretches:
        next_row[stop - 1] = UNKNOWN
    if has_ended:
        next_row[-1] = ABSORBING
    actions = np.clip(deeds.actions, -1.0, 1.0)
    state = steps.state[0]
    spec = loader.spec
    before_rad = np.full(len(actions), np.nan, np.float32)
    for start, stop in header.stretches:
        before_rad[start + 1 : stop] = actions[start : stop - 1, 0] * np.float32(spec.max_turn_rad)
    previous_rad = spec.turn.previous_now_rad(spec, before_rad, state)
    previous_turn = (previous_rad / spec.max_turn_rad).astype(np.float32)
    return Frames(steps.views[0], state, steps.goal[0], actions, next_row, 0.0, previous_turn)
