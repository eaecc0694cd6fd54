"""The data benchmark measures what it says, on real episodes."""

from __future__ import annotations

import json

from forestpilot.launch.benchmarks.data import bench_data


def test_the_data_benchmark_reports_plain_positive_figures() -> None:
    figures = bench_data(episodes=1, copies=2, batch=4, seconds=0.05)
    assert json.loads(json.dumps(figures)) == figures
    assert all(value > 0 for value in figures.values())
    assert figures["compression_ratio"] > 1
