"""Arms of the study of third-person imitation: from where the expert is filmed, and how policies see."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forestpilot.launch.studies.study import Arm
from forestpilot.policies.embeddings import EmbedderConfig
from forestpilot.policies.embeddings.options import MultiViewConfig, SingleViewConfig
from forestpilot.sim.viewpoints.chase import ChaseConfig
from forestpilot.sim.viewpoints.tower import TowerConfig
from forestpilot.sim.viewpoints.viewpoint import VehicleViewConfig, ViewpointConfig


@dataclass(frozen=True)
class ThirdPersonArm(Arm):
    """From where the expert is filmed, and how policies see."""

    viewpoint: ViewpointConfig = VehicleViewConfig()
    """`ThirdPersonConfig.viewpoint`."""
    embedder: EmbedderConfig | None = None
    """`ThirdPersonConfig.embedder`; None for pictures as they are."""
    frozen: bool = True
    """Whether the embedding stays as it is, or is where the policy's own begins."""
    goes_on_from: str = ""
    """Arm with whose policy it begins, which then learns from the embedding's distance to the films."""


ARMS = (
    ThirdPersonArm("chase-multi", "filmed from behind, multi-view embedding", ChaseConfig(), MultiViewConfig()),
    ThirdPersonArm("chase-pixels", "filmed from behind, pictures as they are", ChaseConfig()),
    ThirdPersonArm(
        "chase-tuned", "filmed from behind, begins with that embedding", ChaseConfig(), MultiViewConfig(), frozen=False
    ),
    ThirdPersonArm("first-person", "films of the expert's own camera"),
    ThirdPersonArm("chase-single", "filmed from behind, single-view embedding", ChaseConfig(), SingleViewConfig()),
    ThirdPersonArm("tower-multi", "filmed from a tower, multi-view embedding", TowerConfig(), MultiViewConfig()),
    ThirdPersonArm("tower-pixels", "filmed from a tower, pictures as they are", TowerConfig()),
    ThirdPersonArm(
        "chase-reward",
        "chase-multi, then rewarded by the embedding's distance to the films",
        ChaseConfig(),
        MultiViewConfig(),
        goes_on_from="chase-multi",
    ),
)
PAIRS = (
    ("chase-pixels", "chase-multi"),
    ("chase-single", "chase-multi"),
    ("first-person", "chase-multi"),
    ("tower-pixels", "tower-multi"),
    ("chase-multi", "chase-tuned"),
    ("chase-multi", "chase-reward"),
)
"""Arms whose difference is told."""


def copy_missing(source: Path, target: Path, names: Sequence[str]) -> None:
    """Copy folders of one run into another that lacks them, each whole or not at all."""
    for name in names:
        if (source / name).exists() and not (target / name).exists():
            copy = target / "copying"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source / name, copy)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy.replace(target / name)
