"""What older versions stored, as this version reads it: the one place that knows how things were called before.

Plain values in, plain values out; what is of this version already comes back as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def migrate_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a config of any version (a run's, a YAML file's, a training state's) as of this version."""
    return dict(values)
