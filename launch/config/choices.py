"""Names of parts as closed choices on the command line, with a line about each in the help.

The parser knows a config by its class. So where a config holds parts, or names of parts, it is shown an instance of a
subclass made for this, in which each part's name is an option whose type lists the names that are allowed.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

from forestpilot.launch.config.parts import is_config, registry_at
from forestpilot.sim.registry import PartConfig

OWN_CLASS = "__own_class__"
"""Attribute of a class made for the parser: the config class that it stands for."""


def for_the_parser(config: Any) -> Any:
    """A config in which each part's name is an option of its own, with the names that are allowed as closed choices.

    Where a config holds parts it is an instance of a subclass made for this; `of_its_own_class` undoes it.
    """
    values: dict[str, Any] = {}
    kinds: dict[str, type[Any] | Choices] = {}
    for field in dataclasses.fields(config):
        name = field.name
        value = getattr(config, field.name)
        if is_config(value):
            values[name] = for_the_parser(value)
        if isinstance(value, PartConfig) and "registry" in field.metadata:
            choice = _choices(field.metadata["registry"], value.part)
            values[name] = _of_kinds(values[name], {"part": choice})
        elif "names" in field.metadata:
            choice = _choices(field.metadata["names"], value)
            kinds[name] = choice._replace(flag=name, told=f"{field_docstring(type(config), name)}\n{choice.told}")
        if name in values and ("registry" in field.metadata or "task_options" in field.metadata):
            kinds[name] = type(values[name])
    shown = _of_kinds(config, kinds)
    for name, value in values.items():
        object.__setattr__(shown, name, value)
    return shown


def of_its_own_class(config: Any) -> Any:
    """The config that `for_the_parser` was given, with the values that were parsed."""
    if not is_config(config):
        return config
    own = getattr(type(config), OWN_CLASS, type(config))
    names = [field.name for field in dataclasses.fields(own) if field.init]
    before = {name: getattr(config, name) for name in names}
    after = {name: of_its_own_class(value) for name, value in before.items()}
    if own is type(config) and all(after[name] is before[name] for name in names):
        return config
    return own(**after)


class Choices(NamedTuple):
    """The names that an option may take."""

    names: tuple[str, ...]
    """All of them."""
    told: str
    """What each of them is."""
    flag: str = ""
    """Last part of the option's name; empty for that of the config that it chooses."""


def field_docstring(config_class: type[Any], name: str) -> str:
    """The docstring under a field of a config class; empty if there is none."""
    for owner in config_class.__mro__:
        if name not in inspect.get_annotations(owner) or OWN_CLASS in owner.__dict__:
            continue
        try:
            source = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        except (OSError, TypeError, SyntaxError):
            return ""
        assert isinstance(source, ast.ClassDef)
        for statement, following in zip(source.body, source.body[1:]):
            is_field = isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name
            if is_field and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                return " ".join(str(following.value.value).split())
    return ""


@cache
def _class_of_kinds(own: Any, kinds: tuple[tuple[str, type[Any] | Choices], ...]) -> type[Any]:
    """A subclass of a config class in which these fields have other types."""
    import tyro

    inherited = {field.name: field for field in dataclasses.fields(own)}
    hints = get_type_hints(own, include_extras=True)
    fields: list[tuple[str, Any, Any]] = []
    for name, kind in kinds:
        annotation: Any = kind
        if isinstance(kind, Choices):
            option = tyro.conf.arg(name=kind.flag, help=kind.told)
            annotation = Annotated[Literal[kind.names], option]
        default: Any = dataclasses.field(default=None)
        if name in inherited:
            for extra in getattr(hints[name], "__metadata__", ()):
                annotation = Annotated[annotation, extra]
            default = copy.copy(inherited[name])
        fields.append((name, annotation, default))
    namespace = {OWN_CLASS: getattr(own, OWN_CLASS, own), "__doc__": own.__doc__, "__module__": own.__module__}
    return dataclasses.make_dataclass(own.__name__, fields, bases=(own,), namespace=namespace, frozen=True)


def _of_kinds(config: Any, kinds: Mapping[str, type[Any] | Choices]) -> Any:
    """A copy of the config, as an instance of a class in which these fields have other types."""
    own: Any = type(config)
    shown = object.__new__(_class_of_kinds(own, tuple(kinds.items())) if kinds else own)
    shown.__dict__.update(config.__dict__)
    for name in kinds:
        object.__setattr__(shown, name, getattr(config, name))
    return shown


def _choices(home: str, current: Any) -> Choices:
    """All names of a registry, and the present one: `package.module:attribute`, or empty where that means something."""
    registry = registry_at(home)
    names = registry.names()
    if isinstance(current, str) and current not in names:
        names = (*names, current)
    told = [f"{line.name}: {line.summary}".rstrip(": ") for line in registry.lines()]
    return Choices(names, "\n".join(told))
