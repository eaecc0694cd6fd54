"""Registries: the parts that ForestPilot is made of, by name, its own and those of other packages.

A part is one file and one line that registers it. ForestPilot's own lines stand beside each registry; another package
names a function in the entry-point group `forestpilot.plugins`, and that function holds its lines:

    [project.entry-points."forestpilot.plugins"]
    rover = "forestpilot_rover:register"

    def register():
        TASKS.register("rover", "forestpilot_rover.task:ROVER", "a four-wheeled rover between rows of trees")

Plug-ins are loaded when a registry is asked for the first time, in every process; one that cannot be loaded is named in
a warning and left out. What is registered as `package.module:attribute` is imported when it is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Generic, TypeVar, cast

from forestpilot.sim.errors import ForestPilotError

PLUGINS_GROUP = "forestpilot.plugins"
OWN_DISTRIBUTION = "forestpilot"

PartT = TypeVar("PartT")


class UnknownNameError(ForestPilotError, ValueError):
    """A name that nothing is registered under."""


class DuplicateNameError(ForestPilotError, ValueError):
    """A name that something else is registered under already."""


@dataclass(frozen=True)
class PartConfig:
    """Options of a part; each part has a frozen subclass of its own, with a docstring under each field."""

    part: ClassVar[str] = ""
    """Name under which the part is registered."""


@dataclass(frozen=True)
class BrokenPlugin:
    """A plug-in that could not be loaded."""

    name: str
    """Name of its entry point."""
    distribution: str
    """The installed distribution that it belongs to."""
    error: str
    """What went wrong."""


@dataclass(frozen=True)
class Registered:
    """A line of a registry."""

    name: str
    """Name of the part."""
    summary: str
    """What it is, in a line."""
    distribution: str
    """Which installed distribution registered it."""


class Registry(Generic[PartT]):
    """Parts of one kind by name, in the order in which they were registered.

    Args:
        kind: what a part is, in a word or two, for messages: `head`, `task`.
        home: where the registry is found, `package.module:NAME`, for messages.
    """

    def __init__(self, kind: str, home: str) -> None:
        self.kind = kind
        self.home = home
        self._parts: dict[str, PartT | str] = {}
        self._lines: dict[str, Registered] = {}

    def register(self, name: str, part: PartT | str, summary: str = "") -> None:
        """Add a part.

        Args:
            name: what it is asked for by.
            part: the part, or `package.module:attribute` to import it from when it is asked for.
            summary: what it is, in a line.

        Raises:
            DuplicateNameError: the name is taken.
        """
        if name in self._parts:
            taken = self._lines[name].distribution
            raise DuplicateNameError(f"there is a {self.kind} {name!r} already, from {taken}; choose another name")
        # A plug-in may be the first to import a registry, whose own lines are ForestPilot's all the same.
        caller = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        distribution = OWN_DISTRIBUTION if caller == OWN_DISTRIBUTION else _registering
        self._parts[name] = part
        self._lines[name] = Registered(name, summary, distribution)

    def unregister(self, name: str) -> None:
        """Take a part out again; tests do."""
        self._require(name)
        del self._parts[name]
        del self._lines[name]

    def get(self, name: str) -> PartT:
        """The part of a name.

        Args:
            name: a registered name, or `package.module:attribute` for a part that nobody has registered.

        Raises:
            UnknownNameError: nothing is registered under the name, or nothing can be imported from there.
        """
        if ":" in name and name not in self._parts:
            return cast(PartT, import_attribute(name, self.kind))
        self._require(name)
        part = self._parts[name]
        if isinstance(part, str):
            part = cast(PartT, import_attribute(part, self.kind))
            self._parts[name] = part
        return part

    def names(self) -> tuple[str, ...]:
        """All names, ForestPilot's own first."""
        load_plugins()
        return tuple(self._parts)

    def lines(self) -> tuple[Registered, ...]:
        """List what is registered, and by whom; imports none of it."""
        load_plugins()
        return tuple(self._lines.values())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def _require(self, name: str) -> None:
        if name in self._parts or name in self.names():
            return
        raise UnknownNameError(
            f"there is no {self.kind} {name!r}; {closest(name, self.names())} "
            f"{self.home.replace(':', '.')}.register(name, part) adds one, in a plug-in (entry points "
            f"{PLUGINS_GROUP!r}) or before it is used; `forestpilot doctor` lists them"
        )


def closest(name: str, known: tuple[str, ...] | list[str]) -> str:
    """`did you mean 'x'?` for the known name most like `name`, or the known names where none is alike."""
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if match:
        return f"did you mean {match[0]!r}?"
    return f"known are: {', '.join(known) or 'none'}."


def import_attribute(target: str, kind: str = "part") -> Any:
    """Import what `package.module:attribute` names.

    Raises:
        UnknownNameError: the module cannot be imported, or has no such attribute.
    """
    module_name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UnknownNameError(f"the {kind} {target!r} cannot be imported: {error}") from error
    if not hasattr(module, attribute):
        raise UnknownNameError(f"the {kind} {target!r} is not there: {module_name} has no {attribute!r}")
    return getattr(module, attribute)


_registering = OWN_DISTRIBUTION
"""The distribution whose lines are being registered."""
_loaded = False
_broken: list[BrokenPlugin] = []


def broken_plugins() -> tuple[BrokenPlugin, ...]:
    """The plug-ins that were left out because they could not be loaded."""
    load_plugins()
    return tuple(_broken)


def load_plugins() -> None:
    """Let every installed plug-in register its parts, once in a process; a broken one is named and skipped."""
    global _loaded
    if _loaded:
        return
    _loaded = True
    for entry_point in sorted(entry_points(group=PLUGINS_GROUP), key=lambda point: point.name):
        _load(entry_point)


def _load(entry_point: EntryPoint) -> None:
    global _registering
    distribution = entry_point.dist.name if entry_point.dist is not None else entry_point.value
    _registering = distribution
    try:
        register = entry_point.load()
        register()
    except Exception as error:  # whatever a stranger's code raises, the rest goes on
        broken = BrokenPlugin(entry_point.name, distribution, f"{type(error).__name__}: {error}")
        _broken.append(broken)
        warnings.warn(
            f"the ForestPilot plug-in {broken.name!r} of {distribution} is left out: {broken.error}",
            RuntimeWarning,
            stacklevel=2,
        )
    finally:
        _registering = OWN_DISTRIBUTION


def part_of(registry: str) -> dict[str, str]:
    """Metadata of a config field that holds a part: where its registry is, `package.module:NAME`."""
    return {"registry": registry}


def name_of(registry: str) -> dict[str, str]:
    """Metadata of a config field that holds the name of a part: where its registry is, `package.module:NAME`."""
    return {"names": registry}
