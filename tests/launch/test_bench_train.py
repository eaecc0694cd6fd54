"""The benchmark of training: each way to train takes its turns, alone and beside a busy process."""

from __future__ import annotations

import pytest

from forestpilot.launch.benchmarks import train as bench


def test_each_way_is_measured_alone_and_beside_a_busy_process(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not two threads that spin: where tests share the machine, a single step of theirs takes seconds.
    small = {"batch_windows": 4, "shards": 1}
    ways = {
        "one_thread": bench.Way(settings=small),
        "two_threads_as_in_0_1": bench.Way(settings=small, encoder="cnn"),
    }
    monkeypatch.setattr(bench, "WAYS", ways)
    monkeypatch.setattr(bench, "TURNS", 1)
    figures = bench.bench_train(window=2, seconds=0.01, contended=True)
    for where in ("alone", "contended"):
        assert all(figures[where][way]["frames_per_s"] > 0 for way in ways)
        assert figures[where]["ratio"]["steps_per_s"] > 0
        assert "frames_per_core_s" in figures[where]["one_thread"]
    assert figures["act_ms_1"] > 0
    assert figures["parameters"] > 100_000
