"""Configs: frozen dataclasses, read from flags and YAML, saved whole beside what they made.

A verb's config is a frozen dataclass with a docstring under each field. `parse_config` turns command line arguments
into one: defaults of the dataclass, then `--config file.yaml`, then flags, the later overriding the earlier.
`save_config` writes it as `config.json`, which is YAML too, so that `--config RUN/config.json` repeats a run.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import os
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from forestpilot.policies.training.run import config_values
from forestpilot.sim.errors import ForestPilotError

CONFIG_FILE = "config.json"


class DataclassInstance(Protocol):
    """Any dataclass; the standard library has no public name for it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


ConfigT = TypeVar("ConfigT", bound=DataclassInstance)


class ConfigError(ForestPilotError, ValueError):
    """A config that cannot be read: a key or value that is not allowed, or a file that is not there."""


def parse_config(
    config_class: type[ConfigT], args: Sequence[str], prog: str, presets: Mapping[str, ConfigT] | None = None
) -> ConfigT:
    """The config that command line arguments ask for.

    Args:
        config_class: frozen dataclass whose fields become flags; nested dataclasses become `--outer.inner`.
        args: arguments after the verb; may hold `--config FILE` and, with presets, `--preset NAME`.
        prog: name of the command in help texts, for example `forestpilot train`.
        presets: named configs to start from instead of the dataclass's own defaults; the first is the default.

    Raises:
        ConfigError: the config file is missing, has an unknown key or a value of the wrong type; unknown preset.
        SystemExit: a flag is wrong (code 2) or help was asked for (code 0); the text is already printed.
    """
    import tyro

    config_file, flags = take_flag("--config", args)
    values = config_values(read_yaml(Path(config_file))) if config_file is not None else {}
    description = inspect.cleandoc(config_class.__doc__ or "")
    base = None
    if presets:
        preset, flags = take_flag("--preset", flags)
        base = _preset(presets, preset if preset is not None else next(iter(presets)))
        names = ", ".join(presets)
        description += f"\n\n--preset NAME starts from other defaults: {names}. `--preset NAME --help` shows them."
    description += "\n\n--config FILE reads any of these from a YAML or JSON file first; flags override it."
    return tyro.cli(
        config_class,
        args=_gather_repeats(config_class, flags),
        prog=prog,
        description=description,
        default=_partial(config_class, values, str(config_file), base),
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    Raises:
        ConfigError: the file is missing, not YAML, or its top level is no mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of config keys to values, not a {type(values).__name__}")
    return values


def from_dict(config_class: type[ConfigT], values: Mapping[str, Any], source: str = "the config") -> ConfigT:
    """A config from plain values, checked: the inverse of `to_dict`.

    Raises:
        ConfigError: an unknown key (the closest known one is named), a missing key, or a value of the wrong type.
    """
    known = _known_values(config_class, values, source, "")
    required = [field.name for field in dataclasses.fields(config_class) if _is_required(field)]
    missing = [name for name in required if name not in known]
    if missing:
        raise ConfigError(f"{source} lacks {', '.join(missing)}, which {config_class.__name__} has no default for")
    return config_class(**known)


def to_dict(config: DataclassInstance) -> dict[str, Any]:
    """A config as plain JSON values: paths become strings, tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    return plain


def save_config(config: DataclassInstance, folder: Path | str) -> Path:
    """Write the whole config to `folder/config.json`, atomically, and return that path."""
    path = Path(folder) / CONFIG_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{CONFIG_FILE}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(to_dict(config), indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path


@contextmanager
def recorded(config: DataclassInstance, folder: Path | str) -> Iterator[None]:
    """Save the config beside what the `with` block makes, when it is done or interrupted.

    Not before: a folder that the work refuses must stay as it is, and one that was made with another config keeps that.
    """
    try:
        yield
    except KeyboardInterrupt:
        if Path(folder).is_dir() and not (Path(folder) / CONFIG_FILE).exists():
            save_config(config, folder)
        raise
    save_config(config, folder)


def load_config(config_class: type[ConfigT], path: Path | str) -> ConfigT:
    """The config that `save_config` wrote, from its folder or from a YAML or JSON file.

    Raises:
        ConfigError: see `read_yaml` and `from_dict`.
    """
    path = Path(path)
    path = path / CONFIG_FILE if path.is_dir() else path
    return from_dict(config_class, config_values(read_yaml(path)), str(path))


def closest(name: str, known: Sequence[str]) -> str:
    """`; did you mean X?` for the known name most like `name`, or the list of all known names when none is alike."""
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {match[0]!r}?" if match else f"known are: {', '.join(sorted(known))}"


def take_flag(flag: str, args: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take `flag VALUE` or `flag=VALUE` out of the arguments: (value or None, the other arguments).

    Raises:
        ConfigError: the flag stands last, without a value.
    """
    rest: list[str] = []
    value: str | None = None
    remaining = iter(args)
    for arg in remaining:
        if arg == flag:
            value = next(remaining, None)
            if value is None:
                raise ConfigError(f"{flag} needs a value")
        elif arg.startswith(f"{flag}="):
            value = arg.partition("=")[2]
        else:
            rest.append(arg)
    return value, rest


def _preset(presets: Mapping[str, ConfigT], name: str) -> ConfigT:
    if name not in presets:
        raise ConfigError(f"unknown preset {name!r}; {closest(name, list(presets))}")
    return presets[name]


def _gather_repeats(config_class: type[DataclassInstance], args: Sequence[str]) -> list[str]:
    """Join repeated sequence flags: of `--policy a --policy b` the last would win, so it becomes `--policy a b`."""
    sequences = {
        f"--{name.replace('_', '-')}" for name, hint in get_type_hints(config_class).items() if _is_sequence(hint)
    }
    gathered: dict[str, list[str]] = {}
    rest: list[str] = []
    current: list[str] = rest
    for arg in args:
        flag, equals, value = arg.partition("=")
        if flag.startswith("--") and flag.replace("_", "-") in sequences:
            current = gathered.setdefault(flag.replace("_", "-"), [])
            if equals:
                current.append(value)
        elif flag.startswith("--") or arg in ("-h",):
            current = rest
            rest.append(arg)
        else:
            current.append(arg)
    for flag, values in gathered.items():
        rest += [flag, *values]
    return rest


def _is_sequence(hint: Any) -> bool:
    return get_origin(hint) in (tuple, list) or (
        get_origin(hint) in (Union, types.UnionType) and any(_is_sequence(part) for part in get_args(hint))
    )


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any], base: Any = None) -> Any:
    """Value of a field when nothing is said: that of the base config, else the field's own; MISSING if it has none."""
    if base is not None:
        return getattr(base, field.name)
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _partial(config_class: type[ConfigT], values: Mapping[str, Any], source: str, base: ConfigT | None) -> Any:
    """An instance for tyro to take its defaults from, in which fields that only a flag can fill are marked as missing.

    It is made without the constructor, because `__post_init__` would refuse a config that is not complete yet.
    """
    import tyro

    known = _known_values(config_class, values, source, "", base)
    instance = object.__new__(config_class)
    for field in dataclasses.fields(config_class):
        value = known[field.name] if field.name in known else _default(field, base)
        object.__setattr__(instance, field.name, tyro.MISSING if value is dataclasses.MISSING else value)
    return instance


def _known_values(
    config_class: type[Any], values: Mapping[str, Any], source: str, prefix: str, base: Any = None
) -> dict[str, Any]:
    """The values converted to the types of the fields, with every key checked.

    A nested config that is given in part takes the rest from the base config, or from the field's default.
    """
    hints = get_type_hints(config_class)
    fields = {field.name: field for field in dataclasses.fields(config_class) if field.init}
    known: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in fields:
            raise ConfigError(f"{source}: unknown key {prefix + str(key)!r}; {closest(name, list(fields))}")
        default = _default(fields[name], base)
        if dataclasses.is_dataclass(default) and not isinstance(default, type) and isinstance(value, Mapping):
            inner = _known_values(type(default), value, source, f"{prefix}{name}.", default)
            known[name] = dataclasses.replace(default, **inner)
        else:
            known[name] = _convert(hints[name], value, source, prefix + name)
    return known


def _convert(hint: Any, value: Any, source: str, where: str) -> Any:
    """The plain value as the type of the field.

    Raises:
        ConfigError: the value does not fit; the message names the key, what is allowed and what was given.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(parts, value, source, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{source}: {where} must be a mapping of keys to values, not {value!r}")
        return hint(**_known_values(hint, value, source, f"{where}."))
    if origin is Literal:
        if value not in parts:
            raise ConfigError(f"{source}: {where} is {value!r}, but must be one of {', '.join(map(repr, parts))}")
        return value
    if origin in (tuple, list):
        return _convert_sequence(origin, parts, value, source, where)
    if origin is dict or hint is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{source}: {where} must be a mapping, not {value!r}")
        return dict(value)
    return _convert_scalar(hint, value, source, where)


def _convert_union(parts: tuple[Any, ...], value: Any, source: str, where: str) -> Any:
    if value is None and type(None) in parts:
        return None
    last_error: ConfigError | None = None
    for part in parts:
        if part is not type(None):
            try:
                return _convert(part, value, source, where)
            except ConfigError as error:
                last_error = error
    raise last_error or ConfigError(f"{source}: {where} does not take {value!r}")


def _convert_sequence(origin: type, parts: tuple[Any, ...], value: Any, source: str, where: str) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(f"{source}: {where} must be a list, not {value!r}")
    if origin is tuple and not (len(parts) == 2 and parts[1] is Ellipsis):
        if len(value) != len(parts):
            raise ConfigError(f"{source}: {where} must have {len(parts)} entries, not {len(value)}")
        return tuple(_convert(part, item, source, where) for part, item in zip(parts, value, strict=True))
    return origin(_convert(parts[0] if parts else Any, item, source, f"{where}[{i}]") for i, item in enumerate(value))


def _convert_scalar(hint: Any, value: Any, source: str, where: str) -> Any:
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
    if isinstance(hint, type) and issubclass(hint, Path) and isinstance(value, str):
        return Path(value)
    name = getattr(hint, "__name__", str(hint))
    raise ConfigError(f"{source}: {where} must be {name}, not {value!r}")
