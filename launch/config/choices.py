"""What the parser is shown of a config: names of parts as closed choices with a line about each, and ranges of numbers.

The parser knows a config by its class. So it is shown an instance of a subclass made for this, in which each part's
name is an option whose type lists the names that are allowed, and which checks nothing: what is refused is told when
the config itself is made, for then it is known by which option it was given.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args, get_origin, get_type_hints

from forestpilot.data_collection.episodes.plain import ConfigError
from forestpilot.launch.config.parts import as_flag, is_config, registry_at
from forestpilot.sim.ranges import RangeError, ranges_of
from forestpilot.sim.registry import PartConfig

OWN_CLASS = "__own_class__"
"""Attribute of a class made for the parser: the config class that it stands for."""


def for_the_parser(config: Any) -> Any:
    """A config in which each part's name is an option of its own, with the names that are allowed as closed choices.

    It is an instance of a subclass made for this, as are the configs inside it; `of_its_own_class` undoes it.
    """
    own: Any = type(config)
    _resolve_annotations(own)
    values: dict[str, Any] = {}
    kinds: dict[str, Kind] = {name: Numbers(allowed.short) for name, allowed in ranges_of(type(config)).items()}
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


def of_its_own_class(config: Any, path: str = "") -> Any:
    """The config that `for_the_parser` was given, with the values that were parsed.

    Args:
        config: what was parsed.
        path: dotted name of the option that holds it; empty for the whole.

    Raises:
        ConfigError: a value is out of its range, or the config refuses how its values go together; says which option.
    """
    if not is_config(config):
        return config
    own = getattr(type(config), OWN_CLASS, type(config))
    names = [field.name for field in dataclasses.fields(own) if field.init]
    before = {name: getattr(config, name) for name in names}
    after = {name: of_its_own_class(value, f"{path}.{name}" if path else name) for name, value in before.items()}
    if own is type(config) and all(after[name] is before[name] for name in names):
        return config
    try:
        return own(**after)
    except RangeError as error:
        flag = as_flag(f"{path}.{error.name}" if path else error.name)
        raise ConfigError(f"{flag} {error.problem}") from error
    except ValueError as error:
        raise ConfigError(f"{as_flag(path)}: {error}" if path else str(error)) from error


class Choices(NamedTuple):
    """The names that an option may take."""

    names: tuple[str, ...]
    """All of them."""
    told: str
    """What each of them is."""
    flag: str = ""
    """Last part of the option's name; empty for that of the config that it chooses."""


class Numbers(NamedTuple):
    """The numbers that an option may take."""

    told: str
    """Their range, in short."""


Kind: TypeAlias = "type[Any] | Choices | Numbers"
"""What a field is shown as in place of its own type."""


def field_docstring(config_class: type[Any], name: str) -> str:
    """The docstring under a field of a config class; empty if there is none."""
    for owner in config_class.__mro__:
        if name in inspect.get_annotations(owner) and OWN_CLASS not in owner.__dict__:
            return _field_docstrings(owner).get(name, "")
    return ""


@cache
def _field_docstrings(owner: Any) -> dict[str, str]:
    """The docstrings under the fields that a class itself declares, by name."""
    try:
        source = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    assert isinstance(source, ast.ClassDef)
    return {
        ast.unparse(statement.target): " ".join(str(following.value.value).split())
        for statement, following in zip(source.body, source.body[1:])
        if isinstance(statement, ast.AnnAssign)
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
    }


@cache
def _resolve_annotations(own: Any) -> None:
    """Replace the annotations of a class and its bases, which are strings, by what they name: whoever asks for types
    (the parser does for each command) compiles each string anew."""
    for owner in own.__mro__:
        annotations = inspect.get_annotations(owner)
        if any(isinstance(annotation, str) for annotation in annotations.values()):
            hints = get_type_hints(owner, include_extras=True)
            owner.__annotations__ = {name: hints[name] for name in annotations}


@cache
def _class_of_kinds(own: Any, kinds: tuple[tuple[str, Kind], ...]) -> type[Any]:
    """A subclass of a config class in which these fields have other types, and which refuses nothing."""
    import tyro

    inherited = {field.name: field for field in dataclasses.fields(own)}
    hints = get_type_hints(own, include_extras=True)
    fields: list[tuple[str, Any, Any]] = []
    for name, kind in kinds:
        annotation: Any = kind
        if isinstance(kind, Choices):
            option = tyro.conf.arg(name=kind.flag, help=kind.told)
            annotation = Annotated[Literal[kind.names], option]
        elif isinstance(kind, Numbers):
            annotation = Annotated[hints[name], tyro.conf.arg(metavar=_metavar(hints[name], kind))]
        default: Any = dataclasses.field(default=None)
        if name in inherited:
            for extra in getattr(hints[name], "__metadata__", ()):
                annotation = Annotated[annotation, extra]
            default = copy.copy(inherited[name])
        fields.append((name, annotation, default))
    namespace = {
        OWN_CLASS: getattr(own, OWN_CLASS, own),
        "__doc__": own.__doc__,
        "__module__": own.__module__,
        "__post_init__": _refuse_nothing,
    }
    return dataclasses.make_dataclass(own.__name__, fields, bases=(own,), namespace=namespace, frozen=True)


def _metavar(hint: Any, allowed: Numbers) -> str:
    """What stands for the value of an option that takes numbers: `INT 1..4096`, or `[FLOAT 0..1 ...]` for several."""
    whole, *_ = get_args(hint)
    several = any(get_origin(kind) is tuple for kind in (whole, *get_args(whole)))
    told = f"{'INT' if 'int' in str(whole) else 'FLOAT'} {allowed.told}"
    return f"[{told} ...]" if several else told


def _refuse_nothing(config: Any) -> None:
    """Stand in for the checks of a config class."""


def _of_kinds(config: Any, kinds: Mapping[str, Kind]) -> Any:
    """A copy of the config, as an instance of a class in which these fields have other types."""
    own: Any = type(config)
    shown = object.__new__(_class_of_kinds(own, tuple(kinds.items())))
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
