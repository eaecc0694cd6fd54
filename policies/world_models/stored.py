"""Models of the world on disk: weights in safetensors, with what they are, under one digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, load_tensors, save_state
from forestpilot.policies.world_models import WORLD_MODELS
from forestpilot.policies.world_models.base import WorldModel
from forestpilot.policies.world_models.options import ImagineConfig
from forestpilot.sim.envs.task_spec import TaskSpec

FILE = "world.safetensors"
"""Where in its run folder a model lies."""
FORMAT = "forestpilot-world-2"


def make_model(config: ImagineConfig, spec: TaskSpec) -> WorldModel:
    """A new model, its first weights drawn from the config's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return WORLD_MODELS.get(config.model.part)(config.model, spec)


def save_model(folder: Path, model: WorldModel, config: ImagineConfig, about: dict[str, Any]) -> None:
    """Write a model, whole or not at all.

    Args:
        folder: run folder.
        model: what to write.
        config: how it was trained.
        about: plain facts to keep with it.
    """
    facts = {
        "format": FORMAT,
        "package_version": package_version(),
        "config": to_plain(config),
        "task_spec": model.spec.to_dict(),
        "about": about,
    }
    save_state(folder / FILE, dict(model.state_dict()), facts)


def load_model(folder: str | Path) -> tuple[WorldModel, dict[str, Any]]:
    """A stored model, to be imagined with, and what is kept with it.

    Raises:
        CheckpointError: there is none, or it is damaged or of another kind.
    """
    path = Path(folder) / FILE
    if not path.exists():
        raise CheckpointError(
            f"{folder} holds no world model ({FILE}); `forestpilot imagine --out {folder}` learns one"
        )
    tensors, facts = load_state(path)
    if facts.get("format") != FORMAT:
        raise CheckpointError(f"{path} has the format {facts.get('format')!r}; this version reads {FORMAT}")
    config = from_plain(ImagineConfig, facts["config"], str(path))
    model = make_model(config, TaskSpec.from_dict(facts["task_spec"]))
    load_tensors(model, tensors, path)
    return model.eval().requires_grad_(False), facts


def fingerprint_of_model(folder: str | Path) -> str:
    """Twelve hexadecimal digits that say which weights these are."""
    return hashlib.sha256((Path(folder) / FILE).read_bytes()).hexdigest()[:12]
