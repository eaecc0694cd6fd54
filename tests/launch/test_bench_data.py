"""The data benchmark measures what it says, on real episodes."""

from __future__ import annotations

import json

import pytest

from forestpilot.launch.benchmarks.data import bench_data


def test_the_data_benchmark_reports_plain_positive_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forestpilot.launch.benchmarks.data.LEAST_TURNS", 1)
    figures = bench_data(episodes=1, copies=2, window=4, batch=4, seconds=0.05)
    assert (figures["window"], figures["batch"]) == (4, 4)
    assert json.loads(json.dumps(figures)) == figures
    assert all(value > 0 for value in figures.values())
    assert figures["compression_ratio"] > 1
