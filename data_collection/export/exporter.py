"""What an exporter is: it writes a dataset in another format, whole or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import CAMERAS
from forestpilot.data_collection.episodes.files import write_new_file, written_whole
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.export.card import CardFacts, card_path, dataset_card
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.registry import PartConfig

NO_FACTS = CardFacts()


class ExportError(ForestPilotError):
    """A dataset that cannot be exported, or a place where something is already."""


@dataclass(frozen=True)
class ExporterConfig(PartConfig):
    """Options of an exporter."""


class Exporter(ABC):
    """Writes a dataset in another format; subclasses are registered in `EXPORTERS` and say how in `write`."""

    Config: ClassVar[type[ExporterConfig]]
    """Its options."""
    is_one_file: ClassVar[bool] = False
    """What it makes is a file, whose card lies beside it, and not a folder."""
    needs: ClassVar[tuple[str, ...]] = ("actions", *CAMERAS)
    """What episodes must not lack; see `Episode.lacks`."""
    card_fields: ClassVar[Mapping[str, Any]] = {}
    """What the format adds to the YAML of the card: tags, where the data lies."""
    reading: ClassVar[str] = ""
    """How it is opened, for the card, in Markdown."""

    def export(
        self,
        dataset: Dataset,
        out: Path | str,
        config: Any = None,
        progress: Progress | None = None,
        facts: CardFacts = NO_FACTS,
    ) -> Path:
        """Write all steps of all episodes, and a card that says what they are: README.md in a folder, NAME.md beside a
        file.

        Args:
            dataset: what to write.
            out: file or folder to make; it may be there already, but empty.
            config: options, an instance of `Config`; by default the ordinary ones.
            progress: is told of each episode.
            facts: licence and command, for the card.

        Returns:
            What was made; until it is whole, nothing is there.

        Raises:
            LackingError: the dataset lacks what the format needs.
            ExportError: there is something at `out`, or nothing in the dataset.
            BrokenEpisodeError: an episode is damaged.
            DiskFullError: no space left.
        """
        out = Path(out)
        if not len(dataset):
            raise ExportError(f"{dataset.folder} has no episode to export; collect some first")
        dataset.require(self.needs, "this format")
        progress = progress or SilentProgress()
        config = self.prepare(config or self.Config(), out)
        with written_by_one(out.parent, progress, only=out.name):
            require_empty(out)
            if self.is_one_file:
                require_empty(card_path(out))
            card = dataset_card(dataset, facts, self.card_fields, self.reading)
            with written_whole(out) as unfinished:
                self.write(dataset, unfinished, config, progress)
                if unfinished.is_dir():
                    card_path(unfinished).write_text(card, encoding="utf-8")
                else:
                    require_empty(card_path(out))
            if not out.is_dir():
                write_new_file(card_path(out), [card.encode()])
        return out

    def needs_the_dataset(self, config: Any) -> bool:
        """Whether what is made with these options is of no use without the dataset."""
        return False

    def prepare(self, config: Any, out: Path) -> Any:
        """The options for a place, before anything is written; subclasses whose format names things after it do more.

        Args:
            config: an instance of `Config`.
            out: file or folder to make, under its own name.
        """
        return config

    @abstractmethod
    def write(self, dataset: Dataset, out: Path, config: Any, progress: Progress) -> None:
        """Write the dataset to `out`, which does not exist; `export` puts it in its place when this returns.

        Args:
            dataset: what to write; it has an episode at least.
            out: file or folder to make.
            config: an instance of `Config`.
            progress: to be told of each episode.
        """


def require_empty(out: Path) -> None:
    """Raise ExportError where there is something already that an export would take the place of."""
    if out.is_dir():
        taken = any(out.iterdir())
    else:
        taken = out.exists() and out.stat().st_size > 0
    if taken:
        raise ExportError(f"there is something at {out} already; give another place, or remove it")
