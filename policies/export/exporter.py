"""What an exporter of policies is: it writes a policy for another runtime, whole or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from forestpilot.data_collection.episodes.files import write_new_file, written_whole
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.export.card import CardFacts, card_path
from forestpilot.data_collection.export.exporter import NO_FACTS, require_empty
from forestpilot.policies.export.card import model_card
from forestpilot.sim.registry import PartConfig

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy


@dataclass(frozen=True)
class PolicyExporterConfig(PartConfig):
    """Options of an exporter of policies."""


class PolicyExporter(ABC):
    """Writes a policy for another runtime; subclasses are registered in `POLICY_EXPORTERS` and say how in `write`."""

    Config: ClassVar[type[PolicyExporterConfig]]
    """Its options."""
    card_fields: ClassVar[Mapping[str, Any]] = {}
    """What the format adds to the YAML of the card."""

    def export(
        self,
        folder: Path | str,
        out: Path | str,
        config: Any = None,
        progress: Progress | None = None,
        facts: CardFacts = NO_FACTS,
    ) -> list[str]:
        """Write a stored policy, and a card that says what it is: NAME.md beside it.

        Args:
            folder: of its checkpoint.
            out: file to make.
            config: options, an instance of `Config`; by default the ordinary ones.
            progress: who watches.
            facts: licence and command, for the card.

        Returns:
            What there is to say of it, in lines.

        Raises:
            CheckpointError: there is no whole policy.
            ExportError: there is something at `out`, or the policy cannot be written so.
            DiskFullError: no space left.
        """
        from forestpilot.policies.networks.checkpoint import describe_policy, load_policy

        out = Path(out)
        progress = progress or SilentProgress()
        policy = load_policy(folder)
        description = describe_policy(folder)
        with written_by_one(out.parent, progress, only=out.name):
            require_empty(out)
            require_empty(card_path(out))
            with written_whole(out) as unfinished:
                notes = self.write(policy, description, unfinished, out, config or self.Config())
            card = model_card(Path(folder), description, facts, self.card_fields)
            write_new_file(card_path(out), [card.encode()])
            return notes

    @abstractmethod
    def write(
        self, policy: VisuomotorPolicy, description: dict[str, Any], unfinished: Path, out: Path, config: Any
    ) -> list[str]:
        """Write the policy to `unfinished`, which does not exist; `export` puts it at `out` when this returns.

        Args:
            policy: in evaluation mode.
            description: what its policy.json says.
            unfinished: file to make.
            out: where it will lie; files that belong to it are named after it.
            config: an instance of `Config`.

        Returns:
            What there is to say of it, in lines.
        """
