"""Configs: frozen dataclasses, read from flags and YAML, saved whole beside what they made.

A verb's config is a frozen dataclass with a docstring under each field. `parse_config` turns command line arguments
into one: defaults of the dataclass, then `--config file.yaml`, then flags, the later overriding the earlier. A run
keeps it in its folder (`forestpilot.data_collection.episodes.run`), and that config.json is such a file.
"""

from forestpilot.data_collection.episodes.plain import ConfigError, from_plain, to_plain
from forestpilot.launch.config.parse import parse_config, read_yaml, take_flag

__all__ = [
    "ConfigError",
    "from_plain",
    "parse_config",
    "read_yaml",
    "take_flag",
    "to_plain",
]
