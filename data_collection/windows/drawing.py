"""Drawing windows of T steps from episodes: from memory, from decoded files, or from the episodes' own: all alike."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import DatasetError
from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.data_collection.episodes.episode_file import open_demo
from forestpilot.data_collection.episodes.errors import BrokenEpisodeError
from forestpilot.data_collection.windows.batch import Batch
from forestpilot.data_collection.windows.decoded import DecodedFolder, Source, are_whole, open_decoded
from forestpilot.data_collection.windows.hindsight import EXCHANGED, Relabel, goal_step, goals_seen_from
from forestpilot.data_collection.windows.orders import exchange_orders
from forestpilot.data_collection.windows.training_steps import CENTER, PLACE_SIZE, StepLoader, TrainingSteps
from forestpilot.sim.goals import DEMONSTRATED_FRAMES, DEMONSTRATION, GOAL_MIRRORS, IMAGE, ORDER_ROWS, VECTOR

MAX_OPEN_FILES = 32


@dataclass(frozen=True)
class DrawSettings:
    """How windows are drawn."""

    length: int
    """Steps per window, T."""
    ahead: int
    """Steps after a window whose actions come along, A."""
    side_probabilities: tuple[float, float, float]
    """Of being told by the left, center and right camera."""
    cache_bytes: int
    """Bound of the memory that steps take, in bytes."""
    disk_cache_bytes: int
    """Bound of the disk space that decoded steps take beside each dataset, in bytes."""
    keep_disk_cache: bool
    """Whether decoded steps stay when their last reader is closed."""
    relabel: Relabel = "none"
    """Which state becomes the goal."""
    relabel_steps: int = 0
    """Of `future`: how many steps after a window it lies at most; 0 for any number."""


class Stretch(NamedTuple):
    """Steps in a row of an episode that windows are drawn from: all of it, unless the vehicle was put elsewhere."""

    source: Source
    """The episode."""
    start: int
    """Its first step."""
    stop: int
    """The step after its last one."""


class _Window(NamedTuple):
    """A window that is drawn."""

    source: Source
    """Its episode."""
    start: int
    """Its first step."""
    stop: int
    """The step after the last one that is told of it, those whose actions alone come along included."""
    teller: int
    """The camera that tells it."""
    goal_step: int
    """The step whose state is its goal; `NO_STEP` for the goal that was told."""


class _Told(NamedTuple):
    """Steps in a row of one episode, told by one camera; fields as in `TrainingSteps`, without its first axis."""

    views: NDArray[np.uint8]
    state: NDArray[np.float32]
    goal: NDArray[np.float32]
    actions: NDArray[np.float32]
    costs: NDArray[np.float32] | None
    mask: NDArray[np.bool_]
    grounds: NDArray[np.float32] | None


class WindowDrawer:
    """Draws windows of consecutive steps, uniformly over all labelled steps of some episodes.

    What is drawn depends on the episodes and on the generator alone, not on where their steps lie.

    Args:
        loader: decodes episodes.
        settings: how to draw.
    """

    def __init__(self, loader: StepLoader, settings: DrawSettings) -> None:
        self.length = settings.length
        self.ahead = settings.ahead
        self.cache_bytes = settings.cache_bytes
        self.cache_bytes_used = 0
        """Memory that the cached episodes take, in bytes."""
        self.has_costs = False
        """Whether batches have the expert's costs: every episode has them, and none is labelled by a rule."""
        self._loader = loader
        self._settings = settings
        self._rng = np.random.default_rng(0)
        self._stretches: list[Stretch] = []
        self._ends = np.zeros(0, dtype=np.int64)
        self._labelled: NDArray[np.int64] | None = None
        self._shares: NDArray[np.float64] | None = None
        self._cache: dict[Path, TrainingSteps] = {}
        self._decoded: dict[Path, DecodedFolder | None] = {}
        self._folders: dict[Path, DecodedFolder | None] = {}  # by episode: a path's parent takes as long as a read
        self._files: OrderedDict[Path, h5py.Group] = OrderedDict()
        self._goal_views: dict[Path, NDArray[np.uint8]] = {}
        self._demonstrations: dict[Path, tuple[NDArray[Any], ...]] = {}
        self._process_id = os.getpid()

    @property
    def num_episodes(self) -> int:
        """Episodes to draw from."""
        return len({stretch.source.path for stretch in self._stretches})

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
        batch_out = out if out is not None and len(out.mask) == batch else self._empty_batch(batch)
        windows = list(self._draw(batch, rng or self._rng, burn_in))
        for row in self._fill_at_once(batch_out, windows):
            self._fill(batch_out, row, windows[row])
        if self._loader.relabels:
            self._relabel(batch_out, windows)
        elif batch_out.goal_view is not None and batch_out.goal_steps is not None:
            shown = (batch_out.goal_view, batch_out.goal_steps, batch_out.goal_order)
            for row, window in enumerate(windows):
                for values, own in zip(shown, self._demonstration(window.source), strict=True):
                    values[row] = own
        elif batch_out.goal_view is not None:
            for row, window in enumerate(windows):
                batch_out.goal_view[row] = self._goal_view(window.source)
        if self._settings.relabel == EXCHANGED:
            exchange_orders(batch_out, rng or self._rng)
        return batch_out

    def _relabel(self, batch: Batch, windows: Sequence[_Window]) -> None:
        """Replace the goals of windows by states that their episodes came to."""
        assert batch.grounds is not None
        goals = np.empty((len(windows), PLACE_SIZE), np.float32)
        for row, window in enumerate(windows):
            reached = self._steps(window.source, window.goal_step, window.goal_step + 1, CENTER)
            assert reached.grounds is not None
            goals[row] = reached.grounds[0]
            if batch.goal_view is not None:
                batch.goal_view[row] = reached.views[0, CENTER if len(reached.views[0]) > 1 else 0]
        batch.goal[:] = goals_seen_from(self._loader.spec.goal_kind, batch.grounds, goals)
        for row, window in enumerate(windows):
            batch.goal[row, window.stop - window.start :] = 0

    def look_ahead(self, batch: int, rng: np.random.Generator, burn_in: int = 0) -> None:
        """Let the disk get ready what `sample` will draw with an equal generator, while this process does other things.
        Where all of it takes no more than `cache_bytes`, the system has it in memory.

        Args, Raises: see `sample`.
        """
        if sum(folder.used_bytes for folder in self._decoded.values() if folder is not None) <= self.cache_bytes:
            return
        for window in self._draw(batch, rng, burn_in):
            folder = self._decoded_folder(window.source)
            if folder is not None:
                folder.look_ahead(window.source, self._loader.tellers.index(window.teller), window.start, window.stop)

    def _goal_view(self, source: Source) -> NDArray[np.uint8]:
        """(h, w, 3) the view at the goal of an episode: a picture for each episode is small, and kept."""
        if source.path not in self._goal_views:
            self._goal_views[source.path] = self._loader.goal_view(self._open(source.path))
        return self._goal_views[source.path]

    def _demonstration(self, source: Source) -> tuple[NDArray[Any], ...]:
        """What is demonstrated in an episode: views, steps and the order, which are kept as well."""
        if source.path not in self._demonstrations:
            self._demonstrations[source.path] = self._loader.demonstration(self._open(source.path))
        return self._demonstrations[source.path]

    def _draw(self, batch: int, rng: np.random.Generator, burn_in: int) -> Iterator[_Window]:
        """Which windows to draw."""
        if not self._stretches:
            raise DatasetError("there is no episode to draw windows from; collect some first")
        drawn = self._draw_labels(batch, rng)
        before = np.zeros(batch, np.int64)
        if self._labelled is not None:
            drawn = self._labelled[drawn]
            before = rng.integers(burn_in, self.length, size=batch)
        tellers = np.full(batch, CENTER)
        if len(self._loader.tellers) > 1:
            tellers = rng.choice(len(CAMERAS), size=batch, p=self._settings.side_probabilities)
        relabel = self._settings.relabel
        shares = rng.random(batch).tolist() if relabel == "future" else [0.0] * batch
        hit = np.searchsorted(self._ends, drawn, side="right")
        first_steps = (drawn - before - self._ends[hit]).tolist()  # counted from the end of the stretch
        for first_step, index, teller, share in zip(first_steps, hit.tolist(), tellers.tolist(), shares):
            source, first, end = self._stretches[index]
            start = max(first, min(first_step + end, end - self.length))
            goal = goal_step(relabel, start + self.length, end, share, self._settings.relabel_steps)
            yield _Window(source, start, min(start + self.length + self.ahead, end), teller, goal)

    def _draw_labels(self, batch: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(B,) labels, counted through all of them: each as often as any other, unless some weigh more."""
        if self._shares is None:
            return rng.integers(self.num_labels, size=batch)
        drawn = np.searchsorted(self._shares, rng.random(batch) * self._shares[-1], side="right")
        return np.minimum(drawn, self.num_labels - 1)

    def recipe(self) -> WindowRecipe:
        """How to draw the same windows elsewhere."""
        places = {episodes: folder.folder for episodes, folder in self._decoded.items() if folder is not None}
        drawn_from = (tuple(self._stretches), self._labelled, self._shares)
        return WindowRecipe(self._loader, self._settings, *drawn_from, self.has_costs, places)

    def take_over(self, recipe: WindowRecipe) -> None:
        """Draw from the episodes of a recipe."""
        self.has_costs = recipe.has_costs
        self._draw_from(recipe.stretches, recipe.labelled, recipe.shares)
        for episodes, place in recipe.places.items():
            self._decoded[episodes] = DecodedFolder(place, self._loader, self._settings.disk_cache_bytes)

    def _draw_from(
        self, stretches: Sequence[Stretch], labelled: NDArray[np.int64] | None, shares: NDArray[np.float64] | None
    ) -> None:
        """Draw from these; see `WindowRecipe`."""
        self._stretches = list(stretches)
        self._ends = np.cumsum([stretch.stop - stretch.start for stretch in self._stretches], dtype=np.int64)
        self._labelled = labelled
        self._shares = shares

    def close(self) -> None:
        """Close the open files, and remove decoded ones that nobody else uses, unless they are to be kept; sampling
        opens and makes them again."""
        while self._files:
            self._files.popitem()[1].file.close()
        self._folders.clear()
        while self._decoded:
            folder = self._decoded.popitem()[1]
            if folder is not None:
                folder.close(self._settings.keep_disk_cache)

    def _empty_batch(self, batch: int) -> Batch:
        spec = self._loader.spec
        shape = (batch, self.length)
        num_grounds = self._loader.num_grounds
        return Batch(
            views=np.empty((*shape, *self._loader.view_shape), dtype=np.uint8),
            state=np.empty((*shape, spec.state_size), dtype=np.float32),
            goal=np.empty((*shape, spec.goal_size), dtype=np.float32),
            actions=np.empty((batch, self.length + self.ahead, 2), dtype=np.float32),
            costs=np.empty((*shape, spec.num_candidates), dtype=np.float32) if self.has_costs else None,
            mask=np.empty((batch, self.length + self.ahead), dtype=np.bool_),
            grounds=np.empty((*shape, num_grounds), dtype=np.float32) if num_grounds else None,
            **self._empty_goals(batch),
        )

    def _empty_goals(self, batch: int) -> dict[str, NDArray[Any]]:
        """What tells goals besides numbers at each step."""
        spec = self._loader.spec
        view = self._loader.view_shape[1:]
        if spec.goal_kind == IMAGE:
            return {"goal_view": np.empty((batch, *view), np.uint8)}
        if spec.goal_kind != DEMONSTRATION:
            return {}
        shape = (batch, DEMONSTRATED_FRAMES)
        size = spec.state_size + len(GOAL_MIRRORS[VECTOR]) + 2
        return {
            "goal_view": np.empty((*shape, *view), np.uint8),
            "goal_steps": np.empty((*shape, size), np.float32),
            "goal_order": np.empty((batch, ORDER_ROWS), np.int64),
        }

    def _fill_at_once(self, batch: Batch, windows: Sequence[_Window]) -> list[int]:
        """Copy the windows that lie decoded on disk, all together; returns the rows of those that do not."""
        records = self._read_at_once(windows)
        if records is None:
            return list(range(len(windows)))
        for values, name in zip(batch, Batch._fields, strict=True):
            if values is not None and name in (records.dtype.names or ()):
                values[:] = records[name][:, : values.shape[1]]
        return np.flatnonzero(~are_whole(records).all(axis=1)).tolist()

    def _read_at_once(self, windows: Sequence[_Window]) -> NDArray[Any] | None:
        """Records (B, T + A) of windows, not whole where one could not be read; None where the first one could not."""
        length = self.length + self.ahead
        source = windows[0].source
        folder = self._decoded_folder(source)
        if folder is None or source.path in self._cache:
            return None
        records = folder.records(len(windows), length, source.has_costs)
        for row, window in enumerate(windows):
            folder = self._decoded_folder(window.source)
            fits = window.stop - window.start == length and window.source.has_costs == source.has_costs
            is_read = False
            if folder is not None and fits and window.source.path not in self._cache:
                teller = self._loader.tellers.index(window.teller)
                is_read = folder.fill(records[row], window.source, teller, window.start)
            if not is_read:
                records[row]["checksum"] = 0
        return records

    def _fill(self, batch: Batch, row: int, window: _Window) -> None:
        """Copy one window into its row of the batch."""
        told = window.stop - window.start
        count = min(self.length, told)
        steps = self._steps(window.source, window.start, window.stop, window.teller)
        batch.views[row, :count] = steps.views[:count]
        batch.state[row, :count] = steps.state[:count]
        batch.goal[row, :count] = steps.goal[:count]
        if batch.costs is not None and steps.costs is not None:
            batch.costs[row, :count] = steps.costs[:count]
        if batch.grounds is not None and steps.grounds is not None:
            batch.grounds[row, :count] = steps.grounds[:count]
        batch.actions[row, :told] = steps.actions
        batch.mask[row, :told] = steps.mask
        filled_to = (count, count, count, told, count, told, count)  # what is shown of goals is the same for all steps
        for values, filled in zip(batch[: len(filled_to)], filled_to, strict=True):
            if values is not None:
                values[row, filled:] = 0

    def _steps(self, source: Source, start: int, stop: int, teller: int) -> _Told:
        """Steps of an episode from wherever they lie.

        Raises:
            BrokenEpisodeError: the episode was damaged since it was checked.
        """
        held = self._cache.get(source.path)
        if held is not None:
            return _told(held, self._loader.tellers.index(teller), slice(start, stop))
        try:
            records = self._records(source, self._loader.tellers.index(teller), start, stop)
            if records is not None:
                return _told_by_records(records)
            return _told(self._loader.load(self._open(source.path), start, stop, (teller,)), 0, slice(None))
        except (OSError, KeyError, BrokenEpisodeError) as error:
            raise BrokenEpisodeError(
                f"{source.path.name} was damaged or taken away since it was checked ({error}); open the dataset again "
                "to set damaged episodes aside"
            ) from error

    def _records(self, source: Source, row: int, start: int, stop: int) -> NDArray[Any] | None:
        """Decoded steps on disk, made anew where they are missing or damaged; None where there is no room for them."""
        folder = self._decoded_folder(source)
        if folder is None:
            return None
        records = folder.read(source, row, start, stop)
        if records is None and folder.make(source):
            records = folder.read(source, row, start, stop)
        return records

    def _decoded_folder(self, source: Source) -> DecodedFolder | None:
        if source.path not in self._folders:
            self._folders[source.path] = self._folder_beside(source.path.parent)
        return self._folders[source.path]

    def _folder_beside(self, episodes: Path) -> DecodedFolder | None:
        """The decoded steps of a folder of episodes."""
        if episodes not in self._decoded:
            self._decoded[episodes] = None
            if self._settings.disk_cache_bytes:
                self._decoded[episodes] = open_decoded(episodes.parent, self._loader, self._settings.disk_cache_bytes)
        return self._decoded[episodes]

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


@dataclass(frozen=True)
class WindowRecipe:
    """All that another process needs to draw the windows that a reader draws; it can be pickled.

    It tells of the episodes that the reader had when it was made.
    """

    loader: StepLoader
    """Decodes episodes."""
    settings: DrawSettings
    """How windows are drawn."""
    stretches: tuple[Stretch, ...]
    """Stretches of episodes."""
    labelled: NDArray[np.int64] | None
    """Steps, counted through all episodes, at which there is something to learn; None for all of them."""
    shares: NDArray[np.float64] | None
    """Sum of the weights of the labels up to each of them; None where all weigh the same."""
    has_costs: bool
    """Whether batches have the expert's costs."""
    places: dict[Path, Path]
    """Where the decoded steps of each folder of episodes lie."""

    def open(self) -> WindowDrawer:
        """A drawer of the same windows, which reads the decoded steps that the reader made; to be closed."""
        drawer = WindowDrawer(self.loader, self.settings)
        drawer.take_over(self)
        return drawer


def _told(steps: TrainingSteps, row: int, part: slice) -> _Told:
    return _Told(
        views=steps.views[row, part],
        state=steps.state[row, part],
        goal=steps.goal[row, part],
        actions=steps.actions[row, part],
        costs=None if steps.costs is None else steps.costs[row, part],
        mask=steps.mask[part],
        grounds=None if steps.grounds is None else steps.grounds[row, part],
    )


def _told_by_records(records: NDArray[Any]) -> _Told:
    return _Told(
        views=records["views"],
        state=records["state"],
        goal=records["goal"],
        actions=records["actions"],
        costs=records["costs"] if "costs" in (records.dtype.names or ()) else None,
        mask=records["mask"],
        grounds=records["grounds"] if "grounds" in (records.dtype.names or ()) else None,
    )
