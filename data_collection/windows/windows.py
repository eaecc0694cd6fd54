"""Windows of T steps for training, from a cache in memory and, beyond its bound, from disk: the same either way."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_one_task
from forestpilot.data_collection.episodes.episode import (
    CAMERAS,
    BrokenEpisodeError,
    EpisodeHeader,
    check_bytes,
    open_demo,
    open_episode,
)
from forestpilot.data_collection.windows.side_labels import SideLabels, require_side_labels
from forestpilot.data_collection.windows.training_steps import CENTER, Prepare, StepLoader, TrainingSteps
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.seeds import split_of

CACHE_OVERHEAD_BYTES = 64 * 2**20
"""What a reader may need beyond its cache bound: one episode being loaded, open files, thousands of headers."""
MAX_OPEN_FILES = 32
Values = Any
"""A NumPy array as it is drawn; a torch tensor once the training loop has converted it."""


class SplitError(DatasetError):
    """Data of a split of worlds that must not be used for this purpose."""


class Batch(NamedTuple):
    """B windows of T steps. Steps past the end of a short episode are zero and masked."""

    views: Values
    """(B, T, C, h, w, 3) uint8."""
    state: Values
    """(B, T, S) float32, as it reads at the pose of the camera that tells the window."""
    goal: Values
    """(B, T, 2) float32, likewise."""
    actions: Values
    """(B, T + A, 2) float32: what to learn, the expert's action or a human's, also at the A steps after the window."""
    costs: Values | None
    """(B, T, K) float32: the expert's cost of each candidate turn; None unless every episode has them,
    and where side cameras are labelled by a rule."""
    mask: Values
    """(B, T + A) bool: whether the step is there and has something to learn."""


class WindowReader:
    """Draws windows of consecutive steps, uniformly over all labelled steps of some datasets.

    What is drawn depends on the episodes (in the order of the datasets and of their file names) and on the generator,
    not on the bound of the cache or on when an episode was added. One reader serves one thread; after a fork it opens
    its files anew.

    Args:
        datasets: datasets of one task.
        length: steps per window, T.
        cameras: cameras in `Batch.views`: `("center",)` or `("left", "center", "right")`.
        side_labels: other than `none`, each window is told by the left, center or right camera at random: its pictures,
            state and goal as they read at its pose, and labels for that pose, made as `side_labels` says.
        cache_bytes: bound of the cache in bytes; up to `CACHE_OVERHEAD_BYTES` come on top. The rest stays on disk.
        prepare: applied once to each picture when it is loaded.
        seed: of the generator for `sample` without one.
        side_probabilities: of being told by the left, center and right camera.
        allowed_splits: splits of worlds that may be read.
        human_delay_s: how late people drive, in seconds; their labels are moved back by it.
        ahead: steps A after a window whose actions come along, for policies that predict several at once.

    Raises:
        ValueError: an argument out of range.
        SpecMismatchError: the datasets are of different tasks.
        SplitError: an episode was recorded in a world outside the allowed splits.
        DatasetError: an episode has nothing to learn from.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        length: int,
        cameras: Sequence[str] = ("center",),
        side_labels: SideLabels = "none",
        cache_bytes: int = 2**30,
        prepare: Prepare | None = None,
        seed: int = 0,
        side_probabilities: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3),
        allowed_splits: Sequence[str] = ("train",),
        human_delay_s: float = 0.0,
        ahead: int = 0,
    ) -> None:
        _require_arguments(length, tuple(cameras), side_labels, cache_bytes, side_probabilities)
        self.task_spec = require_one_task(datasets)
        self.length = length
        self.ahead = ahead
        self.cache_bytes = cache_bytes
        self.cache_bytes_used = 0
        """Memory that the cached episodes take, in bytes."""
        self.has_costs = False
        """Whether batches have the expert's costs: every episode has them, and none is labelled by a rule."""
        self._datasets = list(datasets)
        self._loader = StepLoader(self.task_spec, tuple(cameras), side_labels, prepare, human_delay_s)
        self._rng = np.random.default_rng(seed)
        self._side_probabilities = side_probabilities
        self._allowed_splits = tuple(allowed_splits)
        self._headers: list[EpisodeHeader] = []
        self._ends = np.zeros(0, dtype=np.int64)
        self._labelled: np.ndarray | None = None
        self._cache: dict[Path, TrainingSteps] = {}
        self._files: OrderedDict[Path, h5py.Group] = OrderedDict()
        self._process_id = os.getpid()
        self.extend()

    @property
    def num_episodes(self) -> int:
        """Episodes to draw from."""
        return len(self._headers)

    @property
    def total_steps(self) -> int:
        """Steps to draw from, those without a label included."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def has_gaps(self) -> bool:
        """True where some steps have no label, so that labels stand in windows of different numbers of labels."""
        return self._labelled is not None

    @property
    def num_labels(self) -> int:
        """Steps at which there is something to learn."""
        return self.total_steps if self._labelled is None else len(self._labelled)

    def extend(self) -> int:
        """Take in what was added to the datasets since the last look, for example by a DAgger round.

        A damaged episode is moved to its dataset's quarantine.

        Returns:
            Number of new episodes.

        Raises:
            SplitError: a new episode was recorded in a world outside the allowed splits.
            DatasetError: there are episodes, but nothing to learn from any.
        """
        known = {header.path for header in self._headers}
        for dataset in self._datasets:
            dataset.refresh()
            for header in list(dataset.episodes):
                if header.path not in known and header.path not in self._cache and header.num_labels:
                    self._require_allowed(header)
                    self._take_in(dataset, header)
        everything = [header for dataset in self._datasets for header in dataset.episodes]
        self._headers = [header for header in everything if header.num_labels]
        if everything and not self._headers:
            raise DatasetError(
                f"{everything[0].path} was made by the policy {everything[0].meta.policy_id!r} without anybody's "
                "labels, and so were all the others: there is nothing to learn from. Record with the expert's labels"
            )
        present = {header.path for header in self._headers}
        self._forget(known - present)
        self._ends = np.cumsum([header.num_steps for header in self._headers], dtype=np.int64)
        labelled = np.concatenate([h.labelled for h in self._headers]) if self._headers else np.ones(0, bool)
        self._labelled = None if labelled.all() else np.flatnonzero(labelled)
        with_costs = self._loader.gives_costs and all(header.has_expert_costs for header in self._headers)
        self.has_costs = bool(self._headers) and with_costs
        return len(present - known)

    def sample(
        self, batch: int, rng: np.random.Generator | None = None, out: Batch | None = None, burn_in: int = 0
    ) -> Batch:
        """Draw windows.

        Every step is equally likely to be a window's start; a window that would run over the end is shifted back, an
        episode shorter than a window is padded at its end and masked. Where some steps have no label, a labelled step
        is drawn, and the window around it: each place in the window is equally likely to be that step's. A label then
        stands in the more windows the more labels are around it; see `has_gaps`.

        Args:
            batch: number of windows B.
            rng: generator to draw with; default the reader's own.
            out: an earlier batch of the same size to overwrite, which saves allocating.
            burn_in: first steps of a window that are not learned from: where a labelled step is drawn, it stands behind
                them, as far as its episode allows.

        Raises:
            DatasetError: there is no episode.
            BrokenEpisodeError: an episode beyond the cache was damaged since it was checked.
        """
        if not self._headers:
            raise DatasetError("there is no episode to draw windows from; collect some first")
        rng = rng or self._rng
        drawn = rng.integers(self.num_labels, size=batch)
        before = np.zeros(batch, np.int64)
        if self._labelled is not None:
            drawn = self._labelled[drawn]
            before = rng.integers(burn_in, self.length, size=batch)
        tellers = np.full(batch, CENTER)
        if len(self._loader.tellers) > 1:
            tellers = rng.choice(len(CAMERAS), size=batch, p=self._side_probabilities)
        episodes = np.searchsorted(self._ends, drawn, side="right")
        batch_out = out if out is not None and len(out.mask) == batch else self._empty_batch(batch)
        for row, (step, episode, teller) in enumerate(zip(drawn.tolist(), episodes.tolist(), tellers.tolist())):
            header = self._headers[episode]
            begin = step - int(before[row]) - (int(self._ends[episode]) - header.num_steps)
            self._fill(batch_out, row, header, max(0, min(begin, header.num_steps - self.length)), teller)
        return batch_out

    def describe(self) -> str:
        """One line for people: episodes, steps, megabytes in memory and on disk."""
        cached = len(self._cache)
        where = "all" if cached == self.num_episodes else f"{cached} of {self.num_episodes}"
        on_disk = sum(header.file_bytes for header in self._headers) / 1e6
        return (
            f"{self.num_episodes} episodes, {self.num_labels} labelled steps: {where} in memory "
            f"({self.cache_bytes_used / 1e6:.0f} MB of at most {self.cache_bytes / 1e6:.0f} MB), "
            f"{on_disk:.0f} MB on disk"
        )

    def close(self) -> None:
        """Close the open files; sampling opens them again."""
        while self._files:
            self._files.popitem()[1].file.close()

    def _require_allowed(self, header: EpisodeHeader) -> None:
        split = split_of(header.meta.seed)
        if split not in self._allowed_splits:
            raise SplitError(
                f"{header.path} was recorded in world {header.meta.seed} of the {split} split; allowed here: "
                f"{', '.join(self._allowed_splits)}. Remove it, or collect with seeds of an allowed split"
            )

    def _take_in(self, dataset: Dataset, header: EpisodeHeader) -> None:
        """Check a new episode's labels and load it into the cache if it fits."""
        try:
            check_bytes(header.path)
            with open_episode(header.path) as demo:
                need = self._loader.num_bytes(header)
                if self.cache_bytes_used + need <= self.cache_bytes:
                    self._cache[header.path] = self._loader.load(demo, 0, header.num_steps)
                    self.cache_bytes_used += need
        except BrokenEpisodeError as error:
            dataset.quarantine(header.path, str(error))

    def _forget(self, gone: Iterable[Path]) -> None:
        for path in gone:
            self._cache.pop(path, None)
            if path in self._files:
                self._files.pop(path).file.close()
        self.cache_bytes_used = sum(steps.num_bytes for steps in self._cache.values())

    def _empty_batch(self, batch: int) -> Batch:
        spec = self.task_spec
        shape = (batch, self.length)
        return Batch(
            views=np.empty((*shape, *self._loader.view_shape), dtype=np.uint8),
            state=np.empty((*shape, spec.state_size), dtype=np.float32),
            goal=np.empty((*shape, spec.goal_size), dtype=np.float32),
            actions=np.empty((batch, self.length + self.ahead, 2), dtype=np.float32),
            costs=np.empty((*shape, spec.num_candidates), dtype=np.float32) if self.has_costs else None,
            mask=np.empty((batch, self.length + self.ahead), dtype=np.bool_),
        )

    def _fill(self, batch: Batch, row: int, header: EpisodeHeader, start: int, teller: int) -> None:
        """Copy one window into its row of the batch."""
        count = min(self.length, header.num_steps - start)
        told = min(self.length + self.ahead, header.num_steps - start)
        steps = self._cache.get(header.path)
        if steps is not None:
            teller_row = self._loader.tellers.index(teller)
            first = start
        else:
            steps = self._read(header.path, start, start + told, teller)
            teller_row = 0
            first = 0
        seen = slice(first, first + count)
        batch.views[row, :count] = steps.views[teller_row, seen]
        batch.state[row, :count] = steps.state[teller_row, seen]
        batch.goal[row, :count] = steps.goal[teller_row, seen]
        if batch.costs is not None and steps.costs is not None:
            batch.costs[row, :count] = steps.costs[teller_row, seen]
        batch.actions[row, :told] = steps.actions[teller_row, first : first + told]
        batch.mask[row, :told] = steps.mask[first : first + told]
        for values, filled in zip(batch, (count, count, count, told, count, told), strict=True):
            if values is not None:
                values[row, filled:] = 0

    def _read(self, path: Path, start: int, stop: int, teller: int) -> TrainingSteps:
        try:
            return self._loader.load(self._open(path), start, stop, (teller,))
        except (OSError, KeyError, BrokenEpisodeError) as error:
            raise BrokenEpisodeError(
                f"{path.name} was damaged or taken away since it was checked ({error}); open the dataset again to set "
                "damaged episodes aside"
            ) from error

    def _open(self, path: Path) -> h5py.Group:
        """An open episode file; the least recently used one is closed when there are too many."""
        if self._process_id != os.getpid():  # HDF5 handles do not survive a fork
            self._files.clear()
            self._process_id = os.getpid()
        if path not in self._files:
            self._files[path] = open_demo(path)
            if len(self._files) > MAX_OPEN_FILES:
                self._files.popitem(last=False)[1].file.close()
        self._files.move_to_end(path)
        return self._files[path]


def _require_arguments(
    length: int, cameras: tuple[str, ...], side_labels: str, cache_bytes: int, side_probabilities: Sequence[float]
) -> None:
    if length < 1 or cache_bytes < 0:
        raise InvalidArgumentError(
            f"length is {length} and cache_bytes {cache_bytes}; allowed: length >= 1, cache_bytes >= 0"
        )
    if cameras not in (("center",), CAMERAS):
        raise InvalidArgumentError(f"cameras is {cameras}; allowed: ('center',) or {CAMERAS}")
    require_side_labels(side_labels)
    if side_labels != "none" and cameras != ("center",):
        raise InvalidArgumentError(
            f"side_labels = {side_labels} needs cameras=('center',): where all three are input, none can stand in for "
            "the center"
        )
    if min(side_probabilities) < 0 or abs(sum(side_probabilities) - 1.0) > 1e-6:
        raise InvalidArgumentError(f"side_probabilities is {side_probabilities}; they must be 0 or more and sum to 1")
