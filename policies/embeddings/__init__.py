"""Embeddings of pictures in which the same moment is the same point, whoever looks on; ways to learn them, by name.

A way is a subclass of `forestpilot.policies.embeddings.embedder.Embedder` and a line here; `forestpilot embed
--embedder NAME` takes it, and its options with `--embedder.OPTION`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.embeddings.embedder import Embedder

__all__ = ["EMBEDDERS", "EmbedderConfig"]


@dataclass(frozen=True)
class EmbedderConfig(PartConfig):
    """Options of a way to learn an embedding; each has a subclass of its own."""


_HERE = "forestpilot.policies.embeddings"
EMBEDDERS: Registry[type[Embedder]] = Registry("way of learning an embedding", f"{_HERE}:EMBEDDERS")
EMBEDDERS.register("multi-view", f"{_HERE}.multi_view:MultiView", "TCN: the same moment from two views attracts")
EMBEDDERS.register("single-view", f"{_HERE}.single_view:SingleView", "TCN: moments of one view that are near attract")
