"""The model of the driver follows the arithmetic where that is known, and the benchmark reports plain figures."""

from __future__ import annotations

import pytest

from forestpilot.launch.benchmarks import scale
from forestpilot.launch.benchmarks.driver_model import DriverCosts, simulate

TOOK = {"episode_s": 1e-3, "result_s": 1e-4, "look_s": 1e-6, "begin_s": 1e-4}
FREE = DriverCosts(episode_s=0.0, look_s=0.0, begin_s=0.0)


def test_a_driver_that_takes_no_time_keeps_all_workers_busy() -> None:
    load = simulate(10, [0.5], FREE)
    assert load.episodes_per_s == pytest.approx(20.0, rel=0.1)
    assert load.workers_busy > 0.9 and load.driver_busy == 0.0


def test_a_slow_driver_is_the_wall_and_workers_wait() -> None:
    load = simulate(100, [1.0], DriverCosts(episode_s=0.1, look_s=0.0, begin_s=0.0))
    assert load.episodes_per_s == pytest.approx(10.0, rel=0.1)
    assert load.driver_busy > 0.9 and load.workers_busy < 0.25


def test_looking_at_many_tasks_costs_and_the_same_seed_gives_the_same() -> None:
    looking = DriverCosts(episode_s=0.0, look_s=0.001, begin_s=0.0)
    slow = simulate(200, [0.1, 0.3], looking)
    assert slow == simulate(200, [0.1, 0.3], looking)
    assert slow.episodes_per_s < simulate(200, [0.1, 0.3], FREE).episodes_per_s


def test_the_benchmark_reports_plain_positive_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "_ray", lambda *_: TOOK)
    monkeypatch.setattr(scale, "CORES", (2, 8))
    figures = scale.bench_scale(episodes=2)
    assert figures["bytes_per_episode"] > 10_000 and figures["driver_episodes_per_s"] > 0
    assert figures["shared_storage"]["driver_episodes_per_s"] == 10_000
    assert figures["cores_8"]["episodes_per_s"] > figures["cores_2"]["episodes_per_s"] > 0
