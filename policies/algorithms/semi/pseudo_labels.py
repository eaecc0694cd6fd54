"""Pseudo-labels: an inverse model of the few labelled episodes says what was done in the videos.

It is the inverse model p(a | o, o') of BCO (Torabi et al. 2018), which needs no motion of one's own here, for the
labelled episodes have actions and are flown or driven as the videos are (as in VPT, Baker et al. 2022,
arXiv:2206.11795). What comes after helps to tell what was done, so it takes fewer labels than to act does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.episodes.dataset import DatasetError
from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.policies.algorithms.bco.inverse import InverseModel, learn_from
from forestpilot.policies.algorithms.bco.transitions import held_out
from forestpilot.policies.algorithms.semi.config import PseudoLabelsConfig
from forestpilot.policies.algorithms.semi.method import Given, Method, Setting
from forestpilot.policies.networks.checkpoint import CheckpointError


class PseudoLabels(Method[PseudoLabelsConfig]):
    """Actions of videos, inferred by an inverse model of the labelled episodes."""

    Config = PseudoLabelsConfig

    def __init__(self, config: PseudoLabelsConfig, setting: Setting) -> None:
        super().__init__(config, setting)
        self._model = InverseModel.seeded(config.inverse, setting.policy.spec, setting.seed)

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the inverse model reads."""
        return self._model.reader.keys

    def learn(self, given: Given) -> dict[str, float]:
        """Learn the inverse model of the labelled episodes; its errors are on some of them that are held out.

        Raises:
            DatasetError: there are fewer than two labelled episodes.
        """
        if given.folder.exists():
            try:
                return self._model.load(given.folder)
            except CheckpointError as error:
                self.setting.progress.note(f"warning: {error} It is learned again")
        episodes = given.labelled_episodes
        if len(episodes) < 2:
            raise DatasetError(
                "an inverse model needs two labelled episodes at least, one of which it is measured on; give more"
            )
        seed = self.setting.seed + given.round
        self._model = InverseModel.seeded(self.config.inverse, self.setting.policy.spec, seed)
        learned, measured = map(self._model.reader.read, held_out(episodes, self.config.inverse.held_out))
        figures = learn_from(self._model, learned, measured, seed)
        self.setting.progress.note(
            f"inverse model of {figures['learned_pairs']:,} labelled transitions; on {figures['pairs']:,} others its "
            f"turns are {figures['turn_error_deg']:.1f} degrees off, go {figures['go_error']:.2f}"
        )
        self._model.save(given.folder, figures)
        return figures

    def actions_of(self, video: Episode) -> NDArray[np.float32]:
        """What was done, as the inverse model infers it."""
        return self._model.infer(self._model.reader.pairs_of(video), video.meta.seed)
