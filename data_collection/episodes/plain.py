"""Configs as plain values, and back: what saved configs, checkpoints and YAML files hold.

`to_plain` turns a frozen dataclass into mappings, lists, strings, numbers and None; `from_plain` makes the config again
and says of everything that is wrong where it stands, what is allowed and what was given. A part (see
`forestpilot.sim.registry`) is `{"part": "mixture", "components": 5}`, or its name alone for its ordinary options; which
registry it is from stands in the metadata of its field.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from cattrs import Converter

from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.ranges import ranges_of
from forestpilot.sim.registry import PartConfig, Registry, closest, import_attribute
from forestpilot.sim.tasks import TASKS, Task, TaskOptions

PART_KEY = "part"
"""Key under which plain values name the part that the other keys are options of."""


class ConfigError(ForestPilotError, ValueError):
    """A config that cannot be read: a key or value that is not allowed, or a file that is not there."""


class DataclassInstance(Protocol):
    """Any dataclass; the standard library has no public name for it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


ConfigT = TypeVar("ConfigT", bound=DataclassInstance)


class _MisfitError(ValueError):
    """A value that does not fit; `where` grows from the inside out."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where} {problem}" if where else problem)
        self.where = where
        self.problem = problem


def to_plain(config: DataclassInstance) -> dict[str, Any]:
    """A config as plain JSON values: paths become strings, tuples lists, parts mappings that name the part."""
    plain: dict[str, Any] = _converter().unstructure(config)
    return plain


def from_plain(
    config_class: type[ConfigT], values: Mapping[str, Any], source: str = "the config", base: ConfigT | None = None
) -> ConfigT:
    """A config from plain values, checked: the inverse of `to_plain`.

    Args:
        config_class: frozen dataclass.
        values: its fields by name, `-` for `_` allowed; a nested config that is given in part keeps the rest of its
            defaults.
        source: where the values are from, for messages.
        base: takes the place of the defaults.

    Raises:
        ConfigError: an unknown key (the closest known one is named), a missing key, or a value of the wrong type.
    """
    known = fields_from_plain(config_class, values, source, base)
    if base is not None:
        return _made(source, dataclasses.replace, base, **known)
    required = [field.name for field in dataclasses.fields(config_class) if default_of(field) is dataclasses.MISSING]
    missing = [name for name in required if name not in known]
    if missing:
        raise ConfigError(f"{source} lacks {', '.join(missing)}, which {config_class.__name__} has no default for")
    return _made(source, config_class, **known)


def _made(source: str, make: Callable[..., ConfigT], *args: Any, **known: Any) -> ConfigT:
    """A config made from checked values; where it refuses how they go together, the error names the source."""
    try:
        return make(*args, **known)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from error


def fields_from_plain(
    config_class: type[DataclassInstance],
    values: Mapping[str, Any],
    source: str = "the config",
    base: DataclassInstance | None = None,
) -> dict[str, Any]:
    """The fields that plain values give, as the types of the config; fields that are not given are left out.

    Args, Raises: see `from_plain`; nothing is missing here.
    """
    try:
        return _fields(config_class, values, base, None)
    except _MisfitError as error:
        raise ConfigError(f"{source}: {error}") from error


def default_of(field: dataclasses.Field[Any], base: Any = None) -> Any:
    """Value of a field when nothing is said: that of the base config, else its own; MISSING where it has none."""
    if base is not None:
        return getattr(base, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def ordinary_options(task: Task, defaults: str = "Options") -> TaskOptions:
    """A task's own options where nothing is said; `defaults` as in `task_options`."""
    ordinary = getattr(task, defaults)
    options: TaskOptions = ordinary() if isinstance(ordinary, type) else ordinary
    return options


def task_of(config_class: type[DataclassInstance], values: Mapping[str, Any], base: Any = None) -> Task | None:
    """The task that a config is about: by its key `task`, or by default; None for a config without one.

    Raises:
        UnknownNameError: there is no such task.
    """
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    if "task" not in fields:
        return None
    name = values.get("task", default_of(fields["task"], base))
    return TASKS.get(name) if isinstance(name, str) else None


def registry_of(field: dataclasses.Field[Any]) -> Registry[Any] | None:
    """The registry that the part in a config field is from; None for a field that holds no part."""
    home = field.metadata.get("registry")
    if home is None:
        return None
    registry: Registry[Any] = import_attribute(home, "registry")
    return registry


def part_options(registry: Registry[Any], name: str) -> type[PartConfig]:
    """The class of a part's options.

    Raises:
        UnknownNameError: there is no such part.
        ConfigError: what the name leads to is no part.
    """
    options = getattr(registry.get(name), "Config", None)
    if not (isinstance(options, type) and issubclass(options, PartConfig)):
        raise ConfigError(f"{name!r} is no {registry.kind}: it has no `Config` that is a PartConfig")
    return options


@cache
def _hints_of(config_class: Any) -> Mapping[str, Any]:
    """Types of a config's fields."""
    return types.MappingProxyType(get_type_hints(config_class))


def _fields(config_class: type[Any], values: Mapping[str, Any], base: Any, outer_task: Task | None) -> dict[str, Any]:
    hashable: Any = config_class
    hints = _hints_of(hashable)
    ranges = ranges_of(config_class)
    fields = {field.name: field for field in dataclasses.fields(config_class) if field.init}
    try:
        task = task_of(config_class, values, base) or outer_task
    except ForestPilotError as error:
        raise _MisfitError("task", f"is wrong: {error}") from error
    known: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in fields:
            raise _MisfitError(str(key), f"is an unknown key; {closest(name, sorted(fields))}")
        try:
            known[name] = _field(fields[name], hints[name], value, default_of(fields[name], base), task)
        except _MisfitError as error:
            raise _inside(name, error) from error
        except ValueError as error:  # the config inside refuses how its values go together
            raise _MisfitError(name, f"is refused: {error}") from error
        problem = ranges[name].problem(known[name]) if name in ranges else None
        if problem:
            raise _MisfitError(name, problem)
    return known


def _field(field: dataclasses.Field[Any], hint: Any, value: Any, default: Any, task: Task | None) -> Any:
    registry = registry_of(field)
    if registry is not None:
        return _part(registry, value, default)
    if "task_options" in field.metadata:
        return _options(field.metadata["task_options"], value, default, task)
    if isinstance(value, Mapping) and _is_config(default):  # given in part
        return _changed(default, value, task)
    return _convert(value, hint)


def _options(defaults: str, value: Any, default: Any, task: Task | None) -> Any:
    if task is None:
        raise _MisfitError("", "are a task's, and nothing around them says of which task")
    base = default if isinstance(default, task.Options) else ordinary_options(task, defaults)
    return _changed(base, _mapping(value))


def _part(registry: Registry[Any], value: Any, default: Any) -> PartConfig | None:
    """The config of the part that is named; of the default part where only options are given."""
    if value is None:
        return None
    chosen = value if isinstance(value, str) else _mapping(value).get(PART_KEY, getattr(default, PART_KEY, ""))
    options = {} if isinstance(value, str) else {key: value[key] for key in value if key != PART_KEY}
    try:
        config_class = part_options(registry, chosen)
    except ForestPilotError as error:
        raise _MisfitError("", f"is wrong: {error}") from error
    base = default if isinstance(default, config_class) else config_class()
    _require_own_options(registry, chosen, base, options)
    return _changed(base, options)


def _require_own_options(registry: Registry[Any], chosen: str, config: PartConfig, options: Mapping[str, Any]) -> None:
    own = [field.name for field in dataclasses.fields(config)]
    for key in options:
        name = str(key).replace("-", "_")
        if name in own:
            continue
        owners = [repr(other) for other in registry if hasattr(registry.get(other).Config, name)]
        if owners:
            raise _MisfitError("", f"is {chosen!r}, but {key} is an option of {' and '.join(owners)}")


def _changed(config: Any, values: Mapping[str, Any], task: Task | None = None) -> Any:
    if isinstance(config, PartConfig) and values.get(PART_KEY) == config.part:
        values = {key: value for key, value in values.items() if key != PART_KEY}
    return dataclasses.replace(config, **_fields(type(config), values, config, task))


def _convert(value: Any, hint: Any) -> Any:
    return _converter().structure(value, hint)


def _inside(outer: str, error: _MisfitError) -> _MisfitError:
    """The error as it is told one level further out."""
    separator = "." if error.where and not error.where.startswith("[") else ""
    return _MisfitError(outer + separator + error.where, error.problem)


def _is_config(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


@cache
def _converter() -> Converter:
    """Strict where cattrs is lenient: nothing is turned into a number, text or truth value that is none."""
    converter = Converter(detailed_validation=False)
    for kind in (bool, int, float, str, Path):
        converter.register_structure_hook(kind, _scalar)
    converter.register_structure_hook_func(lambda hint: get_origin(hint) is Literal, _literal)
    converter.register_structure_hook_func(dataclasses.is_dataclass, _nested)
    converter.register_structure_hook_func(_is_union, _union)
    converter.register_structure_hook_func(_is_list, _list)
    converter.register_structure_hook_func(lambda hint: hint is dict or get_origin(hint) is dict, _plain_mapping)
    converter.register_unstructure_hook_func(dataclasses.is_dataclass, _unstructure)
    converter.register_unstructure_hook(tuple, lambda values: [converter.unstructure(value) for value in values])
    converter.register_unstructure_hook_func(lambda kind: isinstance(kind, type) and issubclass(kind, Path), str)
    return converter


def _unstructure(config: Any) -> dict[str, Any]:
    """By what a field holds, not by how it is typed: a part is more than the kind that it is of."""
    plain: dict[str, Any] = {}
    if isinstance(config, PartConfig) and config.part:
        plain[PART_KEY] = config.part
    for field in dataclasses.fields(config):
        plain[field.name] = _converter().unstructure(getattr(config, field.name))
    return plain


def _scalar(value: Any, hint: type) -> Any:
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-3 as a string
        except ValueError:
            pass
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    raise _MisfitError("", f"must be {hint.__name__}, not {value!r}")


def _literal(value: Any, hint: Any) -> Any:
    allowed = get_args(hint)
    if value not in allowed:
        raise _MisfitError("", f"is {value!r}, but must be one of {', '.join(map(repr, allowed))}")
    return value


def _nested(value: Any, hint: type[Any]) -> Any:
    return hint(**_fields(hint, _mapping(value), None, None))


def _plain_mapping(value: Any, _: Any) -> dict[str, Any]:
    return dict(_mapping(value))


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _MisfitError("", f"must be a mapping of keys to values, not {value!r}")
    return value


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _union(value: Any, hint: Any) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if value is None and len(kinds) < len(get_args(hint)):
        return None
    for kind in kinds[:-1]:
        try:
            return _convert(value, kind)
        except _MisfitError:
            continue
    return _convert(value, kinds[-1])


def _is_list(hint: Any) -> bool:
    return get_origin(hint) in (tuple, list)


def _list(value: Any, hint: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _MisfitError("", f"must be a list, not {value!r}")
    collection = get_origin(hint)
    kinds = get_args(hint)
    if collection is list or kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise _MisfitError("", f"must have {len(kinds)} entries, not {len(value)}")
    entries = []
    for index, (entry, kind) in enumerate(zip(value, kinds)):
        try:
            entries.append(_convert(entry, kind))
        except _MisfitError as error:
            raise _inside(f"[{index}]", error) from error
    return collection(entries)
