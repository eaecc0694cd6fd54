"""Datasets that lie elsewhere, by an fsspec address: `s3://bucket/flights`, `file:///mnt/flights`, `memory://flights`.

Episodes come as whole files, one after the other, into a local folder of bounded size; nothing is read at random over
the network. What fits there is fetched once, and is a dataset like any other. What does not is read part by part: the
episodes are shuffled, split into parts that take half of the room at most, and while one part is there the next one
comes. Each time round they are shuffled anew. Which episodes a part has follows from the seed and its number alone.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from forestpilot.data_collection.episodes.bounded import JSON_BYTES
from forestpilot.data_collection.episodes.dataset import DATASET_FILE, EPISODE_SUFFIX, Dataset, DatasetError
from forestpilot.data_collection.episodes.files import write_new_file, written_whole
from forestpilot.data_collection.episodes.progress import Progress, Stage
from forestpilot.data_collection.episodes.seals import digest_of
from forestpilot.sim.extras import require

COPIES = "remote"
"""Folder of the copies in a run's."""
TRIES = 3
"""How often a file is asked for before the network is given up."""
_EPISODE_NAME = re.compile(rf"r\d+-s(\d+)(-t\d+)?{re.escape(EPISODE_SUFFIX)}")
"""Names of episodes, with the seed of the world; a store's listing may hold anything."""


def is_address(place: str) -> bool:
    """True for an address such as `s3://bucket/flights`, not for a folder."""
    return "://" in place


class FarEpisode(NamedTuple):
    """An episode where it lies."""

    dataset: int
    """Which of the datasets has it."""
    name: str
    """Of its file."""
    num_bytes: int
    """Size of its file."""


class FarDataset:
    """A dataset behind an address.

    Args:
        address: as fsspec takes it.

    Raises:
        DatasetError: nothing can be read there, or it is no dataset.
    """

    def __init__(self, address: str) -> None:
        fsspec = require("fsspec")
        self.address = address.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.address)
            self._files.invalidate_cache()
            described = self._files.info(f"{self._root}/{DATASET_FILE}")
            if described["size"] > JSON_BYTES:
                raise DatasetError(
                    f"{address}: its {DATASET_FILE} has {described['size']:,} bytes and describes nothing"
                )
            self.description: bytes = self._files.cat_file(f"{self._root}/{DATASET_FILE}")
            listed = self._files.ls(f"{self._root}/episodes", detail=True)
        except FileNotFoundError as error:
            raise DatasetError(f"{address} is no dataset: it has no {DATASET_FILE} and episodes/") from error
        except (ImportError, OSError, ValueError) as error:  # the store's package is missing; no network; no such kind
            raise DatasetError(f"{address} cannot be read: {error}") from error
        found = [(entry["name"].rpartition("/")[2], int(entry["size"] or 0)) for entry in listed]
        self.episodes = sorted((name, size) for name, size in found if _EPISODE_NAME.fullmatch(name))

    def fetch(self, name: str, to: Path) -> None:
        """Copy an episode, whole or not at all.

        Raises:
            DatasetError: it cannot be had.
        """
        for attempt in range(TRIES):
            try:
                with written_whole(to, durable=False) as temporary:
                    self._files.get_file(f"{self._root}/episodes/{name}", str(temporary))
                return
            except FileNotFoundError as error:
                raise DatasetError(f"{self.address} has lost {name} since it was listed; start again") from error
            except OSError as error:
                if attempt == TRIES - 1:
                    raise DatasetError(
                        f"{self.address}: {name} cannot be fetched ({error}); the same command goes on where it stopped"
                    ) from error


@dataclass(frozen=True)
class Room:
    """Where copies lie, and how many."""

    folder: Path
    """Holds nothing else; made when it is needed."""
    most_bytes: int
    """Bound of their size."""


def fetched(places: Sequence[str], room: Room, progress: Progress) -> list[str]:
    """Folders of datasets that are needed whole: those of addresses as copies, which stay where they are.

    Args:
        places: folders and addresses.
        room: for copies; what an earlier call has left there of the same addresses is not fetched again.
        progress: is told of each episode that is fetched.

    Raises:
        DatasetError: one of them cannot be read, or all of them together are larger than the room.
    """
    addresses = [place for place in places if is_address(place)]
    if not addresses:
        return list(places)
    with closing(FarDatasets(addresses, room, seed=0)) as far:
        if far.num_parts > 1:
            raise DatasetError(
                f"{', '.join(addresses)}: {far.num_bytes / 1e9:.1f} GB, and the room for copies is "
                f"{room.most_bytes / 1e9:g} GB; give it more (remote_gb), or copy them into a folder and name that"
            )
        copies = {address: str(copy.folder) for address, copy in zip(addresses, far.part(0, progress))}
    return [copies.get(place, place) for place in places]


class FarDatasets:
    """Some datasets behind addresses, as local ones.

    Args:
        addresses: of datasets of one task.
        room: for copies.
        seed: shuffles.

    Raises:
        DatasetError: one of them cannot be read, has no episode, or has one that is larger than half of the room.
    """

    def __init__(self, addresses: Sequence[str], room: Room, seed: int) -> None:
        self._far = [FarDataset(address) for address in addresses]
        for far in self._far:
            if not far.episodes:
                raise DatasetError(f"{far.address} has no episodes to learn from")
        self._room = room
        self._seed = seed
        self._all = [
            FarEpisode(number, name, size) for number, far in enumerate(self._far) for name, size in far.episodes
        ]
        self.num_bytes = sum(episode.num_bytes for episode in self._all)
        self._fits = self.num_bytes <= room.most_bytes
        largest = max(self._all, key=lambda episode: episode.num_bytes)
        self._largest_bytes = largest.num_bytes
        if not self._fits and 2 * largest.num_bytes > room.most_bytes:
            raise DatasetError(
                f"{self._far[largest.dataset].address}: {largest.name} has {largest.num_bytes / 1e6:.0f} MB, and half "
                f"of the room for copies is {room.most_bytes / 2e6:.0f} MB; give it more, --remote-gb"
            )
        self._closed = False
        self._ahead: Future[None] | None = None
        self._fetcher = ThreadPoolExecutor(1, thread_name_prefix="fetch episodes")

    @property
    def num_parts(self) -> int:
        """Parts in which they are read, each time round; 1 where all fits."""
        if self._fits:
            return 1
        return math.ceil(len(self._all) / (self._room.most_bytes // 2 // self._largest_bytes))

    @property
    def seeds(self) -> list[int]:
        """Worlds of the episodes."""
        named = [_EPISODE_NAME.fullmatch(episode.name) for episode in self._all]
        return [int(match[1]) for match in named if match]

    def outline(self) -> list[Dataset]:
        """The datasets without their episodes."""
        for number, far in enumerate(self._far):
            self._begin(0, number, far)
        return [Dataset.open(self._folder(0, number), check=False) for number in range(len(self._far))]

    def fingerprint(self) -> dict[str, Any]:
        """What a training notes of the data: names and sizes."""
        lines = [f"{episode.dataset} {episode.name} {episode.num_bytes}\n".encode() for episode in self._all]
        return {"episodes": len(self._all), "bytes": self.num_bytes, "digest": digest_of(*lines)}

    def part(self, number: int, progress: Progress) -> list[Dataset]:
        """The datasets with the episodes of a part, counted through all rounds, and no others; where there are several
        parts the next one is fetched meanwhile. Those of the part before are gone.

        Raises:
            DatasetError: an episode cannot be had.
        """
        if self._ahead is not None:
            self._ahead.result()
        for folder in self._room.folder.glob("part-*"):
            if folder.name not in (_name_of(number), _name_of(number + 1)):
                shutil.rmtree(folder, ignore_errors=True)
        wanted = self._episodes_of(number)
        with progress.stage("fetch episodes", len(wanted)) as stage:
            self._fetch(number, wanted, stage)
        if self.num_parts > 1:
            self._ahead = self._fetcher.submit(self._fetch, number + 1, self._episodes_of(number + 1), None)
        opened = [Dataset.open(self._folder(number, dataset)) for dataset in range(len(self._far))]
        return opened

    def close(self) -> None:
        """Wait for the file that is being fetched; copies stay, for the next time."""
        self._closed = True
        self._fetcher.shutdown(cancel_futures=True)

    def remove_copies(self) -> None:
        """Remove what was fetched."""
        self.close()
        shutil.rmtree(self._room.folder, ignore_errors=True)

    def _folder(self, number: int, dataset: int) -> Path:
        return self._room.folder / _name_of(number) / f"{dataset:03d}"

    def _begin(self, number: int, dataset: int, far: FarDataset) -> None:
        folder = self._folder(number, dataset)
        (folder / "episodes").mkdir(parents=True, exist_ok=True)
        write_new_file(folder / DATASET_FILE, [far.description], durable=False)

    def _fetch(self, number: int, wanted: Sequence[FarEpisode], stage: Stage | None) -> None:
        """Have a part here; what an earlier process has fetched of it stays."""
        for index, far in enumerate(self._far):
            self._begin(number, index, far)
        for episode in wanted:
            if self._closed:
                return
            path = self._folder(number, episode.dataset) / "episodes" / episode.name
            if not path.exists() or path.stat().st_size != episode.num_bytes:
                self._far[episode.dataset].fetch(episode.name, path)
            if stage is not None:
                stage.advance()

    def _episodes_of(self, number: int) -> list[FarEpisode]:
        if self._fits:
            return self._all
        turn, place = divmod(number, self.num_parts)
        order = np.random.default_rng((self._seed, turn)).permutation(len(self._all))
        return [self._all[index] for index in np.array_split(order, self.num_parts)[place]]


def _name_of(number: int) -> str:
    return f"part-{number:05d}"
