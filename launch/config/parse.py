"""From command line arguments and a YAML or JSON file to a config."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from forestpilot.data_collection.episodes.bounded import YAML_BYTES, parse_yaml, read_bytes
from forestpilot.data_collection.episodes.plain import (
    ConfigError,
    ConfigT,
    DataclassInstance,
    default_of,
    fields_from_plain,
)
from forestpilot.data_collection.episodes.run import config_values
from forestpilot.launch.config.choices import for_the_parser, of_its_own_class
from forestpilot.launch.config.parts import (
    as_flag,
    as_path,
    choose_names,
    choose_parts,
    choose_tasks,
    is_config,
    owners_of,
    part_slots,
    require_belonging,
    task_slots,
)
from forestpilot.launch.config.renamed import RENAMED_PRESETS, new_name
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.registry import closest


def parse_config(
    config_class: type[ConfigT], args: Sequence[str], prog: str, presets: Mapping[str, ConfigT] | None = None
) -> ConfigT:
    """The config that command line arguments ask for.

    Args:
        config_class: frozen dataclass whose fields become flags; nested dataclasses become `--outer.inner`, and fields
            that hold a part take its name: `--outer.part NAME --outer.part.option`.
        args: arguments after the verb; may hold `--config FILE` and, with presets, `--preset NAME`.
        prog: name of the command in help texts, for example `forestpilot train`.
        presets: named configs to start from instead of the dataclass's own defaults; the first is the default.

    Raises:
        ConfigError: a flag is unknown or its value of the wrong type or out of range; the config file is missing, has
            an unknown key or such a value; unknown preset; the config refuses how its values go together.
        ForestPilotError: an option belongs to a part or a task that was not chosen, or has another name now.
        SystemExit: help was asked for (code 0); the text is already printed.
    """
    import tyro

    config_file, flags = take_flag("--config", args)
    description = inspect.cleandoc(config_class.__doc__ or "")
    base = None
    if presets:
        preset, flags = take_flag("--preset", flags)
        base = _preset(presets, preset if preset is not None else next(iter(presets)))
        names = ", ".join(presets)
        description += f"\n\n--preset NAME starts from other defaults: {names}. `--preset NAME --help` shows them."
    description += "\n\n--config FILE reads any of these from a YAML or JSON file first; flags override it."
    values: Mapping[str, Any] = {}
    if config_file is not None:
        values = config_values(read_yaml(Path(config_file)))
    start = start_of(config_class, values, str(config_file), base, flags)
    flags = _spelled_out(flags, start)
    _require_known(flags, start)
    default = for_the_parser(start)
    with _told_in_one_line(prog):
        parsed = tyro.cli(
            type(default),
            args=_gather_repeats(config_class, flags),
            prog=prog,
            description=description,
            default=default,
        )
    config: ConfigT = of_its_own_class(parsed)
    return config


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    Raises:
        ConfigError: the file is missing, not YAML, or its top level is no mapping.
    """
    try:
        values = parse_yaml(read_bytes(path, YAML_BYTES))
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of config keys to values, not a {type(values).__name__}")
    return values


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
            value = arg.removeprefix(f"{flag}=")
        else:
            rest.append(arg)
    return value, rest


def option_paths(config: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all options of a config, those of its parts included."""
    for field in dataclasses.fields(config):
        path = f"{prefix}{field.name}"
        value = getattr(config, field.name)
        yield path
        if isinstance(value, bool):
            yield f"{prefix}no_{field.name}"
        if is_config(value):
            yield from option_paths(value, f"{path}.")


@contextmanager
def _told_in_one_line(prog: str) -> Iterator[None]:
    """Turn the box in which the parser tells of a wrong flag, before it exits with 2, into a ConfigError."""
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            yield
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ConfigError(f"{_content(box.getvalue()).rstrip('.')}; see `{prog} --help`") from None
    sys.stderr.write(box.getvalue())


def _content(box: str) -> str:
    """What a box of the parser says, without its frame and the help of the option that it adds."""
    lines = [line.strip("│╭╰╮╯ ") for line in box.splitlines()]
    told: list[str] = []
    for line in lines:
        if line.startswith(("Argument helptext", "For full helptext")):
            break
        if not set(line) <= {"─"} and not line.startswith("─"):
            told.append(line)
    suggested = [line for line in told if line.startswith("--")]
    if "Perhaps you meant:" in told:
        before = told[: told.index("Perhaps you meant:")]
        return f"{' '.join(before)}; perhaps you meant {' or '.join(line.split()[0] for line in suggested)}"
    return " ".join(told)


def _preset(presets: Mapping[str, ConfigT], name: str) -> ConfigT:
    if name in presets:
        return presets[name]
    if RENAMED_PRESETS.get(name) in presets:
        raise ConfigError(f"the preset {name!r} is now {RENAMED_PRESETS[name]!r}")
    raise ConfigError(f"unknown preset {name!r}; {closest(name, list(presets))}")


def start_of(
    config_class: type[ConfigT],
    values: Mapping[str, Any] = types.MappingProxyType({}),
    source: str = "",
    base: ConfigT | None = None,
    flags: Sequence[str] = (),
) -> Any:
    """The config that the flags are applied to: the base or the defaults, then the file, then parts that flags name.

    Fields that only a flag can fill are marked as missing. So it is made without the constructor, because
    `__post_init__` would refuse a config that is not complete yet.
    """
    import tyro

    start = object.__new__(config_class)
    for field in dataclasses.fields(config_class):
        value = default_of(field, base)
        object.__setattr__(start, field.name, tyro.MISSING if value is dataclasses.MISSING else value)
    paths = dict(_flat(values))
    start = choose_tasks(start, paths, flags)
    known = set(option_paths(start))
    for path in paths:
        if path in known:
            continue
        if renamed := new_name(path, known.__contains__):
            raise ConfigError(f"{source}: `{path}` is now `{renamed}`")
        require_belonging(path, task_slots(start), source)
    try:
        given = fields_from_plain(config_class, values, source, start)
    except ForestPilotError:
        raise
    except ValueError as error:  # a config inside this one refuses its values
        raise ConfigError(f"{source}: {error}") from error
    for name, value in given.items():
        object.__setattr__(start, name, value)
    # Parts of the file may be of another kind than those that the flags name: the flags have the last word.
    return choose_names(choose_parts(start, flags), flags)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a mapping with mappings in it."""
    for key, value in values.items():
        path = prefix + str(key).replace("-", "_")
        yield path, value
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")


def _spelled_out(flags: Sequence[str], start: Any) -> list[str]:
    """Flags with `--mix.goals` as `--mix.options.goals`: a task's own option is also known without that word, unless an
    earlier version knew another by this name."""
    known = set(option_paths(start))
    whole = []
    for arg in flags:
        path = as_path(arg)
        outer, dot, name = path.rpartition(".")
        spelled_out = f"{outer}{dot}options.{name}"
        is_short = arg.startswith("--") and path not in known and spelled_out in known
        if is_short and new_name(path, known.__contains__) is None:
            _, equals, value = arg.partition("=")
            arg = f"{as_flag(spelled_out)}{equals}{value}"
        whole.append(arg)
    return whole


def _require_known(flags: Sequence[str], start: Any) -> None:
    """Answer options of earlier versions by their new names, and those of parts that were not chosen by their parts.

    What is left, the parser refuses with the closest known one.
    """
    known = {*option_paths(start), "help"}
    places = [*part_slots(start), *task_slots(start)]

    def is_known(path: str) -> bool:
        """Tell if there is such an option, or would be with other parts."""
        return path in known or any(owners_of(path, place) for place in places)

    for arg in flags:
        path = as_path(arg)
        if not arg.startswith("--") or path in known:
            continue
        if renamed := new_name(path, is_known):
            raise ConfigError(f"`{as_flag(path)}` is now `{as_flag(renamed)}`")
        require_belonging(path, places)


def _gather_repeats(config_class: type[DataclassInstance], args: Sequence[str]) -> list[str]:
    """Join repeated sequence flags: of `--policy a --policy b` the last would win, so it becomes `--policy a b`."""
    sequences = {as_flag(name) for name, hint in get_type_hints(config_class).items() if _is_sequence(hint)}
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
    if get_origin(hint) in (Union, types.UnionType):
        return any(_is_sequence(part) for part in get_args(hint))
    return get_origin(hint) in (tuple, list)
