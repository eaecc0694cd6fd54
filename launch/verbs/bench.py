"""`forestpilot bench`: how fast the parts are on this machine. Each benchmark is a function in a module of its own."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro.conf

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.launch.benchmarks import BENCHMARKS
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges
from forestpilot.sim.registry import name_of


@dataclass(frozen=True)
class BenchConfig:
    """Measure speed. Times on a shared machine wander: read the ratios, and measure on an idle one."""

    what: Annotated[str, tyro.conf.Positional] = field(metadata=name_of("forestpilot.launch.benchmarks:BENCHMARKS"))
    """What to measure."""
    json: Path | None = None
    """File for the figures as JSON; they are printed in any case."""
    seconds: Annotated[float | None, Range(0, 86_400, above=True)] = None
    """About how long to measure, in seconds, by default the benchmark's own."""
    against: Path | None = None
    """Another checkout of ForestPilot to measure in turns with this one, for benchmarks that compare: demo."""
    start: Literal["both", "cold", "installed", "warm"] = "both"
    """With no kernel compiled (cold), with what `make install` compiles, with all of them (warm), or cold and warm in
    turns; demo only."""
    seeds: Annotated[int, Range(1, 1000)] = 1
    """Training seeds, one after the other; demo only."""
    contended: bool = False
    """Measure beside a busy process too, and print the ratio, for benchmarks that can: train, demo."""

    def __post_init__(self) -> None:
        require_ranges(self)


def run(config: BenchConfig) -> None:
    """Measure and print; with `json` also store."""
    figures = {"machine": machine(), **measure(config)}
    print_table([("figure", "value"), *flatten(figures)], title=f"bench {config.what}")
    if config.json is not None:
        config.json.parent.mkdir(parents=True, exist_ok=True)
        write_new_file(config.json, [(json.dumps(figures, indent=2) + "\n").encode()])
        print(config.json)


def measure(config: BenchConfig) -> dict[str, Any]:
    """Figures of the benchmark that is asked for.

    Raises:
        InvalidArgumentError: the benchmark does not have an option that was given.
    """
    bench = BENCHMARKS.get(config.what)
    options = _options(config)
    known = inspect.signature(bench).parameters
    for name in options:
        if name not in known:
            raise InvalidArgumentError(f"bench {config.what} has no option --{name}")
    return bench(**options)


def _options(config: BenchConfig) -> dict[str, Any]:
    """What was asked of the benchmark besides the ordinary, by name."""
    asked = {}
    for option in dataclasses.fields(config):
        value = getattr(config, option.name)
        if option.name not in ("what", "json") and value != option.default:
            asked[option.name] = value
    return asked


def machine() -> str:
    """This machine in a few words: what the figures were measured on."""
    cores = f"{usable_cores()} of {os.cpu_count()} cores"
    return f"{platform.machine()}, {cores}, Python {platform.python_version()}, load {_load():.1f}"


def _load() -> float:
    """Mean number of waiting processes in the last minute; not a number where the system does not tell."""
    if not hasattr(os, "getloadavg"):
        return math.nan
    return float(os.getloadavg()[0])


def flatten(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested figures as rows of dotted names and short texts."""
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows += flatten(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            rows.append((f"{prefix}{name}", f"{value:.4g}"))
        else:
            rows.append((f"{prefix}{name}", str(value)))
    return rows


VERB = Verb(BenchConfig, run)
