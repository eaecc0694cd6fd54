"""Figures in Weights & Biases (https://docs.wandb.ai): online for who has logged in, otherwise in RUN/wandb, from where
`wandb sync` sends them later.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forestpilot.policies.training.trackers import Tracker
from forestpilot.sim.extras import require

PROJECT = "forestpilot"
"""Unless WANDB_PROJECT says otherwise."""
STEP = "gradient_step"
"""What figures are drawn over: a run that goes on tells some steps again, which wandb's own count does not allow."""


class WeightsAndBiases(Tracker):
    """Tells a run of the project; one that goes on is the same run there."""

    library = "wandb"

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        wandb = require("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.resolve().name,
            id=hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12],
            resume="allow",
            dir=str(folder),
            config=dict(config),
            mode=_mode(wandb),
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric("train/*", step_metric=STEP)

    def write(self, figures: Mapping[str, float], total_step: int) -> None:
        """See `Tracker.write`."""
        self._run.log({STEP: total_step, **{f"train/{name}": value for name, value in figures.items()}})

    def close(self) -> None:
        """Finish the run, until it goes on."""
        self._run.finish()


def _mode(wandb: Any) -> str:
    """What WANDB_MODE says; where it says nothing, online for who has logged in: nobody is asked for a key."""
    said = os.environ.get("WANDB_MODE")
    if said:
        return said
    return "online" if wandb.Api and wandb.setup().settings.api_key else "offline"
