"""What LeRobot stores of a policy of ForestPilot's."""

from __future__ import annotations

from dataclasses import dataclass, field

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import NormalizationMode
from lerobot.optim.optimizers import AdamWConfig


@PreTrainedConfig.register_subclass("forestpilot")
@dataclass
class ForestPilotConfig(PreTrainedConfig):
    """The policy's own config and task spec, as `policy.json` has them; it is trained by `forestpilot`, not here."""

    policy: str = "{}"
    """`PolicyConfig` as JSON."""
    task_spec: str = "{}"
    """`TaskSpec` as JSON."""
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: dict.fromkeys(("VISUAL", "STATE", "ENV", "ACTION"), NormalizationMode.IDENTITY)
    )

    @property
    def observation_delta_indices(self) -> None:
        """It sees one step at a time, and remembers the rest."""
        return None

    @property
    def action_delta_indices(self) -> None:
        """One action a step."""
        return None

    @property
    def reward_delta_indices(self) -> None:
        """No rewards."""
        return None

    def get_optimizer_preset(self) -> AdamWConfig:
        """Not used: `forestpilot train` trains it."""
        return AdamWConfig()

    def get_scheduler_preset(self) -> None:
        """Not used."""
        return

    def validate_features(self) -> None:
        """Nothing to add: the task spec says what it sees."""
