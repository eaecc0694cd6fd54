"""Encoders: from the views, state and goal of a step to its features. A file each; registered here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestpilot.sim.registry import PartConfig, Registry

if TYPE_CHECKING:
    from forestpilot.policies.networks.encoders.base import Encoder


@dataclass(frozen=True)
class EncoderConfig(PartConfig):
    """Options of an encoder; each has a subclass of its own."""


ENCODERS: Registry[type[Encoder]] = Registry("encoder", "forestpilot.policies.networks.encoders:ENCODERS")
_HERE = "forestpilot.policies.networks.encoders"
ENCODERS.register("patch", f"{_HERE}.patch:PatchEncoder", "patches of 4x4 pixels, two convolutions over them")
ENCODERS.register("film", f"{_HERE}.film:FilmEncoder", "patches, of which state and goal say what to look for")
ENCODERS.register("cnn", f"{_HERE}.cnn:ConvolutionalEncoder", "three convolutions, the first on every pixel")
ENCODERS.register("stacked", f"{_HERE}.stacked:StackedEncoder", "convolutions over all pictures at once, for motion")
ENCODERS.register("embedding", f"{_HERE}.embedding:EmbeddingEncoder", "points of a stored embedding (embed)")
