"""Embeddings on disk: weights in safetensors, with what they are, under one digest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.policies.networks.checkpoint import CheckpointError, load_state, load_tensors, save_state
from forestpilot.policies.networks.config import ViewConfig
from forestpilot.policies.networks.embedding import Embedding
from forestpilot.policies.networks.encoders.embedding import FILE
from forestpilot.policies.networks.encoders.options import EmbeddingShape
from forestpilot.sim.envs.task_spec import TaskSpec

FORMAT = "forestpilot-embedding-1"


def save_embedding(folder: Path, embedding: Embedding, spec: TaskSpec, about: dict[str, Any]) -> None:
    """Write an embedding, whole or not at all.

    Args:
        folder: run folder; made if missing.
        embedding: what to write.
        spec: the task whose pictures it embeds.
        about: plain facts to keep with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "format": FORMAT,
        "package_version": package_version(),
        "shape": to_plain(embedding.shape),
        "view": to_plain(embedding.view),
        "task_spec": spec.to_dict(),
        "about": about,
    }
    save_state(folder / FILE, dict(embedding.state_dict()), facts)


def load_embedding(folder: str | Path) -> tuple[Embedding, dict[str, Any]]:
    """A stored embedding, to embed with, and what is kept with it.

    Raises:
        CheckpointError: there is none, or it is damaged or of another kind.
    """
    path = Path(folder) / FILE
    if not path.exists():
        raise CheckpointError(f"{folder} holds no embedding ({FILE}); `forestpilot embed --out {folder}` learns one")
    tensors, facts = load_state(path)
    if facts.get("format") != FORMAT:
        raise CheckpointError(f"{path} has the format {facts.get('format')!r}; this version reads {FORMAT}")
    shape = from_plain(EmbeddingShape, facts["shape"], str(path))
    embedding = Embedding(shape, from_plain(ViewConfig, facts["view"], str(path)))
    load_tensors(embedding, tensors, path)
    return embedding.eval().requires_grad_(False), facts
