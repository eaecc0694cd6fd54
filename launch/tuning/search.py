"""What is searched: `--search FIELD=VALUES`, read and checked before any trial; and the settings of a trial.

Of a range Optuna draws a number; of a list the place in it, told by the text of the value, since Optuna stores plain
values only.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from forestpilot.data_collection.episodes.bounded import parse_yaml
from forestpilot.data_collection.episodes.config_fields import result_values
from forestpilot.data_collection.episodes.plain import PART_KEY, ConfigError, from_plain
from forestpilot.launch.config.parse import option_paths
from forestpilot.launch.config.parts import as_flag, choose_parts, is_config, part_slots, registry_at, require_belonging
from forestpilot.launch.config.renamed import new_name
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.registry import closest

if TYPE_CHECKING:
    from optuna.trial import Trial

Value = Any
"""A plain value of a field, as a config file holds it."""
EXAMPLE = "--search train.learning_rate=log:1e-4:3e-3"


@dataclass(frozen=True)
class NumberRange:
    """Numbers of which one is drawn."""

    path: str
    """Dotted name of the field."""
    low: float
    """Smallest one; an int where the field is."""
    high: float
    """Largest one."""
    step: float | None = None
    """Distance of those that are drawn; any where there is none."""
    log: bool = False
    """As many between 1 and 10 as between 10 and 100."""

    @property
    def values(self) -> tuple[Value, ...]:
        """The ends, which are checked."""
        return self.low, self.high

    def draw(self, trial: Trial) -> Value:
        """A number for a trial; the one that it has, where it was drawn already."""
        if isinstance(self.low, int):
            return trial.suggest_int(self.path, self.low, int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.path, self.low, self.high, step=self.step, log=self.log)

    def value_of(self, stored: Any) -> Value:
        """The value that Optuna stored as this."""
        return stored


@dataclass(frozen=True)
class Choice:
    """Values of which one is drawn."""

    path: str
    """Dotted name of the field."""
    values: tuple[Value, ...]
    """All of them."""
    is_part: bool
    """Whether they are names of parts."""

    @property
    def names(self) -> tuple[str, ...]:
        """The values as text."""
        return tuple(map(text_of, self.values))

    def draw(self, trial: Trial) -> Value:
        """A value for a trial; the one that it has, where it was drawn already."""
        return self.value_of(trial.suggest_categorical(self.path, self.names))

    def value_of(self, stored: Any) -> Value:
        """The value that Optuna stored as this."""
        return self.values[self.names.index(stored)]


Dimension = NumberRange | Choice


def text_of(value: Value) -> str:
    """A plain value as text."""
    return value if isinstance(value, str) else json.dumps(value)


class Space:
    """All that is searched, and what it is searched in.

    Args:
        settings: the config that a trial changes.
        search: `FIELD=VALUES` each.

    Raises:
        ConfigError: nothing is searched; a field is not there, twice there, or does not change what comes out; there
            are no values, or some that the field does not take.
    """

    def __init__(self, settings: Any, search: Sequence[str]) -> None:
        self.settings = settings
        if not search:
            raise ConfigError(f"--search is missing: it says what is searched, for example {EXAMPLE}")
        asked: dict[str, str] = {}
        for text in search:
            path, equals, values = text.partition("=")
            if not equals:
                raise ConfigError(f"--search {text}: give FIELD=VALUES, for example {EXAMPLE}")
            path = _spelled_out(path.removeprefix("--").replace("-", "_"), settings)
            if path in asked:
                raise ConfigError(f"--search {text}: {path} is searched already; give all of its values at once")
            asked[path] = values
        self.dimensions: list[Dimension] = []
        # Parts come before their options, which are there or not as the part has them.
        for path in sorted(asked, key=lambda path: path.count(".")):
            self.dimensions.append(self._dimension(path, asked[path]))

    def draw(self, trial: Trial) -> dict[str, Value]:
        """The values of a trial, by dotted name; options of parts that were not drawn are left out."""
        drawn: dict[str, Value] = {}
        for dimension in self.dimensions:
            if dimension.path in option_paths(self._shaped(drawn)):
                drawn[dimension.path] = dimension.draw(trial)
        return drawn

    def values_of(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """The values that Optuna has stored of a trial, in the order in which they are searched."""
        return {each.path: each.value_of(params[each.path]) for each in self.dimensions if each.path in params}

    def config(self, drawn: Mapping[str, Value]) -> Any:
        """The settings with the values of a trial.

        Raises:
            ConfigError: they do not go together.
        """
        return self._applied(self.settings, drawn, "these settings do not go together")

    def _dimension(self, path: str, text: str) -> Dimension:
        """What is searched of a field, checked."""
        where = f"--search {path}={text}"
        homes = self._homes(path, where)
        _require_result(homes[0], path, where)
        dimension = _parsed(homes[0], path, text, where)
        for home in homes:
            for value in dimension.values:
                self._applied(home, {path: value}, where)
        return dimension

    def _homes(self, path: str, where: str) -> list[Any]:
        """The settings with each of the parts that are searched and have the field.

        Raises:
            ConfigError: none has.
        """
        homes = [self.settings]
        for dimension in self.dimensions:
            if isinstance(dimension, Choice) and dimension.is_part and path.startswith(f"{dimension.path}."):
                flag = as_flag(dimension.path)
                homes = [choose_parts(home, [flag, name]) for home in homes for name in dimension.names]
        having = [home for home in homes if path in option_paths(home)]
        if not having:
            require_belonging(path, part_slots(homes[0]), where)
            known = [known for known in option_paths(homes[0]) if not known.rpartition(".")[2].startswith("no_")]
            told = closest(path, known)
            if renamed := new_name(path, known.__contains__):
                told = f"it is now `{renamed}`"
            elif not told.startswith("did you mean"):  # hundreds of names are no help
                told = "--help lists all"
            raise ConfigError(f"{where}: there is no such field; {told}")
        return having

    def _shaped(self, drawn: Mapping[str, Value]) -> Any:
        """The settings with the parts that were drawn, each with its ordinary options; nothing is checked."""
        parts = [dimension for dimension in self.dimensions if isinstance(dimension, Choice) and dimension.is_part]
        flags: list[str] = []
        for part in parts:
            if part.path in drawn:
                flags += [as_flag(part.path), drawn[part.path]]
        return choose_parts(self.settings, flags)

    def _applied(self, settings: Any, drawn: Mapping[str, Value], where: str) -> Any:
        """Settings with other values.

        Raises:
            ConfigError: a value is of the wrong type or out of range, or they do not go together.
        """
        parts = {slot.path for slot in part_slots(settings)}
        nested: dict[str, Any] = {}
        for path, value in drawn.items():
            *outer, name = path.split(".")
            inside = nested
            for key in outer:
                inside = inside.setdefault(key, {})
            if path in parts:
                inside.setdefault(name, {})[PART_KEY] = value
            else:
                inside[name] = value
        try:
            return from_plain(type(settings), nested, where, settings)
        except ForestPilotError as error:
            raise ConfigError(str(error)) from error


def _spelled_out(path: str, settings: Any) -> str:
    """`mix.goals` as `mix.options.goals`: a task's own option is also known without that word."""
    known = set(option_paths(settings))
    outer, dot, name = path.rpartition(".")
    whole = f"{outer}{dot}options.{name}"
    return whole if path not in known and whole in known else path


def _require_result(settings: Any, path: str, where: str) -> None:
    """Raise ConfigError where a field is a group of fields, or does not change what comes out."""
    inside: Any = result_values(settings)
    for name in path.split("."):
        if not isinstance(inside, dict) or name not in inside:
            raise ConfigError(f"{where}: {path} does not change what a trial comes to; leave it out")
        inside = inside[name]
    is_part = path in {slot.path for slot in part_slots(settings)}
    if is_config(_value_at(settings, path)) and not is_part:
        raise ConfigError(f"{where}: {path} is a group of fields; name one of them")


def _parsed(settings: Any, path: str, text: str, where: str) -> Dimension:
    """What a text says of a field."""
    owner_path, _, name = path.rpartition(".")
    owner = _value_at(settings, owner_path) if owner_path else settings
    field = next(field for field in dataclasses.fields(owner) if field.name == name)
    number = _number_type(get_type_hints(type(owner))[name])
    if number is not None and ":" in text:
        return _range(path, text, number, where)
    values = _list(text, where)
    home = field.metadata.get("registry") or field.metadata.get("names")
    if home:
        for value in values:
            registry_at(home).get(str(value))
    return Choice(path, values, "registry" in field.metadata)


def _value_at(settings: Any, path: str) -> Any:
    for name in path.split("."):
        settings = getattr(settings, name)
    return settings


def _number_type(hint: Any) -> type[int] | type[float] | None:
    """int or float for a field that holds a number, or perhaps none; None for any other."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for kind in kinds:
        if kind is int or kind is float:
            return kind
    return None


def _range(path: str, text: str, number: type[int] | type[float], where: str) -> NumberRange:
    """`LOW:HIGH`, `LOW:HIGH:STEP` or `log:LOW:HIGH`."""
    log = text.startswith("log:")
    parts = text.removeprefix("log:").split(":")
    if len(parts) not in (2, 3) or (log and len(parts) == 3):
        raise ConfigError(f"{where}: a range is LOW:HIGH, LOW:HIGH:STEP or log:LOW:HIGH")
    try:
        ends = [number(part) for part in parts]
    except ValueError:
        kind = "whole numbers" if number is int else "numbers"
        raise ConfigError(f"{where}: the ends of this range must be {kind}") from None
    low, high = ends[:2]
    step = ends[2] if len(ends) == 3 else None
    if not all(map(math.isfinite, ends)) or not low < high:
        raise ConfigError(f"{where}: the range must go up, from a smaller number to a larger one")
    if log and low <= 0:
        raise ConfigError(f"{where}: a logarithmic range begins above 0")
    if step is not None and not 0 < step <= high - low:
        raise ConfigError(f"{where}: the step must be above 0 and at most {high - low:g}")
    return NumberRange(path, low, high, step, log)


def _list(text: str, where: str) -> tuple[Value, ...]:
    """`A,B,C`, each as YAML has it."""
    try:
        values = parse_yaml(f"[{text}]".encode())
    except ValueError:
        values = None
    if not isinstance(values, list) or any(value is None or isinstance(value, dict) for value in values):
        raise ConfigError(f"{where}: give values with commas between them, A,B,C, lists in brackets")
    if not values:
        raise ConfigError(f"{where}: the list is empty; give at least one value")
    names = list(map(text_of, values))
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: {name} is there twice")
    return tuple(values)
