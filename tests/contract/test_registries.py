"""Registries: one behaviour for all of them, whoever registers."""

from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from forestpilot.launch.verbs.doctor import REGISTRIES
from forestpilot.sim import registry as registries
from forestpilot.sim.registry import (
    DuplicateNameError,
    Registry,
    UnknownNameError,
    broken_plugins,
    import_attribute,
)

PLUGIN = "plugin_of_this_test"


@pytest.fixture
def parts() -> Registry[Any]:
    registry: Registry[Any] = Registry("part", "somewhere:PARTS")
    registry.register("second", "collections:deque", "a queue")
    registry.register("first", "collections:Counter", "a table")
    return registry


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """An installed plug-in whose `register` is the test's, before any has been loaded in this process."""
    module = types.ModuleType(PLUGIN)
    monkeypatch.setitem(sys.modules, PLUGIN, module)
    points = [EntryPoint("toys", f"{PLUGIN}:register", registries.PLUGINS_GROUP)]
    monkeypatch.setattr(registries, "entry_points", lambda group: points)
    monkeypatch.setattr(registries, "_loaded", False)
    monkeypatch.setattr(registries, "_broken", [])
    return module


@pytest.mark.parametrize("home", REGISTRIES)
def test_every_registered_part_can_be_had_and_says_what_it_is(home: str) -> None:
    registry: Registry[Any] = import_attribute(home)
    assert len(registry) > 0 and registry.names() == tuple(line.name for line in registry.lines())
    for line in registry.lines():
        assert registry.get(line.name) is registry.get(line.name)
        assert line.summary and line.name in registry
    with pytest.raises(UnknownNameError, match=f"there is no {registry.kind} 'zzzz'; known are: .*register"):
        registry.get("zzzz")


@pytest.mark.parametrize("home", REGISTRIES)
def test_a_registry_says_where_it_is(home: str) -> None:
    registry: Registry[Any] = import_attribute(home)
    assert registry.home == home


def test_parts_keep_their_order_and_are_imported_when_asked_for(parts: Registry[Any]) -> None:
    parts.register("third", "no_such_module:Thing")
    assert parts.names()[:3] == ("second", "first", "third")
    assert parts.get("first").__name__ == "Counter"
    with pytest.raises(UnknownNameError, match="'no_such_module:Thing' cannot be imported"):
        parts.get("third")


def test_a_name_is_taken_once(parts: Registry[Any]) -> None:
    with pytest.raises(DuplicateNameError, match="there is a part 'first' already"):
        parts.register("first", object())


def test_an_unknown_name_is_answered_by_the_closest_and_by_what_registers_it(parts: Registry[Any]) -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'first'\? somewhere\.PARTS\.register\(name, part\)"):
        parts.get("frist")


def test_a_part_that_nobody_registered_is_found_where_it_lies(parts: Registry[Any]) -> None:
    assert parts.get("collections:OrderedDict").__name__ == "OrderedDict"
    with pytest.raises(UnknownNameError, match="collections has no 'Missing'"):
        parts.get("collections:Missing")


def test_a_plug_in_registers_after_our_own(parts: Registry[Any], plugin: Any) -> None:
    plugin.register = lambda: parts.register("theirs", "collections:deque", "another queue")
    assert parts.names() == ("second", "first", "theirs")
    assert parts.lines()[-1].distribution == f"{PLUGIN}:register"
    assert broken_plugins() == ()


def test_a_broken_plug_in_is_named_and_left_out_and_the_rest_goes_on(parts: Registry[Any], plugin: Any) -> None:
    def register() -> None:
        raise KeyError("wheels")

    plugin.register = register
    with pytest.warns(RuntimeWarning, match="plug-in 'toys' of .* is left out: KeyError: 'wheels'"):
        assert parts.names() == ("second", "first")
    (broken,) = broken_plugins()
    assert (broken.name, broken.error) == ("toys", "KeyError: 'wheels'")
    assert parts.get("first").__name__ == "Counter", "and it is not told twice"
