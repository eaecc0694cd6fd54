"""Third-person imitation: the teacher was filmed by somebody else's camera, and nobody recorded what it did.

The learner moves, and is filmed as the teacher was, while its own camera looks ahead. Of these recordings two things
are learned. What actions look like from there: an inverse model p(a | v...), of pictures of the viewpoint in a row,
which infers what was done in the videos. And what both cameras see of the same moment: an embedding (time-contrastive
networks, Sermanet et al. 2018, arXiv:1704.06888). A policy is cloned that sees by that embedding, frozen: on points of
the videos' pictures and inferred actions. It flies on the points of its own camera, which are about the same. In later
rounds the learner moves by its own policy, as in BCO.

    RUN/videos/                       the expert's episodes as they were filmed
    RUN/dataset/                      the learner's own motion, seen by both cameras
    RUN/rounds/round-01/embedding/    the embedding of a round
    RUN/rounds/round-01/inverse/      the inverse model of a round
    RUN/inferred/round-01/            the videos as the policy learned from them: `center` is the viewpoint's picture
    RUN/inverse.csv                   as in BCO

Told of a video, beside its pictures: the direction to the goal, which the policy reads and the inverse model does not,
and the speed set point.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_same_task
from forestpilot.data_collection.episodes.episode import Episode, load_episode, without_actions
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.remote import COPIES, Room, fetched
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.rollouts.pilots import PilotFactory
from forestpilot.policies.algorithms.bco.loop import BCO
from forestpilot.policies.algorithms.bco.motion import BlindMotion
from forestpilot.policies.algorithms.bco.transitions import Pairs, known_steps
from forestpilot.policies.algorithms.third_person.config import TOLD, ThirdPersonConfig
from forestpilot.policies.embeddings.options import OWN_VIEW, EmbedConfig
from forestpilot.policies.embeddings.recordings import views_of
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.viewpoints.viewpoint import ViewpointConfig, view_key

if TYPE_CHECKING:
    from forestpilot.policies.algorithms.bco.inverse import InverseModel
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy


class ThirdPerson(BCO):
    """Third-person imitation by inferred actions and an embedding of both views."""

    name = "third-person"
    title = "third-person imitation"
    Config = ThirdPersonConfig
    config: ThirdPersonConfig

    @property
    def viewpoint(self) -> ViewpointConfig:
        """From where teacher and learner are filmed."""
        return self.config.viewpoint

    @property
    def first_motion(self) -> PilotFactory:
        """See `BCO.first_motion`."""
        if self.config.motion == "random":
            return super().first_motion
        return BlindMotion(self.config.task, self.config.hold, self.config.strays)

    @property
    def view(self) -> str:
        """The observation of a video that is looked at."""
        return view_key(self.config.viewpoint.part) if self.config.viewpoint.third_person else OWN_VIEW

    def open_demonstrations(self) -> list[Dataset]:
        """The videos that the run is given.

        Raises:
            DatasetError: one is missing, empty, of another task, or was not filmed from the viewpoint.
        """
        copies = Room(self.folder / COPIES, int(self.config.train.remote_gb * 1e9))
        datasets = [Dataset.open(folder) for folder in fetched(self.config.demonstrations, copies, self.progress)]
        for dataset in datasets:
            require_same_task(self.policy.spec, dataset.task_spec, f"the dataset in {dataset.folder}")
            views = views_of(dataset)
            if self.config.viewpoint.third_person and self.view not in views:
                raise DatasetError(
                    f"{dataset.folder} was not filmed from the viewpoint {self.config.viewpoint.part}; it has "
                    f"{', '.join(views) or 'no third camera'}. Give --viewpoint, or record with it"
                )
        return datasets

    def update(self, round_number: int) -> None:
        """Learn the embedding of both views from all own motion; then see `BCO.update`."""
        if self.config.embeds and not self.is_stored(round_number):
            self._learn_embedding(round_number)
        self._round = round_number
        super().update(round_number)

    def new_policy(self, member: int) -> VisuomotorPolicy:
        """See `Algorithm.new_policy`; it sees by the round's embedding."""
        from forestpilot.policies.networks.checkpoint import load_state
        from forestpilot.policies.networks.encoders.embedding import FILE, EmbeddingEncoder

        policy = super().new_policy(member)
        if isinstance(policy.encoder, EmbeddingEncoder):
            path = self.embedding_folder(self._round) / FILE
            policy.encoder.take(load_state(path)[0], str(path))
        return policy

    def pairs(self, model: InverseModel, headers: Sequence[EpisodeHeader]) -> Pairs:
        """Pictures of the viewpoint before and after each own action; no state, and no goal."""
        found = []
        for header in headers:
            pairs = self._pairs_of(model, load_episode(header.path, [self.view, "state", "goal"]))
            known = known_steps(header)
            found.append([values[known] for values in vars(pairs).values()])
        return Pairs(*(np.concatenate(values) for values in zip(*found)))

    def with_actions(self, header: EpisodeHeader, rerun: Rerun, model: InverseModel) -> Episode:
        """A video as the policy learns from it: its pictures in place of the own camera's, what was done inferred."""
        video = without_actions(load_episode(header.path, [self.view, "state", "goal"]))
        return dataclasses.replace(
            seen_from(self.view, video, self.policy.spec),
            actions=model.infer(self._pairs_of(model, video), header.meta.seed),
            labelled=known_steps(header),
            rerun=rerun,
        )

    def _pairs_of(self, model: InverseModel, episode: Episode) -> Pairs:
        """What the inverse model is shown of an episode."""
        seen = seen_from(self.view, episode, self.policy.spec)
        goal = np.zeros_like(seen.observations["goal"])
        return model.reader.pairs_of(dataclasses.replace(seen, observations={**seen.observations, "goal": goal}))

    def embedding_folder(self, round_number: int) -> Path:
        """Where the embedding of a round lies."""
        return self.member_folder(round_number) / "embedding"

    def _learn_embedding(self, round_number: int) -> None:
        """Learn the embedding of a round from own motion, where it is not stored."""
        from forestpilot.policies.embeddings.stored import FILE
        from forestpilot.policies.embeddings.training import learn_from

        config = self.config
        folder = self.embedding_folder(round_number)
        if (folder / FILE).exists():
            return
        encoder = config.train.policy.encoder
        learning = EmbedConfig(
            data=(str(self.dataset.folder),),
            out=str(folder),
            views=tuple({OWN_VIEW: None, self.view: None}),
            embedder=config.embedder,
            shape=encoder.shape,  # type: ignore[attr-defined]
            seed=config.seed + round_number,
            steps=config.embedding_steps,
            learning_rate=config.embedding_rate,
        )
        learn_from([self.dataset], learning, config.train.policy.view, self.progress)


def seen_from(view: str, episode: Episode, spec: TaskSpec) -> Episode:
    """An episode as a camera saw it: its pictures in place of the own camera's, and of the state what is told.

    Args:
        view: the observation that holds its pictures; those of the own camera stay as they are, and are not levelled.
        episode: with these pictures, state and goal.
        spec: names the elements of the state.
    """
    seen = episode.observations
    state = np.zeros_like(seen["state"])
    for name in TOLD:
        state[:, spec.index(name)] = seen["state"][:, spec.index(name)]
    return dataclasses.replace(episode, observations={OWN_VIEW: seen[view], "state": state, "goal": seen["goal"]})
