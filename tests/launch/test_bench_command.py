"""`forestpilot bench`: a benchmark is given what was asked for, and refuses what it has no use for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestpilot.launch import cli
from forestpilot.launch.benchmarks import BENCHMARKS
from forestpilot.launch.verbs.bench import BenchConfig, measure


@pytest.fixture(autouse=True)
def counting() -> Iterator[None]:
    """A benchmark that tells what it was given."""

    def count(seconds: float = 2.0, contended: bool = False) -> dict[str, Any]:
        return {"seconds": seconds, "contended": contended}

    BENCHMARKS.register("count", count, "tells what it was given")
    yield
    BENCHMARKS.unregister("count")


def test_a_benchmark_has_its_own_defaults_and_is_told_what_was_asked() -> None:
    assert measure(BenchConfig("count")) == {"seconds": 2.0, "contended": False}
    assert measure(BenchConfig("count", seconds=5.0, contended=True)) == {"seconds": 5.0, "contended": True}


def test_an_option_that_a_benchmark_does_not_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="bench count has no option --against"):
        measure(BenchConfig("count", against=Path("elsewhere")))
    assert cli.main(["bench", "count", "--against", "elsewhere"]) == 2
    assert "bench count has no option --against" in capsys.readouterr().err
