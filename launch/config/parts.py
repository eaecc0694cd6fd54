"""Parts on the command line: `--policy.head mixture --policy.head.components 5`.

A field whose metadata names a registry holds a part's config (`part_of`) or a part's name (`name_of`); one with
`task_options` holds the options of the task that the config's `task` names. Which part or task it is decides which
options there are, so the arguments are looked through for them before they are parsed: the config that the parser takes
its defaults from then holds the options of each part that was asked for, and of no other.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from forestpilot.data_collection.episodes.plain import ConfigError, ordinary_options, part_options
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.registry import PartConfig, Registry, import_attribute
from forestpilot.sim.tasks import DEFAULT_TASK, TASKS


class Slot(NamedTuple):
    """A place in a config that holds a part."""

    path: str
    """Dotted name of the field."""
    registry: Registry[Any]
    """Where the parts are that may be there."""
    part: str
    """Name of the part that is there."""
    chooser: str
    """Dotted name of the field that says which part it is."""
    options: str
    """Attribute of a part that is the class of its options."""


def part_slots(config: Any, prefix: str = "") -> Iterator[Slot]:
    """All places in a config that hold parts, those of a part after the part itself."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        path = f"{prefix}{field.name}"
        if isinstance(value, PartConfig) and "registry" in field.metadata:
            yield Slot(path, registry_at(field.metadata["registry"]), value.part, path, "Config")
        if is_config(value):
            yield from part_slots(value, f"{path}.")


def is_config(value: Any) -> bool:
    """Tell an instance of a dataclass from anything else."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def choose_parts(config: Any, args: Sequence[str]) -> Any:
    """The config with the parts that the arguments name, each with its own defaults.

    Args:
        config: what the arguments are applied to; it may lack values that only an argument can give.
        args: arguments of the command.

    Raises:
        UnknownNameError: there is no such part.
    """
    given = _given(args)
    chosen: set[str] = set()
    while True:
        asked = [slot for slot in part_slots(config) if slot.path in given and slot.path not in chosen]
        if not asked:
            return config
        slot = asked[0]
        chosen.add(slot.path)
        name = given[slot.path]
        if name != slot.part:
            config = _replaced(config, slot.path, default_config(slot.registry, name))


def default_config(registry: Registry[Any], name: str) -> PartConfig:
    """The config of a part of which nothing is said but its name.

    Raises:
        UnknownNameError: there is no such part.
    """
    return part_options(registry, name)()


def choose_tasks(config: Any, values: Mapping[str, Any], args: Sequence[str]) -> Any:
    """The config with the tasks that a file or the arguments name, and with the options of these tasks.

    Args:
        config: as for `choose_parts`.
        values: values of a file by their dotted names.
        args: arguments of the command, which have the last word.

    Raises:
        UnknownNameError: there is no such task.
    """
    for path, name in {**values, **_given(args)}.items():
        if (path == "task" or path.endswith(".task")) and _has(config, path):
            config = _replaced(config, path, name)
    return _with_task_options(config, DEFAULT_TASK)


def choose_names(config: Any, args: Sequence[str]) -> Any:
    """The config with the names of parts that the arguments give, `package.module:attribute` included.

    Args:
        config: as for `choose_parts`.
        args: arguments of the command; a name that must be given may stand first, without a flag.

    Raises:
        UnknownNameError: there is no such part.
    """
    import tyro

    given = _given(args)
    for path, value, registry in name_slots(config):
        name = given.get(path, "")
        if value is tyro.MISSING and args and not args[0].startswith("-"):
            name = args[0]
        if name and name not in registry:
            registry.get(name)
        if name:
            config = _replaced(config, path, name)
    return config


def name_slots(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Registry[Any]]]:
    """Dotted name, value and registry of all fields of a config that hold the name of a part."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        path = f"{prefix}{field.name}"
        if "names" in field.metadata:
            yield path, value, registry_at(field.metadata["names"])
        if is_config(value):
            yield from name_slots(value, f"{path}.")


def require_belonging(path: str, places: Iterable[Slot], source: str = "") -> None:
    """Raise ConfigError if an option that a config lacks is one of a part or of a task that was not chosen.

    Args:
        path: dotted name of the option.
        places: where the config holds parts, or options of a task.
        source: file that the option stands in; empty for the command line.
    """
    for slot in places:
        owners = owners_of(path, slot)
        if owners and slot.part not in owners:
            kind = slot.registry.kind
            told = f"{source}: {path}"
            choice = f"{slot.chooser}: {owners[0]}"
            if not source:
                told = f"`{as_flag(path)}`"
                choice = f"`{as_flag(slot.chooser)} {owners[0]}`"
            raise ConfigError(
                f"{told} belongs to the {kind} {' and the '.join(owners)}, but the {kind} here is {slot.part}; "
                f"leave it out, or choose another {kind}: {choice}"
            )


def owners_of(path: str, place: Slot) -> list[str]:
    """Names of the parts that may stand in a place and have an option of a dotted name."""
    inside = path.removeprefix(f"{place.path}.")
    if inside == path:
        return []
    option = inside.partition(".")[0]
    return [name for name in place.registry.names() if option in _options(place, name)]


def as_flag(path: str) -> str:
    """`--policy.head` for the dotted name of a field."""
    return f"--{path.replace('_', '-')}"


def as_path(arg: str) -> str:
    """The dotted name of the field that `--policy.head` or `--policy.head=mixture` sets."""
    return arg.partition("=")[0].removeprefix("--").replace("-", "_")


def registry_at(home: str) -> Registry[Any]:
    """The registry that a field's metadata names, `package.module:NAME`."""
    registry: Registry[Any] = import_attribute(home, "registry")
    return registry


def _options(slot: Slot, name: str) -> set[str]:
    """Names of a part's options; none where it cannot be imported."""
    try:
        config = getattr(slot.registry.get(name), slot.options)
    except (ForestPilotError, AttributeError):
        return set()
    return {field.name for field in dataclasses.fields(config)}


def task_slots(config: Any, prefix: str = "", task: str = DEFAULT_TASK, chooser: str = "task") -> Iterator[Slot]:
    """All places in a config that hold options of a task, which the nearest field `task` around them says."""
    if hasattr(config, "task"):
        task = config.task
        chooser = f"{prefix}task"
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        path = f"{prefix}{field.name}"
        if "task_options" in field.metadata:
            yield Slot(path, TASKS, task, chooser, "Options")
        elif is_config(value):
            yield from task_slots(value, f"{path}.", task, chooser)


def _with_task_options(config: Any, task: str) -> Any:
    """The config with options of its task wherever it has those of another task, or none."""
    fitted = copy.copy(config)
    task = getattr(config, "task", task)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if "task_options" in field.metadata:
            known = TASKS.get(task)
            if not isinstance(value, known.Options):
                value = ordinary_options(known, field.metadata["task_options"])
        elif is_config(value):
            value = _with_task_options(value, task)
        object.__setattr__(fitted, field.name, value)
    return fitted


def _given(args: Sequence[str]) -> dict[str, str]:
    """The last value that is given for each option."""
    given: dict[str, str] = {}
    for arg, following in zip(args, [*args[1:], ""]):
        if arg.startswith("--"):
            _, equals, value = arg.partition("=")
            given[as_path(arg)] = value if equals else following
    return given


def _has(config: Any, path: str) -> bool:
    """Tell if a config has a field of a dotted name."""
    for name in path.split("."):
        if not is_config(config) or not hasattr(config, name):
            return False
        config = getattr(config, name)
    return True


def _replaced(config: Any, path: str, value: Any) -> Any:
    """The config with another value at a dotted path; nothing is checked, since more may change before it is whole."""
    name, _, rest = path.partition(".")
    changed = copy.copy(config)
    object.__setattr__(changed, name, _replaced(getattr(config, name), rest, value) if rest else value)
    return changed
