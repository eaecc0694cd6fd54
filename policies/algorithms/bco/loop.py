"""Behavioural cloning from observation, BCO(alpha) (Torabi, Warnell & Stone 2018, arXiv:1805.01954).

Nobody recorded what the teacher did: there are videos. The learner first moves at random and learns from that what
actions do: an inverse model, p(a | o, o'). It tells what was done in the videos, which is then cloned as if it had been
recorded. In each later round the learner moves by its own policy, and so more as the videos do, learns the inverse
model from all its motion so far, infers and clones again. With alpha = 0 there is no later round: BCO(0).

    RUN/videos/                      the expert's episodes without actions, where it was asked for some
    RUN/dataset/                     the learner's own motion, of every round, with actions and nobody's labels
    RUN/rounds/round-03/inverse/     the inverse model of a round, and its errors on own motion that it has not seen
    RUN/inferred/round-03/           the videos with inferred actions, of the last round
    RUN/inverse.csv                  one row per round: own steps, pairs, errors

Of the videos it reads pictures, goal and state, as the observation has them; the state holds speeds, tilt and rates.
With `--inverse.reads pictures` the inverse model reads pictures and goal alone; what the policy reads is
`--train.policy.state-inputs`.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode, without_actions
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.episodes.seals import write_sealed
from forestpilot.data_collection.rollouts.pilots import PilotFactory
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.recorder import NO_VIEWPOINT
from forestpilot.data_collection.rollouts.scenarios import Scenario
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.bco.config import BCOConfig
from forestpilot.policies.algorithms.bco.motion import OwnMotion, RandomMotion
from forestpilot.policies.algorithms.bco.transitions import Pairs, held_out, known_steps
from forestpilot.policies.algorithms.rounds import RoundResult
from forestpilot.policies.algorithms.videos import film_expert, open_videos
from forestpilot.policies.evaluation.pilots import PolicyFactory
from forestpilot.policies.networks.config import CAMERAS
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.viewpoints.viewpoint import ViewpointConfig

if TYPE_CHECKING:
    from forestpilot.policies.algorithms.bco.inverse import InverseModel

INFERRED = "inferred"
"""Folder of the videos with inferred actions."""
INVERSE_TABLE = "inverse.csv"


class BCO(Algorithm[BCOConfig]):
    """Behavioural cloning from observation."""

    name = "bco"
    title = "BCO"
    Config = BCOConfig

    @property
    def lessons(self) -> list[Dataset]:
        """The videos with the actions that were inferred last."""
        return [self._inferred]

    @property
    def videos(self) -> list[EpisodeHeader]:
        """Everything that was seen, whose actions nobody knows."""
        sources = list(self.demonstrations)
        if self.config.expert_episodes:
            sources.insert(0, self._filmed)
        return [header for source in sources for header in source.episodes]

    def open_demonstrations(self) -> list[Dataset]:
        """The videos that the run is given; whatever actions they have are not read.

        Raises:
            DatasetError: one is missing, empty, of another task, or lacks pictures.
        """
        return open_videos(self, self.config.demonstrations, self._cameras)

    def expert_share(self, round_number: int) -> float:
        """The expert acts in no episode of the learner's."""
        return 0.0

    def collect(self, round_number: int) -> None:
        """Film the expert once; then move: at random in round 0, by the policy of the round before in later ones."""
        config = self.config
        if round_number == 0:
            if config.expert_episodes:
                film_expert(self, self._filmed, config.video_seeds, self.viewpoint)
            self.record(0, self.first_motion)
            return
        folder = self.member_folder(round_number - 1)
        self.record(round_number, OwnMotion(PolicyFactory(str(folder), folder.name), config.own_noise))

    def update(self, round_number: int) -> None:
        """Learn the inverse model from all own motion, infer what was done in the videos, clone that."""
        if self.is_stored(round_number):
            return
        self._set_damaged_aside(self.member_folder(round_number))
        model, self._errors = self._inverse_model(round_number)
        self._close_reader()
        if round_number:
            shutil.rmtree(self._inferred_folder(round_number - 1), ignore_errors=True)
        self._inferred = self._infer(round_number, model)
        self.fit(self.reader(), round_number)

    def keep(
        self,
        round_number: int,
        member: int = 0,
        figures: Mapping[str, float] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """See `Algorithm.keep`; the inverse model's errors stand beside the training's figures."""
        super().keep(round_number, member, {**(figures or {}), **self._errors}, data)

    def score(self, round_number: int) -> RoundResult:
        """See `Algorithm.score`; labels are inferred actions."""
        result = super().score(round_number)
        labels = sum(int(known_steps(header).sum()) for header in self.videos)
        self._write_table(round_number)
        return dataclasses.replace(result, labels=labels)

    @property
    def first_motion(self) -> PilotFactory:
        """How the learner moves before it has a policy."""
        return RandomMotion(self.config.hold)

    @property
    def viewpoint(self) -> ViewpointConfig:
        """From where else episodes are looked at."""
        return NO_VIEWPOINT

    def _record(self, round_number: int, pilot: PilotFactory, scenarios: Sequence[Scenario]) -> None:
        """Run episodes of the learner's own, in which nobody is asked anything."""
        if scenarios:
            folder = str(self.dataset.folder)
            job = Job(
                self.config.task,
                tuple(scenarios),
                pilot,
                dataset=folder,
                dagger_round=round_number,
                ask_expert=False,
                viewpoint=self.viewpoint,
            )
            self.pool.run(job, self.progress, f"own motion of round {round_number}")
            self.dataset.refresh()

    @property
    def _cameras(self) -> tuple[str, ...]:
        """Cameras whose pictures the policy or the inverse model reads."""
        train = self.config.train
        if train.policy.cameras != "center" or train.side_labels != "none":
            return CAMERA_NAMES
        return CAMERAS[train.policy.cameras]

    @functools.cached_property
    def _filmed(self) -> Dataset:
        """The dataset of the expert's videos."""
        return Dataset.create(self.folder / "videos", self.policy.spec, self.task.bare_env_id)

    def _inverse_model(self, round_number: int) -> tuple[InverseModel, dict[str, float]]:
        """The inverse model of a round and its errors, as they are stored or learned now."""
        from forestpilot.policies.algorithms.bco.inverse import InverseModel, learn_from
        from forestpilot.policies.networks.checkpoint import CheckpointError

        seed = self.config.seed + round_number
        model = InverseModel.seeded(self.config.inverse, self.policy.spec, seed)
        folder = self._inverse_folder(round_number)
        if folder.exists():
            try:
                return model, model.load(folder)
            except CheckpointError as error:
                self.progress.note(f"warning: {error} It is learned again")
        own = [header for number in range(round_number + 1) for header in self.episodes_of(number)]
        learned, measured = (self.pairs(model, headers) for headers in held_out(own, self.config.inverse.held_out))
        figures = learn_from(model, learned, measured, seed)
        told = {f"inverse_{name}": value for name, value in figures.items()}
        told["own_steps"] = sum(header.num_steps for header in own)
        self.progress.note(
            f"round {round_number}: inverse model of {figures['learned_pairs']:,} own transitions; on "
            f"{figures['pairs']:,} others its turns are {figures['turn_error_deg']:.1f} degrees off, go "
            f"{figures['go_error']:.2f}"
        )
        model.save(folder, told)
        return model, told

    def pairs(self, model: InverseModel, headers: Sequence[EpisodeHeader]) -> Pairs:
        """What the inverse model is shown of own episodes."""
        return model.reader.read(headers)

    def _infer(self, round_number: int, model: InverseModel) -> Dataset:
        """The videos with inferred actions; those that are on disk already, of an interrupted round, are kept."""
        folder = self._inferred_folder(round_number)
        dataset = Dataset.create(folder, self.policy.spec, self.task.bare_env_id)
        videos = self.videos
        with self.progress.stage(f"infer actions of round {round_number}", len(videos)) as stage:
            for take, header in enumerate(videos):
                rerun = Rerun(take, header.rerun.weight)
                if not dataset.has(header.meta.dagger_round, header.meta.seed, take):
                    dataset.add(self.with_actions(header, rerun, model))
                stage.advance(steps=header.num_steps)
        return dataset

    def with_actions(self, header: EpisodeHeader, rerun: Rerun, model: InverseModel) -> Episode:
        """A video as if what was done in it had been recorded: inferred, and learned where that can be."""
        # Whatever actions there are, they are taken away before anything is looked at.
        video = without_actions(load_episode(header.path))
        unseen = set(CAMERA_NAMES) - set(self._cameras)
        return dataclasses.replace(
            video,
            observations={key: values for key, values in video.observations.items() if key not in unseen},
            actions=model.infer(model.reader.pairs_of(video), header.meta.seed),
            labelled=known_steps(header),
            rerun=rerun,
        )

    def _read_folders(self) -> list[Path]:
        return [*super()._read_folders(), *(self.folder / INFERRED).glob("round-*")]

    def _inverse_folder(self, round_number: int) -> Path:
        return self.member_folder(round_number) / "inverse"

    def _inferred_folder(self, round_number: int) -> Path:
        return self.folder / INFERRED / f"round-{round_number:02d}"

    def _write_table(self, last_round: int) -> None:
        """Write inverse.csv: what the inverse models of the rounds so far came to."""
        from forestpilot.policies.networks.checkpoint import describe_policy

        rows = []
        for number in range(last_round + 1):
            figures = describe_policy(self.member_folder(number))["extra"]["figures"]
            told = {key.removeprefix("inverse_"): value for key, value in figures.items() if key in _TOLD}
            rows.append({"round": number, **told})
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_sealed(self.folder / INVERSE_TABLE, text.getvalue().encode())


_TOLD = (
    "own_steps",
    "inverse_learned_pairs",
    "inverse_loss",
    "inverse_pairs",
    "inverse_turn_error_deg",
    "inverse_go_error",
    "inverse_turn_r2",
    "inverse_go_r2",
)
"""Figures of a policy that are of its round's inverse model."""


def inferred_against(inferred: Dataset, done: Sequence[Dataset], keys: Sequence[str] = ()) -> tuple[Any, Any]:
    """Inferred actions (N, 2) and those that were done (N, 2), where somebody else has recorded them: for studies.

    Args:
        inferred: `RUN/inferred/round-NN`.
        done: the same episodes with actions.
        keys: observations that are read on the way.
    """
    known = {header.meta.seed: header.path for dataset in done for header in dataset.episodes}
    ours, theirs = [], []
    for header in inferred.episodes:
        labelled = header.labelled
        ours.append(load_episode(header.path, keys).actions[labelled])
        theirs.append(load_episode(known[header.meta.seed], keys).actions[labelled])
    return np.concatenate(ours), np.concatenate(theirs)
