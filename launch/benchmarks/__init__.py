"""Benchmarks of `forestpilot bench`: functions of the seconds to measure that return figures by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forestpilot.sim.registry import Registry

BENCHMARKS: Registry[Callable[..., dict[str, Any]]] = Registry("benchmark", "forestpilot.launch.benchmarks:BENCHMARKS")
BENCHMARKS.register(
    "render", "forestpilot.launch.benchmarks.render:bench_render", "the ray-caster against TinyRenderer, in turns"
)
BENCHMARKS.register(
    "env",
    "forestpilot.launch.benchmarks.env:bench_env",
    "steps and resets of environments, with and without labels",
)
BENCHMARKS.register("expert", "forestpilot.launch.benchmarks.expert:bench_expert", "how long the experts think")
BENCHMARKS.register(
    "cold", "forestpilot.launch.benchmarks.cold:bench_cold", "the first picture where no kernel is compiled yet"
)
BENCHMARKS.register(
    "data", "forestpilot.launch.benchmarks.data:bench_data", "writing episodes, reading windows, bytes on disk"
)
BENCHMARKS.register(
    "train", "forestpilot.launch.benchmarks.train:bench_train", "gradient steps and actions of a policy"
)
BENCHMARKS.register(
    "demo", "forestpilot.launch.benchmarks.demo:bench_demo", "the whole demo, against another checkout's, in turns"
)
BENCHMARKS.register(
    "evaluate", "forestpilot.launch.benchmarks.evaluate:bench_evaluate", "100 test forests on two processes"
)
BENCHMARKS.register("film", "forestpilot.launch.benchmarks.film:bench_film", "films of a flight and of a drive")
BENCHMARKS.register(
    "scale", "forestpilot.launch.benchmarks.scale:bench_scale", "what a cluster would give, from recorded times"
)
BENCHMARKS.register(
    "reinforce",
    "forestpilot.launch.benchmarks.reinforce:bench_reinforce",
    "PPO with three cameras, against Stable-Baselines3's own network and processes, in turns",
)
