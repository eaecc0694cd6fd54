"""`forestpilot bench`: how fast the parts are on this machine. Each benchmark is a function in a module of its own."""

from __future__ import annotations

import importlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro.conf

from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb


@dataclass(frozen=True)
class BenchConfig:
    """Measure speed. Times on a shared machine wander: read the ratios, and measure on an idle one."""

    what: Annotated[Literal["render", "env", "expert", "data", "train"], tyro.conf.Positional]
    """What to measure."""
    json: Path | None = None
    """File for the figures as JSON; they are printed in any case."""
    seconds: float | None = None
    """About how long to measure, in seconds, by default the benchmark's own."""

    def __post_init__(self) -> None:
        if self.seconds is not None and self.seconds <= 0:
            raise ValueError(f"seconds is {self.seconds}, but must be positive")


def run(config: BenchConfig) -> None:
    """Measure and print; with `json` also store."""
    figures = {"machine": machine(), **measure(config)}
    rows = [("figure", "value"), *((name, text) for name, text in flatten(figures))]
    print_table(rows, title=f"bench {config.what}")
    if config.json is not None:
        config.json.parent.mkdir(parents=True, exist_ok=True)
        config.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        print(config.json)


def measure(config: BenchConfig) -> dict[str, Any]:
    """Call `forestpilot.launch.benchmarks.<what>.bench_<what>`."""
    module = importlib.import_module(f"forestpilot.launch.benchmarks.{config.what}")
    function: Callable[..., dict[str, Any]] = getattr(module, f"bench_{config.what}")
    return function() if config.seconds is None else function(seconds=config.seconds)


def machine() -> str:
    """What the figures were measured on, in a few words."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {_load():.1f}"


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def flatten(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested figures as rows of dotted names and short texts."""
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows += flatten(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows


VERB = Verb(BenchConfig, run)
