"""Policies that ForestPilot has trained, in LeRobot: `--policy.path=FOLDER`, which `convert` has written.

LeRobot finds this package by its name; ForestPilot's environments come with it.
"""

from __future__ import annotations

import lerobot_env_forestpilot  # noqa: F401  (it registers the environments)

from lerobot_policy_forestpilot.configuration_forestpilot import ForestPilotConfig

__all__ = ["ForestPilotConfig"]
