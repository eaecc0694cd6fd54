"""Offline relabelling: a human watches recorded episodes in real time and steers along without being obeyed.

The episode is simulated again from its world's seed and its actions, and checked against the record at every step. What
the human does becomes the label of the recorded step, moved back by the human's delay:

dataset.json, episodes/    a dataset like any other: the recorded pictures, `human_actions` shifted, `labelled`, `keys`
steered/                   what the human did at each step, not shifted, and the expert's turn there
relabelling.json           the dataset that is relabelled; the delay that is shifted out, and how it was found
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.bounded import read_json
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode
from forestpilot.data_collection.episodes.episode_file import open_episode
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.labels import shift_labels
from forestpilot.data_collection.people.drivers import Driver
from forestpilot.data_collection.people.reaction import Delay, estimate_delay
from forestpilot.data_collection.people.recorded import (
    AlongDriver,
    RecordedScenario,
    RelabellingError,
    difference_from,
    header_of,
    require_same,
)
from forestpilot.data_collection.people.steered import Steered, read_steered, save_steered
from forestpilot.data_collection.rollouts.pilots import EXPERT_CENTER
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.scenarios import Scenario

RELABELLING_FILE = "relabelling.json"
STEERED = "steered"
NOT_SHIFTED = "labels are as they were steered, nothing is shifted"


class Relabelling:
    """A dataset of relabelled episodes, and what the human did in them; records the episodes of a live session.

    Make one with `Relabelling.create` or `Relabelling.open`.

    Attributes:
        dataset: the dataset.
        delay_s: delay in seconds that labels are moved back by.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._noted = _read_note(dataset.folder)
        self.delay_s = float(self._noted["delay"]["delay_s"])

    @classmethod
    def create(cls, folder: Path, source: Dataset) -> Relabelling:
        """Make a dataset for the relabelled episodes of `source`, or open one, so that a resumed command goes on.

        Raises:
            RelabellingError: the folder holds a dataset that was made otherwise, or of another source, or is the source
                itself.
            DatasetError: the folder holds other files, or another task.
        """
        if folder.resolve() == source.folder.resolve():
            raise RelabellingError(f"{folder} is the dataset that is shown; give another folder for what you steer")
        dataset = Dataset.create(folder, source.task_spec, source.env_id)
        if not (folder / RELABELLING_FILE).exists():
            if len(dataset):
                raise RelabellingError(f"{folder} is a dataset that was not made by relabelling; give a new folder")
            place = str(source.folder.resolve())
            _write_note(folder, {"source": place, "delay": {"delay_s": 0.0, "note": NOT_SHIFTED}})
        (folder / STEERED).mkdir(exist_ok=True)
        relabelling = cls(dataset)
        relabelling._require_source(source)
        return relabelling

    @classmethod
    def open(cls, folder: Path) -> Relabelling:
        """Open one that is there.

        Raises:
            RelabellingError: the folder was not made by relabelling.
            DatasetError: no dataset is there.
        """
        dataset = Dataset.open(folder)
        if not (folder / RELABELLING_FILE).exists():
            raise RelabellingError(f"{folder} was not made by relabelling: it has no {RELABELLING_FILE}")
        return cls(dataset)

    def _require_source(self, source: Dataset) -> None:
        """Note where the source lies, which may have moved.

        Raises:
            RelabellingError: episodes here are of another one.
        """
        noted = str(self._noted.get("source", ""))
        moved = not noted or Path(noted).resolve() != source.folder.resolve()
        theirs = {header.path.name: header for header in source.episodes}
        for header in self.dataset.episodes:
            original = theirs.get(header.path.name)
            if (original is None and moved) or (original is not None and not _is_of(header, original)):
                raise RelabellingError(
                    f"{self.dataset.folder} holds relabelled episodes of {noted or 'another dataset'}: its "
                    f"{header.path.name} is none of those in {source.folder}; give another --out"
                )
        if moved:
            self._noted["source"] = str(source.folder.resolve())
            _write_note(self.dataset.folder, self._noted)

    def has(self, episode: Scenario) -> bool:
        """Tell if the episode is relabelled already."""
        return isinstance(episode, RecordedScenario) and self.dataset.has(
            episode.header.meta.dagger_round, episode.seed
        )

    def keep(self, running: EpisodeRecorder, driver: Driver) -> Path:
        """Record what the human did in an episode, as far as it went and was the recorded one.

        Raises:
            ReplayDivergedError: not even the first state was the recorded one.
        """
        header = header_of(running)
        live = running.episode(driver.name)
        stored = load_episode(header.path)
        steps = _steps_in_common(stored, live)
        assert live.human_actions is not None
        assert live.expert_actions is not None
        present = np.ones(live.num_steps, bool)
        if isinstance(driver, AlongDriver):
            present = np.array(driver.present, bool)
        steered = Steered(
            live.human_actions[:steps], present[:steps], live.expert_actions[:steps, EXPERT_CENTER, 0].copy()
        )
        save_steered(self._steered_path(header.path.name), steered)
        labels, known = shift_labels(steered.actions, self.delay_s, stored.meta.control_hz, steered.present)
        return self.dataset.add(_relabelled(stored, live, steps, labels, known))

    def discard(self, path: Path) -> None:
        """Move an episode, and what was steered in it, into the dataset's discarded/."""
        target = self.dataset.discard(path)
        steered = self._steered_path(path.name)
        if steered.exists():
            steered.rename(target.with_suffix(steered.suffix))

    def estimate(self) -> Delay:
        """The human's delay behind the expert, over all episodes that are here."""
        turns = []
        expert_turns = []
        for header in self.dataset.episodes:
            steered = self._load_steered(header)
            turns.append(np.where(steered.present, steered.actions[:, 0], np.nan))
            expert_turns.append(steered.expert_turns)
        return estimate_delay(turns, expert_turns, self.dataset.task_spec.control_hz)

    def shift(self, delay_s: float, note: str) -> int:
        """Move all labels back by a delay, from what was steered: also those that were moved by another before.

        A kill leaves each episode with its old labels or the new ones; the same call then does the rest.

        Args:
            delay_s: in seconds, 0 or more.
            note: how it was found, for people.

        Returns:
            How many episodes have other labels now.

        Raises:
            RelabellingError: what was steered in some episode is missing; nothing is changed then.
        """
        all_steered = [(header, self._load_steered(header)) for header in self.dataset.episodes]
        self._noted["delay"] = {"delay_s": delay_s, "note": note}
        _write_note(self.dataset.folder, self._noted)
        self.delay_s = delay_s
        return sum(self._shift_episode(header, steered) for header, steered in all_steered)

    def _shift_episode(self, header: EpisodeHeader, steered: Steered) -> bool:
        """Give an episode the labels of the present delay; whether it had others."""
        labels, known = shift_labels(steered.actions, self.delay_s, header.meta.control_hz, steered.present)
        with open_episode(header.path) as demo:
            same = np.array_equal(demo["human_actions"][:], labels) and np.array_equal(header.labelled, known)
        if not same:
            episode = load_episode(header.path)
            self.dataset.replace(dataclasses.replace(episode, human_actions=labels, labelled=known))
        return not same

    def _steered_path(self, episode_name: str) -> Path:
        return (self.dataset.folder / STEERED / episode_name).with_suffix(".npz")

    def _load_steered(self, header: EpisodeHeader) -> Steered:
        path = self._steered_path(header.path.name)
        try:
            steered = read_steered(path)
        except (OSError, ValueError) as error:
            raise RelabellingError(
                f"{path} is missing or damaged ({error}), so the labels of {header.path.name} cannot be shifted; "
                "restore it, or move the episode to discarded/ and relabel it again"
            ) from error
        if len(steered.actions) != header.num_steps:
            raise RelabellingError(f"{path} is of {len(steered.actions)} steps, its episode of {header.num_steps}")
        return steered


def _steps_in_common(stored: Episode, live: Episode) -> int:
    """Steps whose observation before the action was the recorded one.

    Raises:
        ReplayDivergedError: there is none.
    """
    for step in range(min(live.num_steps, stored.num_steps)):
        observation = {key: values[step] for key, values in live.observations.items()}
        if difference_from(stored, observation, step):
            if step == 0:
                require_same(stored, observation, step)
            return step
    return min(live.num_steps, stored.num_steps)


def _relabelled(
    stored: Episode, live: Episode, steps: int, labels: NDArray[np.float32], known: NDArray[np.bool_]
) -> Episode:
    """The first steps of a recorded episode, with what the human and the expert would have done there."""
    meta = stored.meta
    if steps < stored.num_steps:
        meta = dataclasses.replace(meta, outcome="running")
    return Episode(
        observations={key: values[: steps + 1] for key, values in stored.observations.items()},
        actions=stored.actions[:steps],
        actor=stored.actor[:steps],
        rewards=stored.rewards[:steps],
        terminated=stored.terminated[:steps],
        truncated=stored.truncated[:steps],
        meta=meta,
        expert_actions=_first(live.expert_actions, steps),
        camera_offsets=_first(stored.camera_offsets, steps + 1),
        keys=_first(live.keys, steps),
        human_actions=labels,
        labelled=known,
        displaced=_first(stored.displaced, steps),
    )


def _is_of(relabelled: EpisodeHeader, original: EpisodeHeader) -> bool:
    """Whether a relabelled episode, which may end earlier, is of a recorded one: the same actions in the same world."""
    if relabelled.meta.env_kwargs != original.meta.env_kwargs or relabelled.num_steps > original.num_steps:
        return False
    with open_episode(relabelled.path) as ours, open_episode(original.path) as theirs:
        return np.array_equal(ours["actions"][:], theirs["actions"][: relabelled.num_steps])


def _first(values: NDArray[Any] | None, count: int) -> NDArray[Any] | None:
    if values is None:
        return None
    return values[:count]


def _read_note(folder: Path) -> dict[str, Any]:
    try:
        noted = read_json(folder / RELABELLING_FILE)
        float(noted["delay"]["delay_s"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RelabellingError(f"{folder / RELABELLING_FILE} cannot be read: {error}") from error
    return dict(noted)


def _write_note(folder: Path, noted: dict[str, Any]) -> None:
    write_new_file(folder / RELABELLING_FILE, [json.dumps(noted, indent=2).encode()])
