"""Windows of T steps for training, from datasets: wherever their steps lie, the same windows are drawn."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_one_task
from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.data_collection.episodes.episode_file import check_bytes, open_episode
from forestpilot.data_collection.episodes.errors import BrokenEpisodeError
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.windows.batch import Batch as Batch
from forestpilot.data_collection.windows.decoded import Source
from forestpilot.data_collection.windows.decoding import Submit, decode_ahead
from forestpilot.data_collection.windows.drawing import DrawSettings, Stretch, WindowDrawer, WindowRecipe
from forestpilot.data_collection.windows.hindsight import Relabel, as_in_hindsight, require_relabel
from forestpilot.data_collection.windows.keyframes import NO_KEYFRAMES, Keyframes, KeyframeWeights
from forestpilot.data_collection.windows.orders import require_answers
from forestpilot.data_collection.windows.side_labels import SideLabels, require_side_labels
from forestpilot.data_collection.windows.training_steps import Prepare, StepLoader
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.seeds import split_of

MANY_EPISODES = 100
"""Episodes from which on one can watch how they are decoded."""
MOST_UNPACKED = 0.1
"""Share of the steps that another process may have to unpack: more costs more time than the process saves."""
CACHE_OVERHEAD_BYTES = 64 * 2**20
"""What a reader may need beyond its cache bound: one episode being loaded, open files, thousands of headers."""


class SplitError(DatasetError):
    """Data of a split of worlds that must not be used for this purpose."""


class WindowReader(WindowDrawer):
    """Draws windows of consecutive steps, uniformly over all labelled steps of some datasets.

    What is drawn depends on the episodes (in the order of the datasets and of their file names) and on the generator,
    not on where their steps lie or on when an episode was added. One reader serves one thread; after a fork it opens
    its files anew. Other processes draw the same windows by the recipe that `share` gives.

    Steps lie decoded in files beside their dataset, as far as `disk_cache_bytes` allow. Of the other episodes as many
    as `cache_bytes` allow are held in memory, and the rest is unpacked for every window.

    Args:
        datasets: datasets of one task.
        length: steps per window, T.
        cameras: cameras in `Batch.views`: `("center",)` or `("left", "center", "right")`.
        side_labels: other than `none`, each window is told by the left, center or right camera at random: its pictures,
            state and goal as they read at its pose, and labels for that pose, made as `side_labels` says.
        cache_bytes: bound of the memory that steps take, in bytes; up to `CACHE_OVERHEAD_BYTES` come on top.
        prepare: applied once to each picture when it is loaded.
        seed: of the generator for `sample` without one.
        side_probabilities: of being told by the left, center and right camera.
        allowed_splits: splits of worlds that may be read.
        human_delay_s: how late people drive, in seconds; their labels are moved back by it.
        ahead: steps A after a window whose actions come along, for policies that predict several at once.
        disk_cache_bytes: bound of the disk space that decoded steps take beside each dataset, in bytes; 0 for none.
        keep_disk_cache: whether they stay there when the last reader is closed.
        workers: processes that decode side by side where there is much to decode.
        progress: who watches that.
        submit: reaches processes that run already and decode then; by default some are started where it pays.
        relabel: goals stay as they were told (`none`), or become the state that an episode came to, its last one
            (`final`) or any after a window (`future`); then every step teaches what was done, whoever did it, and
            where the expert did all of it what each turn cost for its own purpose. Or windows that are drawn together
            exchange the orders that they were told (`orders`), and teach what the expert would then have done.
        relabel_within_s: of `future`: how long after a window its goal lies at most, in seconds; 0 for any time.
        keyframes: how much oftener steps are drawn whose label is another than just before.

    Raises:
        ValueError: an argument out of range.
        SpecMismatchError: the datasets are of different tasks.
        SplitError: an episode was recorded in a world outside the allowed splits.
        DatasetError: an episode has nothing to learn from, or lacks actions or pictures.
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
        disk_cache_bytes: int = 0,
        keep_disk_cache: bool = False,
        workers: int = 1,
        progress: Progress | None = None,
        submit: Submit | None = None,
        relabel: Relabel = "none",
        relabel_within_s: float = 0.0,
        keyframes: Keyframes = NO_KEYFRAMES,
    ) -> None:
        _require_arguments(length, tuple(cameras), side_labels, cache_bytes, side_probabilities)
        self.task_spec = require_one_task(datasets)
        require_relabel(relabel, self.task_spec)
        require_answers(relabel, datasets, side_labels, ahead)
        within = max(1, round(relabel_within_s * self.task_spec.control_hz)) if relabel_within_s else 0
        drawn = DrawSettings(
            length, ahead, side_probabilities, cache_bytes, disk_cache_bytes, keep_disk_cache, relabel, within
        )
        loader = StepLoader(self.task_spec, tuple(cameras), side_labels, prepare, human_delay_s, relabel=relabel)
        super().__init__(loader, drawn)
        self._datasets = list(datasets)
        self._rng = np.random.default_rng(seed)
        self._allowed_splits = tuple(allowed_splits)
        self._workers = workers
        self._progress = progress or SilentProgress()
        self._submit = submit
        self._weights = KeyframeWeights(keyframes, human_delay_s)
        self._headers: list[EpisodeHeader] = []
        self.extend()

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
            dataset.require(self._loader.needs, "training")
            found = [self._read_as(header) for header in dataset.episodes]
            self._take_in_all(dataset, [h for h in found if h.path not in known and h.num_labels])
        everything = [self._read_as(header) for dataset in self._datasets for header in dataset.episodes]
        self._headers = [header for header in everything if header.num_labels]
        if everything and not self._headers:
            raise DatasetError(
                f"{everything[0].path} was made by the policy {everything[0].meta.policy_id!r} without anybody's "
                "labels, and so were all the others: there is nothing to learn from. Record with the expert's labels"
            )
        present = {header.path for header in self._headers}
        self._forget(known - present)
        labelled = np.concatenate([h.labelled for h in self._headers]) if self._headers else np.ones(0, bool)
        stretches = [stretch for header in self._headers for stretch in _stretches(header)]
        self._draw_from(stretches, None if labelled.all() else np.flatnonzero(labelled), self._shares_of_labels())
        with_costs = self._loader.gives_costs and all(header.has_expert_costs for header in self._headers)
        self.has_costs = bool(self._headers) and with_costs
        return len(present - known)

    def share(self) -> WindowRecipe:
        """A recipe by which another process draws the same windows, without reading or holding again what this reader
        has decoded on disk. It tells of the episodes so far; after `extend` there is a new one.

        Raises:
            InvalidArgumentError: too little is decoded on disk, or what prepares pictures cannot be pickled.
        """
        if not self._settings.disk_cache_bytes:
            raise InvalidArgumentError(
                "windows are shared through decoded steps on disk, and disk_cache_bytes is 0: give it some gigabytes"
            )
        try:
            pickle.dumps(self._loader)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InvalidArgumentError(
                f"windows cannot be drawn in another process: what prepares their pictures cannot be pickled ({error})"
            ) from error
        elsewhere = sum(header.num_steps for header in self._headers if not self._is_decoded(_source(header)))
        if elsewhere > MOST_UNPACKED * self.total_steps:
            raise InvalidArgumentError(
                f"{elsewhere} of {self.total_steps} steps have no room on disk, and another process would unpack them "
                "again and again: give disk_cache_bytes or the disk more room"
            )
        return self.recipe()

    def _read_as(self, header: EpisodeHeader) -> EpisodeHeader:
        """An episode as it teaches: with goals relabelled at every step, and costs where the expert flew all of it."""
        return as_in_hindsight(header) if self._loader.relabels else header

    def _shares_of_labels(self) -> NDArray[np.float64] | None:
        """`WindowRecipe.shares` of the labels of all episodes."""
        weights = self._weights.of(self._headers)
        if len(np.unique(weights)) < 2:
            return None
        return np.cumsum(weights, dtype=np.float64)

    def _is_decoded(self, source: Source) -> bool:
        folder = self._decoded_folder(source)
        return folder is not None and folder.has(source)

    def describe(self) -> str:
        """One line for people: episodes, steps, megabytes in memory and on disk."""
        cached = len(self._cache)
        where = "all" if cached == self.num_episodes else f"{cached} of {self.num_episodes}"
        decoded = ""
        if self._settings.disk_cache_bytes:
            bytes_decoded = sum(folder.used_bytes for folder in self._decoded.values() if folder is not None)
            decoded = f"{self.num_episodes - cached} decoded on disk ({bytes_decoded / 1e6:.0f} MB), "
        on_disk = sum(header.file_bytes for header in self._headers) / 1e6
        return (
            f"{self.num_episodes} episodes, {self.num_labels} labelled steps: {decoded}{where} in memory "
            f"({self.cache_bytes_used / 1e6:.0f} MB of at most {self.cache_bytes / 1e6:.0f} MB), "
            f"{on_disk:.0f} MB on disk"
        )

    def _require_allowed(self, header: EpisodeHeader) -> None:
        split = split_of(header.meta.seed)
        if split not in self._allowed_splits:
            raise SplitError(
                f"{header.path} was recorded in world {header.meta.seed} of the {split} split; allowed here: "
                f"{', '.join(self._allowed_splits)}. Remove it, or collect with seeds of an allowed split"
            )

    def _take_in_all(self, dataset: Dataset, headers: Sequence[EpisodeHeader]) -> None:
        """Have new episodes decoded."""
        for header in headers:
            self._require_allowed(header)
        sources = [_source(header) for header in headers]
        progress = self._progress if len(headers) >= MANY_EPISODES else SilentProgress()
        with progress.stage("decode episodes", len(headers)) as stage:
            folder = self._decoded_folder(sources[0]) if sources else None
            ahead = 0
            if folder is not None:
                ahead = decode_ahead(folder, sources, self._workers, stage, self._submit)
            for place, header in enumerate(headers):
                self._take_in(dataset, header)
                stage.advance(place >= ahead)

    def _take_in(self, dataset: Dataset, header: EpisodeHeader) -> None:
        """Have a new episode decoded on disk, or in memory if it fits."""
        try:
            source = _source(header)
            folder = self._decoded_folder(source)
            if folder is not None and (folder.has(source) or folder.make(source)):
                return
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


def _source(header: EpisodeHeader) -> Source:
    return Source(header.path, header.num_steps, header.has_expert_costs)


def _stretches(header: EpisodeHeader) -> list[Stretch]:
    """The stretches of an episode."""
    source = _source(header)
    return [Stretch(source, start, stop) for start, stop in header.stretches]


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
