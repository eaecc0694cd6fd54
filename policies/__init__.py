"""What is learned and how well it does: encoders, memories, heads, the policy, its training and its evaluation.

The names below are imported on first use, so that `import forestpilot.policies` stays free of torch. Whatever of it is
imported, torch's threads are told first not to spin for long (`forestpilot.policies.openmp`).
"""

from __future__ import annotations

import importlib
from typing import Any

from forestpilot.policies.openmp import bound_spinning, bound_threads

bound_spinning()
bound_threads()

_HOMES = {
    "PolicyConfig": "forestpilot.policies.networks.config",
    "VisuomotorPolicy": "forestpilot.policies.networks.visuomotor",
    "Carry": "forestpilot.policies.networks.visuomotor",
    "load_policy": "forestpilot.policies.networks.checkpoint",
    "save_policy": "forestpilot.policies.networks.checkpoint",
    "TrainConfig": "forestpilot.policies.training.train_config",
    "train": "forestpilot.policies.training.loop",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'policies' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
