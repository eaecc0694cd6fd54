"""Policies that were learned inside a model of the world, on disk, each with a copy of its model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, load_tensors, save_state
from forestpilot.policies.world_models.base import WorldModel
from forestpilot.policies.world_models.dreams.options import DreamConfig
from forestpilot.policies.world_models.dreams.policy import DreamPolicy
from forestpilot.policies.world_models.stored import FILE as WORLD_FILE
from forestpilot.policies.world_models.stored import fingerprint_of_model, load_model

FILE = "dream.safetensors"
"""Where in its run folder a policy lies; its model beside it."""
FORMAT = "forestpilot-dream-1"


def make_policy(config: DreamConfig, model: WorldModel) -> DreamPolicy:
    """A new policy, its first weights drawn from the config's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return DreamPolicy(model, config.features)


def keep_model(folder: Path, world: str) -> None:
    """Copy a model into a run folder, so that the policy goes where the folder goes."""
    write_new_file(folder / WORLD_FILE, [(Path(world) / WORLD_FILE).read_bytes()])


def save_dream(folder: Path, policy: DreamPolicy, config: DreamConfig, about: dict[str, Any]) -> None:
    """Write a policy, whole or not at all; its model is there already.

    Args:
        folder: run folder.
        policy: what to write.
        config: how it was learned.
        about: plain facts to keep with it.
    """
    facts = {
        "format": FORMAT,
        "package_version": package_version(),
        "config": to_plain(config),
        "world": fingerprint_of_model(folder),
        "about": about,
    }
    save_state(folder / FILE, dict(policy.state_dict()), facts)


def load_dream(folder: str | Path) -> tuple[WorldModel, DreamPolicy, dict[str, Any]]:
    """A stored policy with its model, and what is kept with it.

    Raises:
        CheckpointError: there is none, or one of the two is damaged, of another kind, or not the other's.
    """
    path = Path(folder) / FILE
    if not path.exists():
        raise CheckpointError(
            f"{folder} holds no policy that was learned inside a world model ({FILE}); "
            f"`forestpilot dream --world RUN --out {folder}` learns one"
        )
    tensors, facts = load_state(path)
    if facts.get("format") != FORMAT:
        raise CheckpointError(f"{path} has the format {facts.get('format')!r}; this version reads {FORMAT}")
    model, _ = load_model(folder)
    if fingerprint_of_model(folder) != facts["world"]:
        raise CheckpointError(f"{path} was learned inside another model than {Path(folder) / WORLD_FILE}")
    policy = make_policy(from_plain(DreamConfig, facts["config"], str(path)), model)
    load_tensors(policy, tensors, path)
    return model, policy.eval().requires_grad_(False), facts


def fingerprint_of_dream(folder: str | Path) -> str:
    """Twelve hexadecimal digits that say which weights these are; those of the model are told by these."""
    return hashlib.sha256((Path(folder) / FILE).read_bytes()).hexdigest()[:12]
