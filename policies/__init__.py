"""What is learned and how well it does: encoders, memories, heads, the policy, its training and its evaluation.

The names below are imported on first use, so that `import policies` stays free of torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "PolicyConfig": "policies.visuomotor",
    "VisuomotorPolicy": "policies.visuomotor",
    "Carry": "policies.visuomotor",
    "load_policy": "policies.checkpoint",
    "save_policy": "policies.checkpoint",
    "TrainConfig": "policies.behavioural_cloning",
    "train": "policies.behavioural_cloning",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'policies' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
