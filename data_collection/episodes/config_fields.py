"""What a field of a config is for: whether it changes what comes out of a run, and whether it means anything elsewhere.

    @dataclass(frozen=True)
    class Config:
        out: str = not_the_result("runs/train")
        steps: int = 3000

Whoever compares two configs (a run that goes on, a training state) leaves out what is not the result; whoever keeps a
config beside a policy leaves out the folders of this machine too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from forestpilot.data_collection.episodes.plain import DataclassInstance, to_plain

_RESULT = "changes_the_result"
_TRAVELS = "means_something_elsewhere"


def not_the_result(
    default: Any = dataclasses.MISSING,
    *,
    default_factory: Any = dataclasses.MISSING,
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """A field that says where and how a run goes on (its folder, its processes), not what comes out of it."""
    return _field(default, default_factory, {**(metadata or {}), _RESULT: False, _TRAVELS: False})


def of_this_machine(default: Any = dataclasses.MISSING, *, default_factory: Any = dataclasses.MISSING) -> Any:
    """A field that changes the result, but names something of this machine: folders of data."""
    return _field(default, default_factory, {_TRAVELS: False})


def result_values(config: DataclassInstance) -> dict[str, Any]:
    """The plain values of the fields, nested ones too, that change what comes out."""
    return _values(config, to_plain(config), _RESULT)


def travelling_values(config: DataclassInstance) -> dict[str, Any]:
    """The plain values of the fields that say something about what was made, wherever it is read."""
    return _values(config, to_plain(config), _TRAVELS)


def _field(default: Any, default_factory: Any, metadata: Mapping[str, Any]) -> Any:
    if default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _values(config: DataclassInstance, plain: Mapping[str, Any], mark: str) -> dict[str, Any]:
    values = dict(plain)
    for field in dataclasses.fields(config):
        value: Any = getattr(config, field.name)
        if not field.metadata.get(mark, True):
            del values[field.name]
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            values[field.name] = _values(value, values[field.name], mark)
    return values
