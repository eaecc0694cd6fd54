"""The options of a config without parsing anything: what completion offers."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import tyro

from forestpilot.launch.config.parse import start_of
from forestpilot.launch.config.parts import as_flag, is_config, registry_at


class Option(NamedTuple):
    """One option of a command."""

    flags: tuple[str, ...]
    """`--out`, or `--web` and `--no-web`; empty for a value that stands by itself."""
    choices: tuple[str, ...]
    """The values that are allowed, where these can be listed."""
    takes_value: bool
    """Whether a value follows."""


def options_of(config_class: type[Any], presets: Mapping[str, Any] | None = None) -> tuple[Option, ...]:
    """All options that a command with this config takes, those of the parts that it has by default included.

    Args:
        config_class: frozen dataclass, as for `parse_config`.
        presets: likewise.
    """
    common = [Option(("--help",), (), False), Option(("--config",), (), True)]
    base = None
    if presets:
        common.append(Option(("--preset",), tuple(presets), True))
        base = next(iter(presets.values()))
    return (*common, *_options(start_of(config_class, base=base), ""))


def _options(config: Any, prefix: str) -> Iterator[Option]:
    """Options of a config whose own dotted name is the prefix."""
    hints = get_type_hints(type(config), include_extras=True)
    for field in fields(config):
        path = f"{prefix}{field.name}"
        value = getattr(config, field.name)
        hint = hints[field.name]
        home = field.metadata.get("registry") or field.metadata.get("names")
        if is_config(value):
            if home:
                yield Option((as_flag(path),), registry_at(home).names(), True)
            yield from _options(value, f"{path}.")
            continue
        flags = () if _is_positional(hint) else (as_flag(path),)
        if isinstance(value, bool):
            yield Option((*flags, as_flag(f"{prefix}no_{field.name}")), (), False)
        else:
            yield Option(flags, registry_at(home).names() if home else tuple(_choices(hint)), True)


def _is_positional(hint: Any) -> bool:
    """Tell if a value is given without a flag."""
    return tyro.conf.Positional in getattr(hint, "__metadata__", ())


def _choices(hint: Any) -> Iterator[str]:
    """The values of a `Literal`, wherever it stands in a type."""
    if get_origin(hint) is Literal:
        yield from map(str, get_args(hint))
    elif get_origin(hint) in (Annotated, Union, types.UnionType, tuple, list):
        for part in get_args(hint):
            yield from _choices(part)
