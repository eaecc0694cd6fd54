"""Semi-supervised imitation: few episodes whose actions are known, and many that are seen only, or of unknown quality.

What is made of these is a method (see `forestpilot.policies.algorithms.semi`). In each round it learns what it needs
before the policy is fitted; then the policy learns from windows of both, `--share` of them from what has no labels.

    RUN/dataset/                   the expert's labelled episodes, where it was asked for some
    RUN/videos/                    the expert's episodes without actions, likewise
    RUN/beside/round-00/           the videos as the policy is fitted to them
    RUN/rounds/round-00/method/    what the method has learned, and method.csv where it has a table of what it found
    RUN/method.csv                 one row per round: the method's figures
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

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import Episode, load_episode, without_actions
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.rerun import Rerun
from forestpilot.data_collection.episodes.seals import write_sealed
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.policies.algorithms.algorithm import Algorithm, RollIn
from forestpilot.policies.algorithms.bco.transitions import known_steps
from forestpilot.policies.algorithms.demonstrations import keep_demonstrations
from forestpilot.policies.algorithms.rounds import RoundResult
from forestpilot.policies.algorithms.semi import SEMI_METHODS
from forestpilot.policies.algorithms.semi.config import SemiConfig
from forestpilot.policies.algorithms.videos import film_expert, open_videos
from forestpilot.sim.errors import InvalidArgumentError

if TYPE_CHECKING:
    from forestpilot.data_collection.episodes.progress import Progress
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.training.mixed import MixedReader

BESIDE = "beside"
"""Folder of the videos as policies are fitted to them."""
TABLE = "method.csv"
PREFIX = "method_"
"""Of the method's figures among those of a policy."""


class Semi(Algorithm[SemiConfig]):
    """Cloning of few labelled episodes and of what a method makes of many others."""

    name = "semi"
    title = "semi-supervised cloning"
    Config = SemiConfig

    def __init__(self, config: SemiConfig, progress: Progress | None = None, roll_in: RollIn | None = None) -> None:
        from forestpilot.policies.algorithms.semi.method import Setting

        if not config.videos and not config.unlabelled:
            raise InvalidArgumentError(
                "there is nothing without labels; give --unlabelled DATASET, or --videos 60 to film the expert"
            )
        super().__init__(config, progress, roll_in)
        most_bytes = int(config.train.cache_gb * 1e9)
        setting = Setting(self.policy, config.share, config.seed, most_bytes, self.progress)
        self.method = SEMI_METHODS.get(config.method.part)(config.method, setting)
        self.unlabelled = self._open_unlabelled()
        self._beside: list[Dataset] = []
        self._mixed: MixedReader | None = None

    @property
    def lessons(self) -> list[Dataset]:
        """The labelled episodes, and what is learned from beside them."""
        return [*self.labelled, *(self._beside or self._sources)]

    @property
    def labelled(self) -> list[Dataset]:
        """The labelled episodes."""
        return [self.dataset, *self.demonstrations]

    @property
    def _sources(self) -> list[Dataset]:
        """Everything that has no labels."""
        return [self._filmed, *self.unlabelled] if self.config.videos else self.unlabelled

    def expert_share(self, round_number: int) -> float:
        """The expert acts in all episodes."""
        return 1.0

    def collect(self, round_number: int) -> None:
        """Record the expert's labelled episodes of a round; film it once."""
        keep_demonstrations(self.folder, self.unlabelled, "unlabelled.json")
        self.record(round_number, ExpertPilot)
        if self.config.videos:
            film_expert(self, self._filmed, self.config.video_seeds)

    def update(self, round_number: int) -> None:
        """Let the method learn, and fit the policy to windows of both."""
        from forestpilot.policies.algorithms.semi.method import Given

        if self.is_stored(round_number):
            return
        self._set_damaged_aside(self.member_folder(round_number))
        given = Given(round_number, self._method_folder(round_number), self.labelled, self._sources)
        self._figures = self.method.learn(given)
        self._keep_table(given.folder, self.method.table(given))
        self._close_reader()
        self._beside = []
        if not self.method.learns_beside:
            self.fit(self.reader(), round_number, objective=self.method.objective())
            return
        if not self.config.method.needs_actions:
            self._beside = [self._write_beside(round_number)]
        self._mixed = self._mixed_reader()
        self.fit(self._mixed, round_number, objective=self.method.objective())

    def new_policy(self, member: int) -> VisuomotorPolicy:
        """See `Algorithm.new_policy`; a method may change its first weights."""
        policy = super().new_policy(member)
        self.method.begin(policy)
        return policy

    def keep(
        self,
        round_number: int,
        member: int = 0,
        figures: Mapping[str, float] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """See `Algorithm.keep`; the method's figures stand beside the training's."""
        own = {f"{PREFIX}{name}": value for name, value in self._figures.items()}
        super().keep(round_number, member, {**(figures or {}), **own}, data)

    def score(self, round_number: int) -> RoundResult:
        """See `Algorithm.score`."""
        result = super().score(round_number)
        self._write_table(round_number)
        return result

    def _open_unlabelled(self) -> list[Dataset]:
        """The datasets without labels, checked before anything is flown.

        Raises:
            DatasetError: one is missing, empty, of another task, or lacks what is read.
        """
        method = self.config.method
        datasets = open_videos(self, self.config.unlabelled, self._keys)
        for dataset in datasets:
            if method.needs_actions:
                dataset.require(("actions",), f"the method {method.part}")
        return datasets

    @property
    def _keys(self) -> tuple[str, ...]:
        """Observations that are read of what has no labels."""
        return tuple(dict.fromkeys((*self.policy.observation_keys, *self.method.reads)))

    @functools.cached_property
    def _filmed(self) -> Dataset:
        """The dataset of the expert's videos."""
        return Dataset.create(self.folder / "videos", self.policy.spec, self.task.bare_env_id)

    def _mixed_reader(self) -> MixedReader:
        """Draws windows of labelled episodes and of those beside, which no side camera tells."""
        from forestpilot.policies.training.loop import make_reader
        from forestpilot.policies.training.mixed import MixedReader

        train = dataclasses.replace(self.config.train, side_labels="none")
        decode = functools.partial(self.pool.submit, urgent=True)
        beside = make_reader(
            self.policy, self._beside or self._sources, train, self.config.workers, self.progress, decode
        )
        self.progress.note(f"beside: {beside.describe()}")
        return MixedReader(self.reader(), beside, self.config.share)

    def _write_beside(self, round_number: int) -> Dataset:
        """The videos with what the policy is to learn; those that are there, of an interrupted round, are kept."""
        if round_number:
            shutil.rmtree(self._beside_folder(round_number - 1), ignore_errors=True)
        folder = self._beside_folder(round_number)
        dataset = Dataset.create(folder, self.policy.spec, self.task.bare_env_id)
        videos = [header for source in self._sources for header in source.episodes]
        with self.progress.stage(f"look at videos of round {round_number}", len(videos)) as stage:
            for take, header in enumerate(videos):
                if not dataset.has(header.meta.dagger_round, header.meta.seed, take):
                    dataset.add(self._with_actions(header, Rerun(take, header.rerun.weight)))
                stage.advance(steps=header.num_steps)
        return dataset

    def _with_actions(self, header: EpisodeHeader, rerun: Rerun) -> Episode:
        """A video with what the method wants learned of it."""
        # Whatever actions there are, they are taken away before anything is looked at.
        video = without_actions(load_episode(header.path, self._keys))
        return dataclasses.replace(
            video, actions=self.method.actions_of(video), labelled=known_steps(header), rerun=rerun
        )

    def _close_reader(self) -> None:
        if self._mixed is not None:
            self._mixed.close()
            self._mixed = None
        super()._close_reader()

    def _read_folders(self) -> list[Path]:
        sources = [dataset.folder for dataset in self._sources]
        return [*super()._read_folders(), *sources, *(self.folder / BESIDE).glob("round-*")]

    def _method_folder(self, round_number: int) -> Path:
        return self.member_folder(round_number) / "method"

    def _beside_folder(self, round_number: int) -> Path:
        return self.folder / BESIDE / f"round-{round_number:02d}"

    def _keep_table(self, folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write what a method found beside what it has learned."""
        if rows:
            write_sealed(folder / TABLE, _as_csv(rows))

    def _write_table(self, last_round: int) -> None:
        """Write method.csv: the method's figures of the rounds so far."""
        from forestpilot.policies.networks.checkpoint import describe_policy

        rows = []
        for number in range(last_round + 1):
            figures = describe_policy(self.member_folder(number))["extra"]["figures"]
            own = {name.removeprefix(PREFIX): value for name, value in figures.items() if name.startswith(PREFIX)}
            rows.append({"round": number, **own})
        write_sealed(self.folder / TABLE, _as_csv(rows))


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as CSV; the first one names the columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({name: row.get(name, "") for name in rows[0]} for row in rows)
    return text.getvalue().encode()
