"""Noises: what makes an expert's demonstrations show more than the expert's own way.

A noise is one file and one line here; `forestpilot collect --noise NAME` takes it, and its options with
`--noise.OPTION`.
"""

from __future__ import annotations

from forestpilot.data_collection.rollouts.noises.noise import Noise, NoiseConfig
from forestpilot.sim.registry import Registry

__all__ = ["NOISES", "Noise", "NoiseConfig"]

_HERE = "forestpilot.data_collection.rollouts.noises"

NOISES: Registry[type[Noise]] = Registry("noise", f"{_HERE}:NOISES")
NOISES.register("none", f"{_HERE}.no_noise:NoNoise", "the expert goes its way")
NOISES.register("action", f"{_HERE}.action:ActionNoise", "noise on what the expert does, clean labels (DART)")
NOISES.register("pose", f"{_HERE}.pose:PoseNoiseOfExpert", "every so often the vehicle is put elsewhere, and goes on")
